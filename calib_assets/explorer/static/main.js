"use strict";
/* The page: its index, the cells' data blocks, and the two tabs. */
(() => {
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
    { id: "tasks", title: "Exact tasks", cells: tasks, start: (panel) => Exact.start(panel, tasks, index.rules, openTask) },
    { id: "sweeps", title: "Sweep trees", cells: sweeps, start: (panel) => Sweeps.start(panel, sweeps, json) },
  ].filter((tab) => tab.cells.length);

  if (!tabs.length) {
    main.append(trouble, el("p", { class: "notice", text: "There is nothing to explore yet: the study has neither an exact task nor a sweep with results." }));
    return;
  }
  const list = el("div", { role: "tablist", "aria-label": "Studies", class: "tabs" });
  for (const tab of tabs) {
    tab.panel = el("div", { role: "tabpanel", id: `panel-${tab.id}`, "aria-labelledby": `tab-${tab.id}`, hidden: true });
    tab.button = el("button", { type: "button", role: "tab", id: `tab-${tab.id}`, "aria-controls": `panel-${tab.id}`, text: tab.title, onclick: () => choose(tab) });
    list.append(tab.button);
  }
  main.append(trouble, list, ...tabs.map((tab) => tab.panel));

  function choose(tab) {
    for (const other of tabs) {
      other.panel.hidden = other !== tab;
      other.button.setAttribute("aria-selected", String(other === tab));
      other.button.tabIndex = other === tab ? 0 : -1;
    }
    // Started when it is first shown: figures are drawn at the width of their place.
    if (!tab.started) tab.started = tab.start(tab.panel).catch(complain);
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], at = tabs.findIndex((tab) => tab.button === document.activeElement);
    if (!step || at < 0) return;
    const next = tabs[(at + step + tabs.length) % tabs.length];
    choose(next);
    next.button.focus();
    event.preventDefault();
  });
  choose(tabs[0]);
})();
