"""The live view in Locust's web UI: a tab, and the same as a page at `/loadtests/live`.

Locust's own tables stay untouched. The view shows what the scribe reported last: exact percentiles
of the measured part, the target's status, and the generator's health.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, abort, jsonify, send_file

from loadtests.config import Slo

if TYPE_CHECKING:
    from loadtests.load.conductor import Conductor

_TYPES: Final = {
    "live.js": "text/javascript",
    "live.css": "text/css",
    "live": "text/html",
}
_SCRIPT: Final = '<script src="./loadtests/live.js" defer></script></head>'


def add_live_view(web_ui: Any, conductor: Conductor, slo: Slo) -> None:
    """Add routes and tab to a Locust web UI; behind its login, if it has one."""
    blueprint = Blueprint("loadtests", __name__, url_prefix="/loadtests")
    guard = web_ui.auth_required_if_enabled

    def live_json() -> Response:
        return jsonify(live_data(conductor, slo))

    def asset(name: str) -> Response:
        if name not in _TYPES:
            abort(404)
        file = "live.html" if name == "live" else name
        text = resources.files("loadtests.load").joinpath("web", file).read_text(encoding="utf-8")
        return Response(text, mimetype=_TYPES[name])

    def report() -> Response:
        path = conductor.last_path and Path(conductor.last_path, "report.html")
        if not path or not path.exists():
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


def live_data(conductor: Conductor, slo: Slo) -> dict[str, Any]:
    """What the live view shows."""
    live = conductor.live
    last = {(s["backend"], s["pattern"]): s for s in live.get("last_second", [])}
    rows = []
    for series in sorted(live.get("series", []), key=lambda s: (s["pattern"], s["backend"])):
        times = series["response_time_ms"] or {}
        second = last.get((series["backend"], series["pattern"]), {})
        rows.append(
            {
                "pattern": series["pattern"],
                "backend": series["backend"],
                "count": series["count"],
                "errors": sum(series["errors"].values()),
                "rate_per_s": second.get("rate_per_s", 0.0),
                "p50_ms": times.get("p50"),
                "p90_ms": times.get("p90"),
                "p99_ms": times.get("p99"),
                "last_p99_ms": second.get("p99_ms"),
                "limit_ms": slo.limits_for(series["backend"], series["pattern"]).p99_ms,
            }
        )
    path = conductor.last_path
    return {
        "phase": _phase(conductor, live),
        "rows": rows,
        "signals": live.get("signals", []),
        "folder": str(path) if path else "",
        "report": "report.html" if path and (path / "report.html").exists() else "",
    }


def _phase(conductor: Conductor, live: dict[str, Any]) -> str:
    if not live:
        return "No run yet." if not conductor.last_path else "The run is starting."
    elapsed = f"{live['time_s']:.0f} s"
    if not conductor.path:
        return f"The run has ended after {elapsed}."
    return f"Measuring, {elapsed}." if live["series"] else f"Warming up, {elapsed}."
