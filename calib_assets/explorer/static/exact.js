"use strict";
/* Exact tasks: one model and task, a context of its trie, a rule at a temperature. */
const Exact = (() => {
  const { el, share, count, token, readable, field, select } = Dom;
  const HOW = {
    computed: ["computed", "Computed in this page by the recursion over the trie; within 0.000001 of the exact value."],
    stored: ["stored", "The study's stored value: in this page the cut falls into the summarised tail of some context."],
    estimate: ["estimate", "The cut falls into the summarised tail of some context, and the study has no stored value at this setting."],
    nearest: ["nearest stored", "The study's stored value at the nearest setting: the task is too large for the page, or the rule is not computed in it."],
    none: ["not available", "Neither computed in the page nor swept by the study."],
  };
  const LONG_LIST = 15; // rows shown before "show more"

  function start(root, cells, rules, read, placed) {
    const models = [...new Set(cells.map((cell) => cell.model))];
    const state = { model: models[0], name: cells[0].name, node: 0, T: 1, rule: "unrestricted", parameter: null, k: 5, all: false, path: [] };
    let task = null, frame = 0, ticket = 0;

    // -- controls ----------------------------------------------------------------------------------------------------
    const controls = el("div", { class: "controls" });
    const summary = el("div", { class: "cards" });
    const said = el("p", { class: "said", role: "status", "aria-live": "polite" });
    const plane = el("figure", {}), walk = el("div"), curve = el("figure"), list = el("div");
    const masses = el("figure"), recall = el("figure"), answers = el("div"), about = el("p", { class: "meta" });
    const cutoff = el("div", { class: "cutoff-control" });
    const why = el("ul", { class: "meta" });
    root.append(controls,
      el("section", { "aria-label": "The whole task" }, el("h2", { text: "The whole task" }),
        el("div", { class: "split" }, el("div", {}, about, summary, said, why), plane)),
      el("section", { "aria-label": "One context" }, el("h2", { text: "One context" }), walk,
        el("div", { class: "split" }, el("div", {}, curve, cutoff, list), el("div", {}, masses, recall))),
      el("section", { "aria-label": "Answers" }, el("h2", { text: "Answers" }), answers));

    const grid = (rule) => {
      const stored = task ? task.sweep.parameter.filter((value, i) => task.sweep.rule[i] === rule.name && value !== null) : [];
      return stored.length ? stored : rule.grid;
    };
    const card = () => rules.find((rule) => rule.name === state.rule);

    function drawControls() {
      const names = cells.filter((cell) => cell.model === state.model).map((cell) => [cell.name, cell.name]);
      const temperature = el("input", { type: "range", min: 0.2, max: 4, step: 0.05, value: state.T, oninput: (e) => set({ T: Number(e.target.value) }) });
      const exactT = el("input", { type: "number", min: 0.2, max: 10, step: "any", value: state.T, "aria-label": "Temperature, as a number",
        onchange: (e) => set({ T: Math.max(0.2, Math.min(10, Number(e.target.value) || 1)) }) });
      const rule = card(), values = rule.parameter ? grid(rule) : [];
      const offered = rules.filter(({ name }) => name in Engine.RULES || task.sweep.rule.includes(name));
      const nearest = values.reduce((best, value, i) => (Math.abs(value - state.parameter) < Math.abs(values[best] - state.parameter) ? i : best), 0);
      const parameter = rule.parameter ? [
        field(`${rule.label}: ${rule.parameter}`, el("div", { class: "pair", role: "group", "aria-label": `Parameter ${rule.parameter} of ${rule.label}` },
          el("input", { type: "range", min: 0, max: values.length - 1, step: 1, value: nearest, "aria-label": `${rule.parameter}, by steps of the study's grid`, "aria-valuetext": String(state.parameter),
            oninput: (e) => set({ parameter: values[Number(e.target.value)] }) }),
          el("input", { type: "number", step: "any", value: state.parameter, "aria-label": `${rule.parameter}, as a number`,
            onchange: (e) => set({ parameter: allowed(rule, Number(e.target.value)) }) })))] : [];
      const box = document.activeElement && controls.contains(document.activeElement) ? [...controls.querySelectorAll("input,select")].indexOf(document.activeElement) : -1;
      controls.replaceChildren(
        field("Model", select(models.map((name) => [name, name]), state.model, (model) => load({ model }))),
        field("Task", select(names, state.name, (name) => load({ name }))),
        field("Rule", select(offered.map(({ name, label }) => [name, label]), state.rule, (name) => setRule(name))),
        ...parameter,
        field("Temperature", el("div", { class: "pair", role: "group", "aria-label": "Temperature" }, fillLabel(temperature, "Temperature"), exactT)));
      if (box >= 0) controls.querySelectorAll("input,select")[box]?.focus();
    }

    const fillLabel = (input, label) => { input.setAttribute("aria-label", label); return input; };

    /** A parameter inside the rule's range: counts are whole, shares in (0, 1], epsilons below 1. */
    function allowed(rule, value) {
      if (!Number.isFinite(value) || value <= 0) return grid(rule)[0];
      if (rule.parameter === "k") return Math.max(1, Math.round(value));
      if (rule.parameter === "n") return value;
      return Math.min(value, rule.parameter === "eps" ? 0.999999 : 1);
    }

    function setRule(name) {
      const rule = rules.find((item) => item.name === name), values = rule.parameter ? grid(rule) : [];
      set({ rule: name, parameter: values.length ? values[Math.floor(values.length / 2)] : null }, true);
    }

    function set(change, rebuild = false) {
      Object.assign(state, change);
      if (rebuild) drawControls();
      else syncControls();
      schedule();
    }

    /** Sliders and numbers show one value; the control in use is left alone. */
    function syncControls() {
      const [tRange, tNumber] = controls.querySelectorAll('[aria-label="Temperature"] input');
      const put = (input, value) => { if (input && input !== document.activeElement) input.value = value; };
      put(tRange, state.T);
      put(tNumber, state.T);
      const group = controls.querySelector('[aria-label^="Parameter "]');
      if (!group) return;
      const [range, number] = group.querySelectorAll("input"), values = grid(card());
      put(number, state.parameter);
      put(range, values.reduce((best, value, i) => (Math.abs(value - state.parameter) < Math.abs(values[best] - state.parameter) ? i : best), 0));
      range.setAttribute("aria-valuetext", String(state.parameter));
    }

    async function load(change) {
      const mine = ++ticket;
      Object.assign(state, change);
      const names = cells.filter((cell) => cell.model === state.model).map((cell) => cell.name);
      if (!names.includes(state.name)) state.name = names[0];
      root.setAttribute("aria-busy", "true");
      const found = await read(cells.find((cell) => cell.model === state.model && cell.name === state.name));
      if (mine !== ticket) return; // another choice was made meanwhile
      // The same path is kept where the new task has it: models are then compared at one context.
      task = found;
      state.node = follow(state.path);
      // At first the page goes to where the model has a choice: the first context with several valid tokens.
      while (!state.path.length && children(state.node).length === 1 && task.row[children(state.node)[0]] >= 0) state.node = children(state.node)[0];
      remember();
      state.k = Math.max(1, Math.min(state.k, here() ? here().size : 1));
      root.removeAttribute("aria-busy");
      placed({ model: state.model, name: state.name, at: state.path });
      drawControls();
      draw();
    }

    // -- the trie ----------------------------------------------------------------------------------------------------
    const textOf = (node) => task.texts[task.trie.token[node - 1]] ?? "";
    const children = (node) => Array.from({ length: Math.max(0, Math.min(task.childStart[node + 1], task.n) - task.childStart[node]) }, (_, i) => task.childStart[node] + i);
    const trail = (node) => { const found = []; for (let v = node; v > 0; v = task.parent[v]) found.unshift(v); return found; };
    const here = () => (task.row[state.node] >= 0 ? task.conditionals[task.row[state.node]] : null);
    const remember = () => { state.path = trail(state.node).map(textOf); };
    function follow(path) {
      let node = 0;
      for (const text of path) {
        const next = children(node).find((child) => textOf(child) === text);
        if (next === undefined) break;
        node = next;
      }
      return task.row[node] >= 0 ? node : Math.max(0, task.parent[node]);
    }
    function go(node) {
      state.node = node;
      state.all = false;
      remember();
      placed({ model: state.model, name: state.name, at: state.path });
      draw();
      walk.querySelector("[aria-current]")?.focus();
    }

    // -- drawing -----------------------------------------------------------------------------------------------------
    function schedule() {
      if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(); });
    }

    function draw() {
      const values = Engine.answer(task, state.T, state.rule, state.parameter);
      drawSummary(values);
      drawWalk();
      drawContext();
      drawAnswers(values);
      about.textContent = task.whole
        ? `${count(task.n_answers)} valid answers, ${count(task.contexts)} contexts, a vocabulary of ${count(task.vocab)}.`
        : `${count(task.n_answers)} valid answers. Of ${count(task.contexts)} contexts the page holds the first ${count(task.conditionals.length)}; values of the whole task are the study's stored ones.`;
    }

    function drawSummary(values) {
      const rows = [["Val", "validity"], ["Div", "diversity"], ["Prec", "sequencePrecision"], ["Rec", "sequenceRecall"]];
      summary.replaceChildren(...rows.map(([short, name]) => {
        const { value, how, at } = values[name], [word, why] = HOW[how];
        const label = name.startsWith("sequence") ? el("dt", {}, short, el("sub", { text: "seq" })) : el("dt", { text: short });
        const note = at ? `${word}: T = ${at.T}${at.parameter === null ? "" : `, ${card().parameter} = ${at.parameter}`}` : word;
        return el("dl", { class: `card ${how}`, "data-measure": name, title: why }, label,
          el("dd", { class: "value", text: value === null ? (how === "none" ? "–" : "undefined") : share(value, 4) }), el("dd", { class: "how", text: note }));
      }));
      const used = [...new Set(rows.map(([, name]) => values[name].how))];
      why.replaceChildren(el("li", { text: card().about }), ...used.map((how) => el("li", { text: `${HOW[how][0]}: ${HOW[how][1]}` })));
      const { validity: v, diversity: d } = values;
      announce(`${card().label}${state.parameter === null ? "" : ` ${card().parameter} = ${state.parameter}`}, T = ${state.T}: Val ${share(v.value, 4)} (${HOW[v.how][0]}), Div ${share(d.value, 4)} (${HOW[d.how][0]}).`);
      const sweep = task.sweep, nT = sweep.temperature.length;
      const point = (s, t) => ({ validity: sweep.validity[s * nT + t], diversity: Number.isNaN(sweep.diversity[s * nT + t]) ? null : sweep.diversity[s * nT + t] });
      const all = sweep.rule.flatMap((_, s) => sweep.temperature.map((_, t) => point(s, t)));
      const own = sweep.rule.map((name, s) => s).filter((s) => sweep.rule[s] === state.rule);
      const s = own.reduce((best, i) => (best === null || Math.abs(sweep.parameter[i] - state.parameter) < Math.abs(sweep.parameter[best] - state.parameter) ? i : best), null);
      const mine = s === null ? [] : sweep.temperature.map((_, t) => point(s, t));
      const now = v.value === null || d.value === null ? null : { validity: v.value, diversity: d.value };
      const place = s === null ? "" : ` Joined: ${card().label}${sweep.parameter[s] === null ? "" : ` ${card().parameter} = ${sweep.parameter[s]}`} over the study's temperatures.`;
      plane.replaceChildren(Charts.plane(plane, { all, mine, now, label: `Validity and diversity of every stored setting; now ${share(v.value, 4)} and ${share(d.value, 4)}` }),
        el("figcaption", { text: `Every setting of the study (dots), the present one (ring).${place}` }));
    }

    let timer = 0;
    /** Said once a slider rests: a live region that speaks at every step cannot be followed. */
    function announce(text) {
      clearTimeout(timer);
      timer = setTimeout(() => { said.textContent = text; }, 350);
    }

    function drawWalk() {
      const path = trail(state.node);
      const crumb = (node, text) => el("li", {}, el("button", { type: "button", "aria-current": node === state.node ? "location" : null, onclick: () => go(node), text }));
      walk.replaceChildren(
        el("nav", { "aria-label": "Context" }, el("ol", { class: "crumbs" }, crumb(0, "start"), path.map((node) => crumb(node, token(textOf(node)))))),
        el("details", { class: "meta" }, el("summary", { text: "The prompt before it" }), el("pre", { text: readable(task.prompt) + path.map(textOf).join("") })));
    }

    function drawContext() {
      const context = here();
      if (!context) {
        curve.replaceChildren(el("p", { class: "notice", text: "This context is deeper than what the page holds of this task; go back to one nearer the start." }));
        for (const place of [cutoff, list, masses, recall]) place.replaceChildren();
        return;
      }
      const view = Engine.temper(context, state.T), found = state.rule in Engine.RULES ? Engine.select(view, state.rule, state.parameter) : null;
      const edges = children(state.node), valid = new Map(edges.map((node, edge) => [task.trie.token[node - 1], { node, edge }]));
      const row = task.row[state.node], shown = Array.from(task.shown.token.subarray(task.shown.start[row], task.shown.start[row + 1]));
      const tokens = shown.map((id, i) => describe(id, i + 1, Engine.valueAt(view, i), valid.get(id), view, found));
      const inList = new Set(shown);
      edges.forEach((node, edge) => {
        const id = task.trie.token[node - 1], logit = context.validLogit[edge];
        if (!inList.has(id)) tokens.push(describe(id, context.lower[edge] + 1, logit, { node, edge }, view, found));
      });
      tokens.sort((a, b) => a.rank - b.rank);
      drawCurve(view, found, tokens, context);
      drawCutoff(context, edges);
      drawList(tokens, found);
      drawMasses(view, found, context, edges);
    }

    function describe(id, rank, logit, own, view, found) {
      const p = Engine.probability(view, logit);
      const isKept = !found ? true : own ? found.keeps(own.edge) : state.rule === "validity_oracle" ? false : rank > found.start && rank <= found.stop;
      return { id, rank, p, text: task.texts[id] ?? `[${id}]`, label: own ? "valid" : "invalid", node: own ? own.node : null, isKept,
        q: found && isKept ? Math.exp(Engine.logProbability(view, logit) - found.logMass) : 0 };
    }

    function drawCurve(view, found, tokens, context) {
      const line = [], last = context.size;
      for (let rank = 1; rank <= last; rank = Math.max(rank + 1, Math.round(rank * 1.04))) line.push([rank, Engine.probability(view, Engine.valueAt(view, rank - 1))]);
      line.push([last, Engine.probability(view, Engine.valueAt(view, last - 1))]);
      const kept = !found || state.rule === "validity_oracle" ? [0, 0] : [found.start, found.stop];
      curve.replaceChildren(
        Charts.rankCurve(curve, { line, marks: tokens, kept, k: state.k, size: last, onpick: setCutoff,
          label: `Probability by rank; ${tokens.filter((t) => t.label === "valid").length} valid tokens at ranks ${tokens.filter((t) => t.label === "valid").slice(0, 12).map((t) => t.rank).join(", ")}` }),
        el("figcaption", { class: "legend" }, Charts.icon("valid"), " valid ", Charts.icon("invalid"), " invalid ", el("span", { class: "swatch kept" }), " retained by the rule ", el("span", { class: "swatch cut" }), " cutoff, drag it"));
    }

    /** Cutoffs that the slider steps through: every rank at first, then a hundred to each power of ten. */
    const steps = (size) => {
      const found = [];
      for (let k = 1; k <= size; k = Math.max(k + 1, Math.round(k * 1.023))) found.push(k);
      if (found[found.length - 1] !== size) found.push(size);
      return found;
    };

    function setCutoff(k) {
      state.k = k;
      schedule();
    }

    function drawCutoff(context, edges) {
      const values = steps(context.size), at = values.reduce((best, k, i) => (k <= state.k ? i : best), 0);
      const continuations = edges.map((node) => task.trie.continuations[node]);
      const found = Engine.cutoff(context.lower, state.k, continuations);
      const words = `${found.hits} of ${edges.length} valid tokens among the first ${count(state.k)}: precision ${share(found.precision)}, recall ${share(found.tokenRecall)}` +
        (found.recall === null ? "" : `, by answers ${share(found.recall)}`);
      if (!cutoff.firstChild || cutoff.dataset.size !== String(context.size)) {
        cutoff.dataset.size = context.size;
        cutoff.replaceChildren(field("Cutoff: keep the first k ranks", el("input", { type: "range", min: 0, step: 1, class: "whole" })), el("output", {}));
      }
      const input = cutoff.querySelector("input");
      input.max = values.length - 1;
      input.value = at;
      input.oninput = () => setCutoff(values[Number(input.value)]);
      input.setAttribute("aria-valuetext", `k = ${state.k}; ${words}`);
      cutoff.querySelector("output").replaceChildren(el("strong", { text: `k = ${count(state.k)}` }), ` ${words}.`);
      const points = [...context.lower].map((rank) => rank + 1).sort((a, b) => a - b).filter((k) => k <= context.size)
        .map((k) => Engine.cutoff(context.lower, k, continuations)).map((p) => ({ ...p, recall: p.recall ?? p.tokenRecall }));
      recall.replaceChildren(Charts.precisionRecall(recall, { points, now: { ...found, recall: found.recall ?? found.tokenRecall }, label: `Precision and recall of every cutoff; ${words}` }),
        el("figcaption", { text: "Precision and recall of every cutoff that ends at a valid token: by tokens (solid), by answers below them (dashed). Ring: the cutoff above." }));
    }

    function drawList(tokens, found) {
      const rows = state.all ? tokens : tokens.slice(0, LONG_LIST), hidden = tokens.length - rows.length;
      const longest = list.clientWidth < 420 ? 12 : 24;
      const cell = (item) => item.node !== null && task.trie.children[item.node] > 0
        ? el("button", { type: "button", class: "token", onclick: () => go(item.node), title: "Go to this context" }, token(item.text, longest), el("span", { "aria-hidden": "true", text: " ›" }))
        : el("span", { class: "token", text: token(item.text, longest) });
      const focused = document.activeElement && list.contains(document.activeElement) && document.activeElement.classList.contains("more");
      list.replaceChildren(
        el("table", { class: "tokens" },
          el("caption", { text: "Ranked tokens. A hollow bar is cut by the rule; a valid token leads on." }),
          el("thead", {}, el("tr", {}, ["rank", "token", "valid", "probability (log bars)", "after the rule"].map((text) => el("th", { scope: "col", text })))),
          el("tbody", {}, rows.map((item) => el("tr", { class: item.rank <= state.k ? "inside" : "" },
            el("td", { class: "number", text: count(item.rank) }), el("td", {}, cell(item)),
            el("td", {}, Charts.icon(item.label), el("span", { class: "word", text: item.label })),
            el("td", {}, Charts.bar(item.p, item.label, item.isKept, list.clientWidth < 420 ? 56 : 90), " ", share(item.p)),
            el("td", { class: "number", text: found ? share(item.q) : "–" }))))),
        hidden > 0 || state.all ? el("button", { type: "button", class: "more", onclick: () => { state.all = !state.all; schedule(); }, text: state.all ? "Show fewer" : `Show ${hidden} more` }) : "");
      if (focused) list.querySelector(".more")?.focus();
    }

    function drawMasses(view, found, context, edges) {
      const mass = (keeps) => edges.reduce((sum, _, edge) => sum + (keeps(edge) ? Engine.probability(view, context.validLogit[edge]) : 0), 0);
      const valid = mass(() => true), kept = found ? Math.exp(found.logMass) : 1, validKept = found ? mass(found.keeps) : valid;
      const measures = Object.fromEntries(Object.entries(task.measures).map(([name, values]) => [name, values[task.row[state.node]]]));
      const row = (label, value, why) => [el("dt", { text: label, title: why }), el("dd", { text: value })];
      const size = found ? found.stop - found.start : context.size;
      masses.replaceChildren(
        Charts.masses(masses, { validKept, invalidKept: Math.max(0, kept - validKept), cut: Math.max(0, 1 - kept) }),
        el("figcaption", { text: "Probability at this context: valid and retained (solid), invalid and retained (hatched), cut (grey)." }),
        el("dl", { class: "facts" },
          row("valid mass", share(valid, 4), "Before the rule, at this temperature."),
          row("retained mass", share(kept, 4)), row("valid after the rule", kept > 0 ? share(Math.min(1, validKept / kept), 4) : "–"),
          row("retained tokens", (found && !found.counted ? "about " : "") + count(size)),
          row("entropy", `${view.entropy.toFixed(3)} nats`, "Of the whole conditional at this temperature."),
          row("order AUROC", share(measures.order_auroc), "Chance that a random valid token outranks a random invalid one."),
          row("last valid rank", Number.isNaN(measures.last_valid_rank) ? "–" : count(measures.last_valid_rank)),
          row("shape divergence", Number.isNaN(measures.shape_divergence) ? "–" : `${measures.shape_divergence.toFixed(3)} nats`, "KL from the shape-calibrated distribution, at T = 1."),
          row("effective support", share(measures.effective_support), "exp(entropy) over the valid tokens, divided by their number, at T = 1.")));
    }

    function drawAnswers(values) {
      const live = values.live;
      let rows, valid, title;
      if (live) {
        rows = [...live.answerLogs].map((log, i) => [task.answers[i], Math.exp(log)]).sort((a, b) => b[1] - a[1]).slice(0, 20);
        valid = live.validity;
        title = `The likeliest of ${count(task.n_answers)} answers under ${card().label} at T = ${state.T}${live.exact.validity ? "" : " (estimates)"}`;
      } else {
        const near = task.stored_answers.reduce((best, item) => (!best || Math.abs(item.temperature - state.T) < Math.abs(best.temperature - state.T) ? item : best), null);
        if (!near) return answers.replaceChildren(el("p", { text: "No answers are stored for this task." }));
        rows = near.text.slice(0, 20).map((text, i) => [text, near.probability[i]]);
        valid = near.valid;
        title = `The likeliest of ${count(task.n_answers)} answers under temperature alone, stored at T = ${near.temperature}`;
      }
      const line = (text, p, label, name) => el("tr", { class: name }, el("td", {}, Charts.icon(label), el("span", { class: "word", text: label })), el("td", { class: "answer", text }), el("td", {}, Charts.bar(p, label, true, answers.clientWidth < 420 ? 56 : 110), " ", share(p)));
      return answers.replaceChildren(el("table", { class: "tokens" }, el("caption", { text: title }),
        el("thead", {}, el("tr", {}, ["", "answer", "probability, log scale"].map((text) => el("th", { scope: "col", text })))),
        el("tbody", {}, line("everything else, invalid", Math.max(0, 1 - valid), "invalid", "rest"), rows.map(([text, p]) => line(readable(text), p, "valid", "")))));
    }

    Dom.onWidth(root, () => { if (task) schedule(); });
    return ({ at, ...place }) => load(at ? { ...place, path: at } : place); // shows a place; `at` are the tokens of a context
  }

  return { start };
})();
