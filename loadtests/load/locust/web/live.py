"""The live view in Locust's web UI: a tab, and the same as a page at `/loadtests/live`.

Locust's own tables are not changed. The view shows the scribe's latest figures: exact percentiles
of the measured part, their status, and the generator's health. After the run it shows the verdict,
the run folder and the report.
"""

from __future__ import annotations

import logging
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypedDict

from flask import Blueprint, Response, abort, jsonify, send_file

from loadtests.config import Slo
from loadtests.errors import ResultsError
from loadtests.load.declared_stores import declared_patterns
from loadtests.load.locust.controller import RunController
from loadtests.load.locust.web.live_figures import FiguresView, live_figures
from loadtests.measure.messages import LiveFigures
from loadtests.measure.results import read_info
from loadtests.patterns import DISPLAY_NAMES

_TYPES: Final = {
    "live.js": "text/javascript",
    "live.css": "text/css",
    "live": "text/html",
}
_SCRIPT: Final = '<script src="./loadtests/live.js" defer></script></head>'
_log: Final = logging.getLogger("loadtests")


def add_live_view(web_ui: Any, controller: RunController, slo: Slo) -> None:
    """Add routes and tab to a Locust web UI; behind its login, if it has one."""
    locust = web_ui.app.blueprints.get("locust")
    base = (locust.url_prefix if locust else "") or ""  # --web-base-path
    blueprint = Blueprint("loadtests", __name__, url_prefix=f"{base.rstrip('/')}/loadtests")
    guard = web_ui.auth_required_if_enabled

    def live_json() -> Response:
        try:
            return jsonify(live_data(controller, slo))
        except Exception as error:  # noqa: BLE001 (the run does not depend on its view)
            _log.exception("The live view failed.")
            answer = jsonify({"problem": f"The live view failed: {type(error).__name__}: {error}"})
            answer.status_code = 500
            return answer

    def asset(name: str) -> Response:
        if name not in _TYPES:
            abort(404)
        file = "live.html" if name == "live" else name
        text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
        return Response(text, mimetype=_TYPES[name])

    def report() -> Response:
        path = _report(controller)
        if path is None:
            abort(404)
        return send_file(path)

    blueprint.add_url_rule("/live.json", view_func=guard(live_json))
    blueprint.add_url_rule("/report.html", view_func=guard(report))
    blueprint.add_url_rule("/<name>", view_func=guard(asset))
    web_ui.app.register_blueprint(blueprint)
    web_ui.template_args["extended_tabs"] = [{"title": "CloudShelf", "key": "cloudshelf"}]

    web_ui.app.after_request(_with_script)


def _with_script(response: Response) -> Response:
    if response.mimetype == "text/html" and not response.direct_passthrough:
        text = response.get_data(as_text=True)
        if "window.templateArgs" in text:
            response.set_data(text.replace("</head>", _SCRIPT, 1))
    return response


class LiveVerdict(TypedDict):
    """The verdict of the last run."""

    status: str
    sentence: str


class FaultView(TypedDict):
    """The first error of its kind that the scenario's own code raised."""

    title: str
    place: str
    trace: str


class LiveView(FiguresView):
    """Everything that the live view shows; `report` is the report's address, or empty."""

    state: str
    faults: list[FaultView]
    verdict: LiveVerdict | None
    folder: str
    report: str


def live_data(controller: RunController, slo: Slo) -> LiveView:
    """Everything that the live view shows, of the run so far or of the last run."""
    report = _report(controller)
    live = controller.live
    return {
        "state": _refusal(controller) or _not_begun(controller) or _state(controller, live),
        "faults": [
            {
                "title": f"{each.pattern} on {DISPLAY_NAMES.get(each.backend, each.backend)}:"
                f" {each.name}" + (f": {each.message}" if each.message else ""),
                "place": each.place,
                "trace": each.trace,
            }
            for each in controller.faults.faults
        ],
        "verdict": _verdict(controller.last_path) if report else None,
        "folder": str(controller.last_path or ""),
        "report": "report.html" if report else "",
        **live_figures(live, slo, declared_patterns(controller.described_classes)),
    }


def _report(controller: RunController) -> Path | None:
    """The last run's report, once that run has ended and the report exists.

    A run that is being prepared, or could not start, hides it: it belongs to an older run.
    """
    is_old = bool(controller.preparing or controller.session.refusal)
    if controller.path or is_old or not controller.last_path:
        return None
    path = controller.last_path / "report.html"
    return path if path.exists() else None


def _verdict(path: Path | None) -> LiveVerdict | None:
    try:
        verdict = read_info(path).verdict if path else None
    except ResultsError:
        return None
    if not verdict:
        return None
    return {"status": verdict.status, "sentence": verdict.sentence}


def _refusal(controller: RunController) -> str:
    error = controller.session.refusal
    if error is None:
        return ""
    hint = getattr(error, "hint", "")
    return f"There is no result. {error} {hint}".strip()


def _not_begun(controller: RunController) -> str:
    if controller.preparing:
        return f"The run is being prepared: {controller.preparing}."
    if controller.is_rehearsing:
        return "Rehearsing: fresh databases are called at full speed before the run."
    return "" if controller.last_path else "No run yet: start one with Locust's own form."


def _state(controller: RunController, live: LiveFigures | None) -> str:
    elapsed = f"{live.time_s:.0f} s" if live else ""
    if controller.path:
        if not live:
            return "The run is starting."
        return f"Measuring: {elapsed}." if live.series else f"Warming up: {elapsed}."
    ended = f"The run has ended after {elapsed}." if live else "The run has ended."
    if _report(controller):
        return ended
    options = controller.environment.parsed_options
    if options is not None and options.no_report:
        return f"{ended} It has no report; `loadtests gate` with the run folder makes one."
    return f"{ended} It is being judged."
