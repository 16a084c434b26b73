// The live view: exact percentiles, SLO status and generator health, every second. It fills
// #loadtests-live on its own page, and the "CloudShelf" tab of Locust's web UI.
"use strict";
(() => {
  const base = new URL(".", document.currentScript.src);
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("live.css", base);
  document.head.append(style);

  const element = (name, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...children);
    return made;
  };
  const cell = (text, className = "number") => element("td", { className }, text);
  const head = (text, className = "number") =>
    element("th", { className, scope: "col" }, text);
  const milliseconds = (value) => (value == null ? "–" : value.toFixed(3));

  function status(row) {
    if (row.limit_ms == null || row.p99_ms == null) return cell("–", "open");
    return row.p99_ms <= row.limit_ms
      ? cell(`✓ within ${row.limit_ms} ms`, "good")
      : cell(`✗ over ${row.limit_ms} ms`, "bad");
  }

  function table(rows) {
    const titles = ["calls", "per s", "p50 ms", "p90 ms", "p99 ms", "last s p99 ms", "errors"];
    const body = rows.map((row) =>
      element("tr", {},
        element("th", { scope: "row" }, row.pattern), cell(row.backend, ""),
        cell(row.count.toLocaleString("en")), cell(row.rate_per_s.toFixed(0)),
        cell(milliseconds(row.p50_ms)), cell(milliseconds(row.p90_ms)),
        cell(milliseconds(row.p99_ms)), cell(milliseconds(row.last_p99_ms)),
        cell(String(row.errors)), status(row)));
    return element("table", {},
      element("caption", { className: "note", style: "text-align:left" },
        "Response time from the intended start. Measured part of the run; status is of p99 so far."),
      element("thead", {}, element("tr", {}, head("access pattern", ""), head("backend", ""),
        ...titles.map((title) => head(title)), head("p99 target", ""))),
      element("tbody", {}, ...body));
  }

  function health(signals) {
    return element("ul", {}, ...signals.map((signal) =>
      element("li", { className: signal.ok ? "good" : "bad" },
        `${signal.ok ? "✓" : "✗"} ${signal.text}`)));
  }

  function view(data) {
    const parts = [element("h1", {}, "CloudShelf, exact and live"), element("p", {}, data.phase)];
    if (data.rows.length) parts.push(table(data.rows));
    if (data.signals.length) {
      parts.push(element("h2", {}, "Load generator"), health(data.signals));
    }
    if (data.report) {
      parts.push(element("p", {}, element("a", { href: new URL(data.report, base) }, "Report")));
    }
    if (data.folder) parts.push(element("p", { className: "note" }, `Run folder: ${data.folder}`));
    parts.push(element("p", { className: "note" },
      "Locust's own tables stay as they are: they round to whole milliseconds below 100, include " +
      "the warm-up, and show the last second a little later."));
    return element("div", { className: "loadtests" }, ...parts);
  }

  // Locust draws its tabs with React; ours is an empty panel there, filled here
  function place() {
    const own = document.getElementById("loadtests-live");
    if (own) return own;
    if (new URLSearchParams(location.search).get("tab") !== "cloudshelf") {
      document.getElementById("loadtests-tab")?.remove();
      return null;
    }
    const made = document.getElementById("loadtests-tab");
    if (made) return made;
    const tabs = document.querySelector('[role="tablist"]');
    const panel = tabs?.closest(".MuiContainer-root") ?? document.getElementById("root");
    if (!tabs || !panel) return null;
    return panel.appendChild(element("section", { id: "loadtests-tab", ariaLabel: "CloudShelf" }));
  }

  async function update() {
    const target = place();
    if (target) {
      try {
        const answer = await fetch(new URL("live.json", base), { cache: "no-store" });
        if (answer.ok) target.replaceChildren(view(await answer.json()));
      } catch {
        // Locust is gone or restarting; what was shown last stays
      }
    }
    setTimeout(update, 1000);
  }
  update();
  document.addEventListener("click", () => setTimeout(place, 0));
})();
