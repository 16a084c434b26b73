// The live view: exact percentiles, SLO status and generator health, every second. It fills
// #loadtests-live on its own page, and the "CloudShelf" tab of Locust's web UI. Texts from outside
// only ever become text nodes.
"use strict";
(() => {
  const base = new URL(".", document.currentScript.src);
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = new URL("live.css", base);
  document.head.append(style);

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  const milliseconds = (value) => (value == null ? "–" : value.toFixed(3));
  const MARKS = { within: "✓", over: "✗", unknown: "…" };

  // name, class and text of every column, those that decide first: a narrow screen shows these, and
  // scrolls to the rest
  const COLUMNS = [
    ["p99 ms", "number", (row) => milliseconds(row.p99_ms)],
    ["so far", "status", (row) => `${MARKS[row.status]} ${row.detail}`],
    ["p50 ms", "number", (row) => milliseconds(row.p50_ms)],
    ["p90 ms", "number", (row) => milliseconds(row.p90_ms)],
    ["slowest in last s, ms", "number", (row) => milliseconds(row.slowest_ms)],
    ["calls", "number", (row) => row.count.toLocaleString("en")],
    ["per s", "number", (row) => row.rate_per_s.toFixed(0)],
    ["errors", "number", (row) => row.errors.toLocaleString("en")],
  ];

  function scrolling(label, table) {
    return element("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" },
      table);
  }

  function table(label, titles, rows) {
    return scrolling(label, element("table", {},
      element("thead", {}, element("tr", {},
        ...titles.map(([text, name]) => element("th", { class: name, scope: "col" }, text)))),
      element("tbody", {}, ...rows)));
  }

  function figures(rows) {
    const made = rows.map((row) => element("tr", {},
      element("th", { scope: "row" },
        element("span", { class: "pattern" }, row.pattern), " ",
        element("span", { class: "backend" }, row.backend)),
      ...COLUMNS.map(([, name, text]) => element("td",
        { class: name === "status" ? `status ${row.status}` : name }, text(row)))));
    return table("Figures per access pattern and backend", [["access pattern", ""], ...COLUMNS],
      made);
  }

  function health(data) {
    const mark = (ok) => (ok === null ? "no limit" : ok ? "✓ within" : "✗ beyond");
    const tone = (ok) => (ok === null ? "unknown" : ok ? "within" : "over");
    const rows = data.signals.map((signal) => element("tr", {},
      element("th", { scope: "row" }, signal.name),
      element("td", { class: "number" }, signal.value),
      element("td", { class: "number" }, signal.limit),
      element("td", { class: `status ${tone(signal.ok)}` }, mark(signal.ok))));
    const beyond = data.signals.filter((signal) => signal.ok === false);
    return [
      element("p", { class: data.ok ? "within" : "over" },
        `${data.ok ? "✓" : "✗"} ${data.summary}`),
      ...beyond.map((signal) => element("p", { class: "over" }, signal.text)),
      table("Signals of the load generator",
        [["signal", ""], ["value", "number"], ["limit", "number"], ["state", ""]], rows),
    ];
  }

  function processes(seconds) {
    const rows = seconds.map((process) => {
      const cells = [process.cpu, process.dispatch_delay, process.event_loop_delay,
        process.heartbeat_delay, String(process.free_users)];
      return element("tr", {}, element("th", { scope: "row" }, process.name),
        ...cells.map((text) => element("td", { class: "number" }, text)));
    });
    return table("Load processes in the last second",
      [["load process, last second", ""], ["CPU", "number"], ["dispatch delay p99 ms", "number"],
        ["event-loop delay p99 ms", "number"], ["longest heartbeat delay ms", "number"],
        ["free users", "number"]], rows);
  }

  function ending(data) {
    if (!data.report) return [];
    const link = element("a", { class: "report", href: new URL(data.report, base) },
      "Open the report");
    const verdict = data.verdict
      ? element("p", { class: `verdict ${data.verdict.status}` }, data.verdict.sentence) : null;
    return [element("div", { class: "ending" }, verdict, element("p", {}, link))];
  }

  function fault(data) {
    return element("details", {},
      element("summary", {}, element("span", { class: "over" }, data.title), " ",
        element("code", {}, data.place)),
      element("pre", { class: "scroll", tabindex: "0" }, data.trace));
  }

  function view(data) {
    const parts = [element("h1", {}, "CloudShelf, live"),
      element("p", { class: "state" }, data.state), ...ending(data)];
    if (data.rows.length) {
      parts.push(figures(data.rows), element("p", { class: "note" },
        "Response time from the intended start, to three significant digits, without the warm-up. A " +
        "percentile is shown once it has enough calls. “So far” compares these figures with their " +
        "limits; the verdict after the run considers their confidence intervals."));
    }
    if (data.faults.length) {
      parts.push(element("h2", {}, "Errors of the scenario's own code"), ...data.faults.map(fault));
    }
    if (data.errors.length) {
      parts.push(element("h2", {}, "Errors"),
        element("ul", {}, ...data.errors.map((text) => element("li", {}, text))));
    }
    if (data.health.summary) {
      parts.push(element("h2", {}, "Load generator"), ...health(data.health));
    }
    if (data.stalls) {
      parts.push(element("p", { class: "stalls" }, data.stalls.text));
      if (data.stalls.throttled) {
        parts.push(element("p", { class: "over" }, data.stalls.throttled));
      }
    }
    if (data.processes.length) parts.push(processes(data.processes));
    if (data.folder) {
      parts.push(element("p", { class: "note" }, "Run folder: ",
        element("code", {}, data.folder)));
    }
    parts.push(element("p", { class: "note" }, COARSER));
    return element("div", { class: "loadtests" }, ...parts);
  }

  const COARSER = "Locust's own tables and charts stay as they are, and are coarser: they round to " +
    "whole milliseconds below 100 ms and to two digits above, and include the warm-up.";

  // Brings `old` up to `fresh` in place, so that scroll, focus and selection outlive the second
  function become(old, fresh) {
    if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return undefined;
    }
    for (const { name } of [...old.attributes]) {
      const opened = name === "open" && old.nodeName === "DETAILS"; // by the reader
      if (!fresh.hasAttribute(name) && !opened) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    while (old.childNodes.length > fresh.childNodes.length) old.lastChild.remove();
    [...fresh.childNodes].forEach((child, place) => {
      if (old.childNodes[place]) become(old.childNodes[place], child);
      else old.append(child);
    });
    return undefined;
  }

  function show(target, made) {
    if (target.firstChild) become(target.firstChild, made);
    else target.append(made);
  }

  // Locust has a theme of its own, whatever the system prefers; what counts is the ground
  function theme(target) {
    const ground = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
    const dark = ground[3] !== 0 && ground[0] + ground[1] + ground[2] < 384;
    target.classList.toggle("loadtests-dark", dark);
  }

  const panel = () => document.querySelector('[role="tablist"]')?.closest(".MuiContainer-root");

  // Locust draws its tabs with React; ours is an empty panel there, filled here. What is put into
  // its container stands last, whatever it draws before it.
  function placed(id, wanted) {
    const there = document.getElementById(id);
    const parent = wanted ? panel() : null;
    if (!parent) {
      there?.remove();
      return null;
    }
    const made = there ?? element("section", { id, "aria-label": "CloudShelf" });
    if (parent.lastElementChild !== made) parent.append(made);
    theme(made);
    return made;
  }

  function place() {
    const own = document.getElementById("loadtests-live");
    if (own) {
      theme(own);
      return own;
    }
    const tab = new URLSearchParams(location.search).get("tab") ?? "stats";
    const note = placed("loadtests-note", tab === "stats" || tab === "charts");
    if (note) {
      show(note, element("p", { class: "loadtests note" }, `${COARSER} Exact figures: `,
        element("a", { href: "?tab=cloudshelf" }, "CloudShelf"), "."));
    }
    return placed("loadtests-tab", tab === "cloudshelf");
  }

  let heard = null;
  function silent(target) {
    const since = heard ? ` since ${heard.toLocaleTimeString("en-GB")}` : "";
    const text = `✗ No answer from Locust${since}; what stands here is old.`;
    let alert = target.querySelector(".silent");
    if (!alert) {
      alert = element("p", { class: "silent over", role: "alert" });
      (target.querySelector(".loadtests h1") ?? target).after(alert);
    }
    if (alert.textContent !== text) alert.textContent = text;
  }

  async function update() {
    const target = place();
    if (target) {
      try {
        const answer = await fetch(new URL("live.json", base), { cache: "no-store" });
        if (!answer.ok) throw new Error((await answer.json()).problem);
        show(target, view(await answer.json()));
        heard = new Date();
      } catch {
        silent(target); // Locust is gone or restarting; what was shown last stays
      }
    }
    setTimeout(update, 1000);
  }
  style.onload = style.onerror = update; // before that the ground's colour is not known
  document.addEventListener("click", () => setTimeout(place, 0));
})();
