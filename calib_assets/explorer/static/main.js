"use strict";
/* The page: its index, the cells' data blocks, and the two tabs. */
(() => {
  if (Beside.isAsked) return; // the report only wants to know that this page is there
  const { el } = Dom;
  const index = JSON.parse(document.getElementById("index").textContent);
  const main = document.getElementById("content");

  /** A cell's data, parsed when it is first asked for, and exact tasks opened once. */
  const opened = new Map();
  async function json(cell) {
    if (!cell.file) return JSON.parse(document.getElementById(cell.id).textContent);
    if (!(window.ExplorerData && cell.id in window.ExplorerData)) await besides(cell.file);
    return window.ExplorerData[cell.id];
  }
  /** The data of one model, from the script beside the page: a page that was opened from a file may not fetch. */
  const besides = (file) => new Promise((resolve, reject) => {
    const missing = () => reject(new Error(`${file} is not beside this page; keep the files of the explorer together`));
    document.head.append(el("script", { src: file, onload: resolve, onerror: missing }));
  });
  function openTask(cell) {
    if (!opened.has(cell.id)) opened.set(cell.id, json(cell).then(Engine.openTask));
    return opened.get(cell.id);
  }

  /** Whatever goes wrong is said on the page, not only in a console. */
  const trouble = el("p", { class: "notice", role: "alert", hidden: true });
  function complain(error) {
    trouble.hidden = false;
    trouble.textContent = typeof DecompressionStream === "undefined"
      ? "This browser cannot unpack the page's data; use Chrome or Edge 80, Firefox 113, Safari 16.4, or newer."
      : `Something in this page failed: ${error && error.message ? error.message : error}`;
  }
  window.addEventListener("error", (event) => complain(event.error || event.message));
  window.addEventListener("unhandledrejection", (event) => complain(event.reason));

  const tasks = index.cells.filter((cell) => cell.kind === "task"), sweeps = index.cells.filter((cell) => cell.kind === "sweep");
  const tabs = [
    { id: "tasks", kind: "task", title: "Exact tasks", cells: tasks, start: (panel) => Exact.start(panel, tasks, index.rules, openTask, placed("task")) },
    { id: "sweeps", kind: "sweep", title: "Sweep trees", cells: sweeps, start: (panel) => Sweeps.start(panel, sweeps, json, placed("sweep")) },
  ].filter((tab) => tab.cells.length);

  if (!tabs.length) {
    main.append(trouble, el("p", { class: "notice", text: "There is nothing to explore yet: the study has neither an exact task nor a sweep with results." }));
    return;
  }
  /** Keeps the address, and the link to the report, at what is shown: called with {model, name, at} at each step. */
  const placed = (kind) => ({ model, name, at = [] }) => {
    const address = new URLSearchParams([["model", model], [kind, name]]);
    const tab = tabs.find((item) => item.kind === kind);
    if (index.report) tab.back.replaceChildren(el("a", { href: `${index.report}#${address}`, "data-beside": index.report, text: `${model}, ${name} in the report` }));
    for (const text of at) address.append("at", text);
    tab.address = `#${address}`;
    if (!tab.panel.hidden) history.replaceState(null, "", tab.address);
  };
  const list = el("div", { role: "tablist", "aria-label": "Studies", class: "tabs" });
  for (const tab of tabs) {
    tab.panel = el("div", { role: "tabpanel", id: `panel-${tab.id}`, "aria-labelledby": `tab-${tab.id}`, hidden: true });
    tab.button = el("button", { type: "button", role: "tab", id: `tab-${tab.id}`, "aria-controls": `panel-${tab.id}`, text: tab.title, onclick: () => choose(tab) });
    tab.back = el("p", { class: "meta" });
    tab.panel.append(tab.back);
    list.append(tab.button);
  }
  main.append(trouble, list, ...tabs.map((tab) => tab.panel));

  function choose(tab, place) {
    for (const other of tabs) {
      other.panel.hidden = other !== tab;
      other.button.setAttribute("aria-selected", String(other === tab));
      other.button.tabIndex = other === tab ? 0 : -1;
    }
    // Started when it is first shown: figures are drawn at the width of their place.
    const isNew = !tab.show;
    if (isNew) tab.show = tab.start(tab.panel);
    else if (tab.address) history.replaceState(null, "", tab.address);
    if (isNew || place) tab.show(place || {}).catch((error) => { tab.panel.removeAttribute("aria-busy"); complain(error); });
  }

  /** To what the address names; what it names and is not here is said. */
  function follow() {
    const place = Beside.wanted(), tab = place && tabs.find((item) => place[item.kind] !== null);
    const found = tab && tab.cells.some((cell) => cell.model === place.model && cell.name === place[tab.kind]);
    Beside.say(main, place && !found ? `This page has no ${place.sweep === null ? "task" : "sweep"} ${place.task ?? place.sweep} of model ${place.model}; it shows what it has.` : "");
    choose(found ? tab : tabs.find((item) => !item.panel.hidden) || tabs[0], found ? { model: place.model, name: place[tab.kind], at: place.at } : null);
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], at = tabs.findIndex((tab) => tab.button === document.activeElement);
    if (!step || at < 0) return;
    const next = tabs[(at + step + tabs.length) % tabs.length];
    choose(next);
    next.button.focus();
    event.preventDefault();
  });
  window.addEventListener("hashchange", follow);
  follow();
})();
