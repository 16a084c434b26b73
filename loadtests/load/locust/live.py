"""The live view in Locust's web UI: a tab, and the same as a page at `/loadtests/live`.

Locust's own tables stay untouched. The view shows what the scribe reported last: exact percentiles
of the measured part, their status, and the generator's health; once the run has ended its verdict,
folder and report.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, abort, jsonify, send_file

from loadtests.config import Slo
from loadtests.errors import ResultsError
from loadtests.load.locust.live_figures import live_figures
from loadtests.measure.results import read_info

if TYPE_CHECKING:
    from loadtests.load.locust.controller import RunController

_TYPES: Final = {
    "live.js": "text/javascript",
    "live.css": "text/css",
    "live": "text/html",
}
_SCRIPT: Final = '<script src="./loadtests/live.js" defer></script></head>'


def add_live_view(web_ui: Any, controller: RunController, slo: Slo) -> None:
    """Add routes and tab to a Locust web UI; behind its login, if it has one."""
    blueprint = Blueprint("loadtests", __name__, url_prefix="/loadtests")
    guard = web_ui.auth_required_if_enabled

    def live_json() -> Response:
        return jsonify(live_data(controller, slo))

    def asset(name: str) -> Response:
        if name not in _TYPES:
            abort(404)
        file = "live.html" if name == "live" else name
        text = resources.files(__package__).joinpath("web", file).read_text(encoding="utf-8")
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


def live_data(controller: RunController, slo: Slo) -> dict[str, Any]:
    """What the live view shows."""
    report = _report(controller)
    return {
        "state": _refusal(controller) or _state(controller),
        "verdict": _verdict(controller.last_path) if report else None,
        "folder": str(controller.last_path or ""),
        "report": "report.html" if report else "",
        **live_figures(controller.live, slo),
    }


def _report(controller: RunController) -> Path | None:
    """The last run's report, once that run has ended and the report is there."""
    if controller.path or not controller.last_path:
        return None
    path = controller.last_path / "report.html"
    return path if path.exists() else None


def _verdict(path: Path | None) -> dict[str, str] | None:
    try:
        verdict = read_info(path).verdict if path else None
    except ResultsError:
        return None
    if not verdict:
        return None
    return {"status": verdict.status, "said": verdict.sentence}


def _refusal(controller: RunController) -> str:
    error = controller.session.refusal
    if error is None:
        return ""
    return f"The run could not start. {error.message} {error.hint or ''}".strip()


def _state(controller: RunController) -> str:
    live = controller.live
    elapsed = f"{live['time_s']:.0f} s" if live else ""
    if not controller.last_path:
        return "No run yet: start one with Locust's own form."
    if controller.path:
        if not live:
            return "The run is starting."
        return f"Measuring: {elapsed}." if live["series"] else f"Warming up: {elapsed}."
    ended = f"The run has ended after {elapsed}." if live else "The run has ended."
    if _report(controller):
        return ended
    options = controller.environment.parsed_options
    if options is not None and options.no_report:
        return f"{ended} No report was asked for; `loadtests gate` with the run folder makes one."
    return f"{ended} It is being judged."
