"use strict";
/* Sweep trees: candidates by rank at each node, what a judge says of them, and the completions behind them. */
const Sweeps = (() => {
  const { el, share, count, token, readable, field, select } = Dom;
  const LABELS = ["missing", "invalid", "valid", "uncertain"]; // as calib_assets/explorer/sweep.py numbers them
  const ABOUT = {
    valid: "a judged completion below it is valid", invalid: "every completion below it is judged, none is valid",
    uncertain: "none of the judged completions below it is valid, some have no judgment", missing: "no completion below it has a judgment",
  };
  const LONG_LIST = 25, MOST_COMPLETIONS = 6;

  function start(root, cells, read, placed) {
    const state = { model: cells[0].model, name: cells[0].name, repetition: 0, judge: "", node: 0, k: 1, all: false };
    let sweep = null, tree = null, ticket = 0, frame = 0;
    const controls = el("div", { class: "controls" }), prompt = el("div"), walk = el("div"), list = el("div"), cutoff = el("div", { class: "cutoff-control" });
    const figure = el("figure"), completion = el("section", { class: "completion", "aria-label": "Completions" });
    const said = el("p", { class: "said", role: "status", "aria-live": "polite" });
    root.append(controls, prompt, walk, said, el("div", { class: "split" }, el("div", {}, cutoff, list), el("div", { class: "beside" }, completion, figure)));

    async function load(change) {
      const mine = ++ticket;
      Object.assign(state, change);
      const names = cells.filter((cell) => cell.model === state.model).map((cell) => cell.name);
      if (!names.includes(state.name)) state.name = names[0];
      root.setAttribute("aria-busy", "true");
      const found = await Engine.unpackAll(await read(cells.find((cell) => cell.model === state.model && cell.name === state.name)));
      if (mine !== ticket) return;
      sweep = found;
      if (!sweep.judges.includes(state.judge)) state.judge = sweep.judges[0];
      root.removeAttribute("aria-busy");
      placed({ model: state.model, name: state.name });
      open(Math.min(state.repetition, sweep.repetitions.length - 1));
    }

    function open(repetition) {
      state.repetition = repetition;
      tree = sweep.repetitions[repetition];
      tree.children = Array.from(tree.parent, () => []);
      tree.parent.forEach((parent, node) => { if (parent >= 0) tree.children[parent].push(node); });
      for (const nodes of tree.children) nodes.sort((a, b) => tree.rank[a] - tree.rank[b]);
      Object.assign(state, { node: 0, k: 1, all: false });
      drawControls();
      draw();
    }

    function drawControls() {
      const models = [...new Set(cells.map((cell) => cell.model))], names = cells.filter((cell) => cell.model === state.model).map((cell) => cell.name);
      const short = (text) => token(text.replace(/\s+/g, " "), 60);
      const at = [...controls.querySelectorAll("select")].indexOf(document.activeElement);
      controls.replaceChildren(
        field("Model", select(models.map((name) => [name, name]), state.model, (model) => load({ model }))),
        field("Sweep", select(names.map((name) => [name, name]), state.name, (name) => load({ name }))),
        field("Repetition", select(sweep.repetitions.map((item, i) => [String(i), `${item.seed}: ${short(item.prompt)}`]), String(state.repetition), (i) => open(Number(i)))),
        field("Judge", select(sweep.judges.map((name) => [name, name]), state.judge, (judge) => { state.judge = judge; draw(); })));
      if (at >= 0) controls.querySelectorAll("select")[at]?.focus();
      prompt.replaceChildren(el("p", { class: "prompt" }, el("strong", { text: "Prompt " }), readable(tree.prompt)),
        tree.prefix ? el("p", { class: "prompt" }, el("strong", { text: "Prefix " }), readable(tree.prefix)) : "");
    }

    const judged = () => tree.judges[state.judge];
    const labelOf = (node) => LABELS[judged().label[node]];
    const trail = (node) => { const found = []; for (let v = node; v > 0; v = tree.parent[v]) found.unshift(v); return found; };
    const leavesBelow = (node) => (tree.children[node].length ? tree.children[node].flatMap(leavesBelow) : [node]);
    const schedule = () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); }); };

    function go(node) {
      Object.assign(state, { node, k: 1, all: false });
      draw();
      walk.querySelector("[aria-current]")?.focus();
    }

    function draw() {
      const nodes = tree.children[state.node];
      const crumb = (node, text) => el("li", {}, el("button", { type: "button", "aria-current": node === state.node ? "location" : null, onclick: () => go(node), text }));
      walk.replaceChildren(el("nav", { "aria-label": "Path in the sweep tree" }, el("ol", { class: "crumbs" }, crumb(0, "root"), trail(state.node).map((node) => crumb(node, token(tree.text[node]))))));
      const rows = nodes.map((node) => ({ rank: tree.rank[node], label: labelOf(node) === "missing" ? null : labelOf(node) === "valid", n_valid: judged().n_valid[node] }));
      const points = Engine.nodeCurve(rows);
      state.k = Math.max(1, Math.min(state.k, Math.max(1, points.length)));
      drawCutoff(points, nodes);
      drawList(nodes, points);
      show(state.node, "below this node");
    }

    function drawCutoff(points, nodes) {
      const now = points[state.k - 1], labels = nodes.map(labelOf), n = (label) => labels.filter((item) => item === label).length;
      const words = now ? `first ${state.k} of ${points.length} judged candidates, down to rank ${count(now.rank)}: precision ${share(now.precision)}, recall ${share(now.tokenRecall)}, by completions ${share(now.recall)}`
        : "No candidate here is known to be valid, so no cutoff has a recall";
      if (now) {
        let input = cutoff.querySelector("input");
        if (!input) {
          cutoff.replaceChildren(field("Cutoff: keep the first k judged candidates", el("input", { type: "range", min: 1, step: 1, class: "whole" })), el("output", {}));
          input = cutoff.querySelector("input");
        }
        input.max = points.length;
        input.value = state.k;
        input.oninput = () => { state.k = Number(input.value); schedule(); };
        input.setAttribute("aria-valuetext", words);
        cutoff.querySelector("output").textContent = `k = ${state.k}: ${words}.`;
        figure.replaceChildren(Charts.precisionRecall(figure, { points, now, label: `Precision and recall of every cutoff; ${words}` }),
          el("figcaption", { text: "Every cutoff at this node: recall by tokens (solid), by valid completions (dashed). Ring: the cutoff chosen." }));
      } else {
        cutoff.replaceChildren(el("p", { text: `${words}.` }));
        figure.replaceChildren();
      }
      said.textContent = `${nodes.length} candidates: ${LABELS.map((label) => [n(label), label]).filter(([k]) => k).map(([k, label]) => `${k} ${label}`).join(", ")}.`;
    }

    function drawList(nodes, points) {
      const last = points.length ? points[state.k - 1].rank : 0, rows = state.all ? nodes : nodes.slice(0, LONG_LIST);
      const line = (node) => {
        const label = labelOf(node), p = Math.exp(tree.log_probability[node]), inner = tree.children[node].length > 0;
        const open_ = () => show(node, "");
        return el("tr", { class: tree.rank[node] <= last ? "inside" : "", onpointerenter: open_ },
          el("td", { class: "number", text: count(tree.rank[node]) }),
          el("td", {}, el("button", { type: "button", class: "token", "aria-label": `${token(tree.text[node])}, ${label}${inner ? ", go to its candidates" : ", show its completion"}`, onfocus: open_, onclick: () => (inner ? go(node) : show(node, "", true)) },
            token(tree.text[node], list.clientWidth < 420 ? 12 : 24), inner ? el("span", { "aria-hidden": "true", text: " ›" }) : "", tree.is_end[node] ? el("span", { class: "end", text: " end" }) : "")),
          el("td", { title: ABOUT[label] }, Charts.icon(label === "missing" ? "unknown" : label), el("span", { class: "word", text: label })),
          el("td", {}, Charts.bar(p, label === "valid" ? "valid" : "invalid", true, list.clientWidth < 420 ? 48 : 80), " ", share(p)),
          el("td", { class: "number", text: `${judged().n_valid[node]} / ${judged().n_judged[node]}` }));
      };
      const focused = document.activeElement && document.activeElement.classList.contains("more") && list.contains(document.activeElement);
      list.replaceChildren(nodes.length ? el("table", { class: "tokens" },
        el("caption", { text: "Candidates by rank. Point at one, or move the focus to it, for its completions; press it to go on." }),
        el("thead", {}, el("tr", {}, ["rank", "token", "judged", "probability (log bars)", "valid / judged below"].map((text) => el("th", { scope: "col", text })))),
        el("tbody", {}, rows.map(line))) : el("p", { text: "This answer ends here." }),
        nodes.length > LONG_LIST ? el("button", { type: "button", class: "more", text: state.all ? "Show fewer" : `Show ${nodes.length - LONG_LIST} more`, onclick: () => { state.all = !state.all; schedule(); } }) : "");
      if (focused) list.querySelector(".more")?.focus();
    }

    /** The completions behind a node, beside the list. `scroll` brings them into sight where they are below it. */
    function show(node, place, scroll = false) {
      const leaves = leavesBelow(node), said_ = judged().said;
      const shown = [...leaves].sort((a, b) => (labelOf(b) === "valid") - (labelOf(a) === "valid")).slice(0, MOST_COMPLETIONS);
      const item = (leaf) => {
        const [text, finish] = tree.completion[leaf] ?? ["", ""], [status, reason] = said_[leaf] ?? ["missing", ""];
        const path = trail(leaf).map((v) => tree.text[v]).join("");
        const label = labelOf(leaf);
        return el("li", {}, Charts.icon(label === "missing" ? "unknown" : label), el("span", { class: "word", text: `${label} ` }),
          el("q", {}, el("span", { class: "path", text: readable(path) }), el("span", { text: readable(text) })),
          finish === "length" ? el("span", { class: "meta", text: " (cut at the limit)" }) : "",
          reason || status !== "ok" ? el("p", { class: "meta", text: `${status === "ok" ? "" : `${status}. `}${readable(reason)}` }) : "");
      };
      completion.replaceChildren(
        el("h3", { text: node === 0 ? "Completions" : `Completions ${place || "of"} ${place ? "" : token(tree.text[node])}` }),
        el("p", { class: "meta", text: `${count(leaves.length)} greedy ${leaves.length === 1 ? "completion" : "completions"} below, ${judged().n_valid[node]} valid${leaves.length > shown.length ? `; ${shown.length} shown, valid ones first` : ""}. The tokens of the tree are underlined.` }),
        el("ul", {}, shown.map(item)));
      if (scroll) completion.scrollIntoView({ block: "nearest" });
    }

    Dom.onWidth(root, () => { if (tree) schedule(); });
    return ({ at, ...place }) => load(place); // shows a place
  }

  return { start };
})();
