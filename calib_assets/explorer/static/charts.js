"use strict";
/* Figures as inline SVG. Valid is a blue disc or a solid bar, invalid an orange cross or a hatched bar, everywhere:
 * colour never speaks alone. A figure is drawn at the width of its place, so that text keeps its size on a phone. */
const Charts = (() => {
  const { svg, share, power, count } = Dom;
  const M = { left: 58, right: 12, top: 10, bottom: 38 };

  const widthOf = (place) => Math.max(260, Math.min(place.clientWidth || 640, 760));

  /** Hatching for what is invalid; each figure has its own, since an id is found in a shown figure only. */
  function hatch() {
    const name = Dom.id("hatch");
    const lines = svg("path", { d: "M0,6 L6,0 M-1,1 L1,-1 M5,7 L7,5", class: "hatch-line" });
    return { name: `url(#${name})`, defs: svg("defs", {}, svg("pattern", { id: name, width: 6, height: 6, patternUnits: "userSpaceOnUse" }, svg("rect", { width: 6, height: 6, class: "hatch-ground" }), lines)) };
  }

  /** The mark of a label at (x, y): disc valid, cross invalid, half disc uncertain, ring unknown. */
  function mark(label, x, y, r = 4.5, more = "") {
    const at = { transform: `translate(${x},${y})`, class: `mark ${label} ${more}` };
    if (label === "valid") return svg("g", at, svg("circle", { r }));
    if (label === "invalid") return svg("g", at, svg("path", { d: `M${-r},${-r} L${r},${r} M${-r},${r} L${r},${-r}` }));
    if (label === "uncertain") return svg("g", at, svg("circle", { r, class: "ring" }), svg("path", { d: `M0,${-r} A${r},${r} 0 0 1 0,${r} Z`, class: "half" }));
    return svg("g", at, svg("circle", { r, class: "ring" }));
  }

  const icon = (label) => svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true", class: "icon" }, mark(label, 0, 0, 5));

  function axes(width, height, { x, y, xTitle, yTitle }) {
    const right = width - M.right, bottom = height - M.bottom;
    return svg("g", { class: "axes" },
      y.map(([at, text]) => [svg("line", { x1: M.left, x2: right, y1: at, y2: at, class: "grid" }), svg("text", { x: M.left - 6, y: at + 4, "text-anchor": "end", text })]),
      x.map(([at, text]) => [svg("line", { x1: at, x2: at, y1: M.top, y2: bottom, class: "grid" }), svg("text", { x: at, y: bottom + 15, "text-anchor": "middle", text })]),
      svg("text", { x: (M.left + right) / 2, y: height - 5, "text-anchor": "middle", class: "title", text: xTitle }),
      svg("text", { transform: `translate(11,${(M.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle", class: "title", text: yTitle }));
  }

  const picture = (width, height, label, ...children) =>
    svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" }, ...children);

  const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join(" ");

  /** Probability against rank, both on log scales, with the ranks that a rule retains and the movable cutoff.
   *
   * `line` are [rank, probability] of all ranks, `marks` {rank, p, label} of named tokens, `kept` [start, stop) of the
   * rule (0-based), `onpick(rank)` is called while a pointer is pressed or dragged.
   */
  function rankCurve(place, { line, marks, kept, k, size, label, onpick }) {
    const width = widthOf(place), height = 280, right = width - M.right, bottom = height - M.bottom;
    const positive = line.filter(([, p]) => p > 0);
    const high = Math.ceil(Math.log10(Math.max(...positive.map(([, p]) => p))));
    const low = Math.max(-16, Math.min(high - 3, Math.floor(Math.log10(Math.min(...positive.map(([, p]) => p))))));
    const span = Math.max(Math.log10(Math.max(2, size)), 0.3);
    const sx = (rank) => M.left + ((right - M.left) * Math.log10(Math.max(1, rank))) / span;
    const sy = (p) => Math.min(bottom, M.top + ((bottom - M.top) * (high - Math.log10(p))) / (high - low));
    const xs = [], ys = [];
    for (let e = 0; e <= span; e++) xs.push([sx(10 ** e), count(10 ** e)]);
    const step = Math.ceil((high - low) / 6);
    for (let e = high; e >= low; e -= step) ys.push([sy(10 ** e), e === 0 ? "1" : power(e)]);
    const from = sx(kept[0] + 0.5 > 1 ? kept[0] + 0.5 : 1), to = sx(Math.min(size, kept[1] + 0.5));
    const chart = picture(width, height, label,
      kept[1] > kept[0] ? svg("rect", { x: from, y: M.top, width: Math.max(2, to - from), height: bottom - M.top, class: "kept" }) : null,
      axes(width, height, { x: xs, y: ys, xTitle: "rank", yTitle: "probability" }),
      svg("path", { d: path(positive.map(([rank, p]) => [sx(rank), sy(p)])), class: "curve" }),
      // Invalid first, so that valid tokens stay visible.
      [...marks].sort((a, b) => (a.label === "valid") - (b.label === "valid")).filter(({ p }) => p > 0)
        .map((m) => mark(m.label, sx(m.rank), sy(m.p), m.label === "valid" ? 4.5 : 3)),
      svg("line", { x1: sx(k + 0.5), x2: sx(k + 0.5), y1: M.top, y2: bottom, class: "cutoff" }),
      svg("circle", { cx: sx(k + 0.5), cy: bottom, r: 7, class: "handle" }));
    const pick = (event) => {
      const box = chart.getBoundingClientRect();
      const at = ((event.clientX - box.left) * (width / box.width) - M.left) / (right - M.left);
      onpick(Math.max(1, Math.min(size, Math.round(10 ** (at * span) - 0.5))));
    };
    chart.addEventListener("pointerdown", (event) => { chart.setPointerCapture(event.pointerId); pick(event); });
    chart.addEventListener("pointermove", (event) => { if (event.buttons & 1) pick(event); });
    chart.classList.add("pick");
    return chart;
  }

  /** One bar on a log scale from 1e-6 to 1; solid valid, hatched invalid, hollow where a rule cuts it. */
  function bar(p, label, isKept, width = 120) {
    const length = p > 0 ? Math.max(2, (width * (6 + Math.max(-6, Math.log10(p)))) / 6) : 0;
    const ground = hatch();
    return svg("svg", { width, height: 14, viewBox: `0 0 ${width} 14`, "aria-hidden": "true", class: "bar" }, ground.defs,
      svg("rect", { x: 0.5, y: 1.5, width: Math.max(0, length - 1), height: 11, class: `bar-${label}${isKept ? "" : " out"}`, fill: label === "valid" ? null : ground.name }));
  }

  /** Where the probability goes at one context, as one bar of three parts. */
  function masses(place, { validKept, invalidKept, cut }) {
    const width = widthOf(place), ground = hatch();
    let x = 0;
    const part = (share_, name, fill) => {
      const rect = svg("rect", { x, y: 0, width: Math.max(0, width * share_), height: 22, class: name, fill });
      x += width * share_;
      return rect;
    };
    return picture(width, 22, `valid and retained ${share(validKept)}, invalid and retained ${share(invalidKept)}, cut ${share(cut)}`,
      ground.defs, part(validKept, "bar-valid"), part(invalidKept, "bar-invalid", ground.name), part(cut, "bar-cut"));
  }

  /** Validity against diversity: every stored setting, those of one rule, and the present one. */
  function plane(place, { all, mine, now, label }) {
    const width = Math.min(widthOf(place), 460), height = 300, right = width - M.right, bottom = height - M.bottom;
    const sx = (v) => M.left + (right - M.left) * v, sy = (d) => bottom - (bottom - M.top) * d;
    const ticks = [0, 0.25, 0.5, 0.75, 1];
    const drawn = ({ validity, diversity }) => diversity !== null;
    return picture(width, height, label,
      axes(width, height, { x: ticks.map((v) => [sx(v), v]), y: ticks.map((d) => [sy(d), d]), xTitle: "validity", yTitle: "diversity" }),
      all.filter(drawn).map((p) => svg("circle", { cx: sx(p.validity), cy: sy(p.diversity), r: 1.4, class: "dot" })),
      svg("path", { d: path(mine.filter(drawn).map((p) => [sx(p.validity), sy(p.diversity)])), class: "curve" }),
      mine.filter(drawn).map((p) => svg("circle", { cx: sx(p.validity), cy: sy(p.diversity), r: 2.6, class: "own" })),
      now && drawn(now) ? [svg("circle", { cx: sx(now.validity), cy: sy(now.diversity), r: 9, class: "now" }), svg("circle", { cx: sx(now.validity), cy: sy(now.diversity), r: 2.5, class: "now-core" })] : null);
  }

  /** Precision against recall of every cutoff; two recalls, told apart by dashes; the present cutoff ringed. */
  function precisionRecall(place, { points, now, label }) {
    const width = Math.min(widthOf(place), 460), height = 260, right = width - M.right, bottom = height - M.bottom;
    const sx = (v) => M.left + (right - M.left) * v, sy = (d) => bottom - (bottom - M.top) * d;
    const ticks = [0, 0.25, 0.5, 0.75, 1];
    const ring = (p, recall, name) => svg("circle", { cx: sx(recall), cy: sy(p.precision), r: 7, class: name });
    return picture(width, height, label,
      axes(width, height, { x: ticks.map((v) => [sx(v), v]), y: ticks.map((d) => [sy(d), d]), xTitle: "recall", yTitle: "precision" }),
      svg("path", { d: path(points.map((p) => [sx(p.recall), sy(p.precision)])), class: "curve second" }),
      svg("path", { d: path(points.map((p) => [sx(p.tokenRecall), sy(p.precision)])), class: "curve" }),
      now ? [ring(now, now.recall, "now second"), ring(now, now.tokenRecall, "now")] : null);
  }

  return { rankCurve, bar, masses, plane, precisionRecall, icon, widthOf };
})();
