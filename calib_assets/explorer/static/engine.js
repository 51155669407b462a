"use strict";
/* The mathematics of the explorer: no page, no drawing, float64 throughout.
 *
 * A *conditional* is held as its highest logits (exact, from the largest down, equal ones as one run), and a summary of
 * the tail: weighted points that have the tail's mass at every temperature, and some of its logits by rank (*knots*).
 * So a norm, an entropy, or a cut among the exact logits is exact; a cut inside the tail is an estimate between bounds,
 * and the bounds are carried up the trie. What the names mean: METHODS of the report, calib_assets/decoding.
 */
const Engine = (() => {
  const ARRAYS = { f64: Float64Array, f32: Float32Array, u32: Uint32Array, i32: Int32Array, u8: Uint8Array };
  const TOLERANCE = 1e-6; // of Val and Div: below it a value is called exact

  // -- reading -------------------------------------------------------------------------------------------------------

  /** One array as calib_assets/explorer/packing.py writes it: base64, deflated, bytes by significance. */
  async function unpack({ type, size, data }) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const width = ARRAYS[type].BYTES_PER_ELEMENT;
    const whole = new Uint8Array(size * width);
    for (let plane = 0; plane < width; plane++)
      for (let i = 0; i < size; i++) whole[i * width + plane] = planes[plane * size + i];
    return new ARRAYS[type](whole.buffer);
  }

  /** Every packed array inside plain data, unpacked; all else as it is. */
  async function unpackAll(data) {
    if (data === null || typeof data !== "object") return data;
    if (typeof data.type === "string" && typeof data.data === "string") return unpack(data);
    if (Array.isArray(data)) return Promise.all(data.map(unpackAll));
    const names = Object.keys(data);
    const values = await Promise.all(names.map((name) => unpackAll(data[name])));
    return Object.fromEntries(names.map((name, i) => [name, values[i]]));
  }

  /** Falling float32 values from the key of the first and the steps down (descending_keys of packing.py). */
  function fromKeys(steps, first, last) {
    const bits = new Uint32Array(last - first);
    let key = 0;
    for (let i = first; i < last; i++) {
      key = i === first ? steps[i] : key - steps[i];
      bits[i - first] = key >= 0x80000000 ? key - 0x80000000 : 0xffffffff - key;
    }
    return Float64Array.from(new Float32Array(bits.buffer));
  }

  /** A task of the page, ready for `evaluate`; `raw` is task_data of calib_assets/explorer/task.py. */
  async function openTask(raw) {
    const data = await unpackAll(raw);
    const { trie, edges, heads } = data;
    const n = trie.children.length;
    const childStart = new Uint32Array(n + 1);
    childStart[0] = 1;
    for (let u = 0; u < n; u++) childStart[u + 1] = childStart[u] + trie.children[u];
    const parent = new Int32Array(n).fill(-1);
    const depth = new Uint32Array(n);
    const row = new Int32Array(n).fill(-1); // of a node's conditional
    const contexts = [];
    for (let u = 0; u < n; u++) {
      for (let v = childStart[u]; v < Math.min(childStart[u + 1], n); v++) {
        parent[v] = u;
        depth[v] = depth[u] + 1;
      }
      if (trie.children[u] > 0 && contexts.length < heads.size.length) {
        row[u] = contexts.length;
        contexts.push(openContext(heads, edges, contexts.length, childStart[u] - 1, childStart[u + 1] - 1));
      }
    }
    return { ...data, n, childStart, parent, depth, row, conditionals: contexts };
  }

  function openContext(heads, edges, row, firstEdge, lastEdge) {
    const first = heads.start[row], last = heads.start[row + 1];
    const values = fromKeys(heads.key, first, last);
    const counts = heads.count ? heads.count.subarray(first, last) : new Uint32Array(values.length).fill(1);
    const before = new Float64Array(values.length + 1); // tokens above a run
    for (let i = 0; i < values.length; i++) before[i + 1] = before[i] + counts[i];
    const points = [heads.point_start[row], heads.point_start[row + 1]];
    const knots = [heads.knot_start[row], heads.knot_start[row + 1]];
    return {
      values, counts, before,
      size: heads.size[row], std: heads.std[row], top: values[0],
      exact: before[values.length], // ranks whose logits are known
      gap: heads.gap.subarray(...points), weight: heads.weight.subarray(...points),
      knotRank: heads.knot_rank.subarray(...knots), knot: fromKeys(heads.knot_key, ...knots),
      validLogit: Float64Array.from(edges.logit.subarray(firstEdge, lastEdge)),
      lower: edges.lower.subarray(firstEdge, lastEdge), higher: edges.higher.subarray(firstEdge, lastEdge),
    };
  }

  // -- one conditional at one temperature ----------------------------------------------------------------------------

  /** First index in low .. high - 1 at which a monotone predicate holds, else high. */
  function firstTrue(low, high, holds) {
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (holds(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** softmax(logits / T): masses are relative to the largest logit's weight 1, and `norm` is their sum. */
  function temper(context, T) {
    const { values, counts, top } = context, n = values.length;
    const above = new Float64Array(n + 1); // mass of the runs before i, summed downwards
    const below = new Float64Array(n + 1); // mass of run i and all after it, summed upwards
    const one = new Float64Array(n); // mass of one token of a run
    let tail = 0, energy = 0;
    for (let j = context.gap.length - 1; j >= 0; j--) {
      const mass = context.weight[j] * Math.exp(-context.gap[j] / T);
      tail += mass;
      energy += mass * context.gap[j];
    }
    below[n] = tail;
    for (let i = n - 1; i >= 0; i--) {
      one[i] = Math.exp(values[i] / T - top / T);
      below[i] = below[i + 1] + one[i] * counts[i];
      energy += one[i] * counts[i] * (top - values[i]);
    }
    for (let i = 0; i < n; i++) above[i + 1] = above[i] + one[i] * counts[i];
    const norm = below[0];
    const view = { context, T, above, below, one, tail, norm, logNorm: Math.log(norm) };
    view.entropy = view.logNorm + energy / (norm * T);
    return view;
  }

  const probability = (view, logit) => Math.exp(logit / view.T - view.context.top / view.T) / view.norm;
  const logProbability = (view, logit) => logit / view.T - view.context.top / view.T - view.logNorm;

  /** Segments of the tail between knots: ranks, logits, the mass of evenly spaced logits, and bounds of it. */
  function segments(view) {
    if (view.segments) return view.segments;
    const { context, T } = view, found = [];
    let rank = context.exact, from = context.values[context.values.length - 1], model = 0;
    for (let j = 0; j < context.knot.length; j++) {
      const n = context.knotRank[j] - rank, to = context.knot[j];
      const part = { rank, n, from, to, low: n * Math.exp((to - context.top) / T), high: n * Math.exp((from - context.top) / T) };
      part.model = spaced(part, n, context.top, T);
      model += part.model;
      found.push(part);
      rank = context.knotRank[j];
      from = to;
    }
    // The exact mass of the tail is known: the model is scaled to it, and bounds come from both ends.
    const scale = model > 0 ? view.tail / model : 1;
    let mass = 0, low = 0, high = 0;
    for (const part of found) {
      part.scale = scale;
      part.mass = mass; // above the segment
      part.least = low;
      part.most = high;
      mass += part.model * scale;
      low += part.low;
      high += part.high;
    }
    let lowBelow = 0, highBelow = 0;
    for (const part of [...found].reverse()) {
      part.endLeast = Math.max(part.least + part.low, view.tail - highBelow);
      part.endMost = Math.min(part.most + part.high, view.tail - lowBelow);
      lowBelow += part.low;
      highBelow += part.high;
      part.least = Math.max(part.least, view.tail - highBelow);
    }
    view.segments = found;
    return found;
  }

  /** Mass of the first m of n logits that fall evenly from `from` (left out) to `to`. */
  function spaced(part, m, top, T) {
    const step = (part.from - part.to) / (part.n * T);
    const first = Math.exp((part.from - top) / T - step);
    return step < 1e-12 ? m * first : (first * -Math.expm1(-step * m)) / -Math.expm1(-step);
  }

  const segmentOfRank = (view, rank) => {
    const all = segments(view);
    return all[Math.min(firstTrue(0, all.length, (j) => all[j].rank + all[j].n > rank), all.length - 1)];
  };

  /** Run that holds a 0-based rank among the exact ones. */
  const runOfRank = (context, rank) => firstTrue(0, context.values.length, (i) => context.before[i + 1] > rank);

  /** Logit at a 0-based rank; beyond the end the last one. */
  function valueAt(view, rank) {
    const { context } = view;
    rank = Math.max(0, Math.min(rank, context.size - 1));
    if (rank < context.exact) return context.values[runOfRank(context, rank)];
    const part = segmentOfRank(view, rank);
    return part.from - ((part.from - part.to) * (rank + 1 - part.rank)) / part.n;
  }

  /** Number of tokens whose logit satisfies `keeps`, monotone in the logit; `threshold` is where it turns. */
  function countWhile(view, threshold, keeps) {
    const { context } = view, runs = context.values.length;
    const run = firstTrue(0, runs, (i) => !keeps(context.values[i]));
    if (run < runs || context.exact === context.size) return context.before[run];
    const part = segments(view).find(({ to }) => !keeps(to));
    if (!part) return context.size;
    const share = part.from > part.to ? (part.from - threshold) / (part.from - part.to) : 1;
    return part.rank + Math.max(0, Math.min(part.n - 1, Math.floor(part.n * share)));
  }

  const countAtLeast = (view, value) => countWhile(view, value, (logit) => logit >= value);

  /** Mass of the first `count` ranks. */
  function massAbove(view, count) {
    const { context } = view;
    if (count <= context.exact) {
      const run = runOfRank(context, count);
      return run === context.values.length ? view.above[run] : view.above[run] + view.one[run] * (count - context.before[run]);
    }
    if (count >= context.size) return view.norm;
    const part = segmentOfRank(view, count - 1);
    return view.above[context.values.length] + part.mass + part.scale * spaced(part, count - part.rank, context.top, view.T);
  }

  /** Mass of all ranks from `rank` (0-based) on. */
  function massBelow(view, rank) {
    const { context } = view;
    if (rank >= context.size) return 0;
    if (rank >= context.exact) return Math.max(0, view.tail - (massAbove(view, rank) - view.above[context.values.length]));
    const run = runOfRank(context, rank);
    return view.below[run + 1] + view.one[run] * (context.before[run + 1] - rank);
  }

  /** Bounds of the mass of the first `count` ranks, where the end of a cut is known up to its segment. */
  function massBounds(view, count) {
    const { context } = view, mass = massAbove(view, count);
    if (count <= context.exact || count >= context.size) return { mass, least: mass, most: mass };
    const part = segmentOfRank(view, count - 1), head = view.above[context.values.length];
    return { mass, least: head + part.least, most: head + part.endMost };
  }

  // -- rules ---------------------------------------------------------------------------------------------------------
  // Each returns what it retains: ranks start .. stop - 1 with their mass and its bounds, and `keeps(edge)` for valid
  // tokens. `sure` is false where it may be wrong about a valid token, `counted` where `stop` is an estimate.
  // Order of operations and ties are those of calib_assets/decoding/rules.

  /** The first `stop` ranks. */
  function leading(view, stop, { ties = "lower", keeps, bounds } = {}) {
    const { context } = view, ranks = context[ties];
    const exact = stop <= context.exact || stop >= context.size;
    return {
      start: 0, stop, sure: true, counted: exact,
      ...massBounds(view, stop), ...(exact ? {} : bounds),
      keeps: keeps || ((edge) => ranks[edge] < stop),
    };
  }

  /** Tokens of probability at least `floor`; the most likely ones always stay where `top` says so. */
  function aboveFloor(view, floor, top) {
    const { context } = view;
    const threshold = context.top + view.T * (Math.log(floor) + view.logNorm);
    const isKept = (logit) => probability(view, logit) >= floor || (top && logit === context.top);
    const stop = countWhile(view, threshold, isKept);
    return leading(view, stop, { keeps: (edge) => isKept(context.validLogit[edge]) });
  }

  /** A nucleus: a cut by mass. In the tail its mass is known to within one token, its end only to some ranks. */
  function nucleus(view, p, stop, ties) {
    const { context } = view, found = leading(view, stop, { ties });
    if (found.counted) return found;
    const head = view.above[context.values.length], target = p * view.norm - head;
    const parts = segments(view);
    const early = parts.find((part) => part.endMost >= target) || parts[parts.length - 1];
    const late = parts.find((part) => part.endLeast >= target) || parts[parts.length - 1];
    const least = p * view.norm, most = least + Math.exp((early.from - context.top) / view.T);
    const from = early.rank, to = late.rank + late.n;
    const sure = context[ties].every((rank) => rank < from || rank >= to);
    return { ...found, mass: Math.min(Math.max(found.mass, least), most), least, most, sure };
  }

  const topEntropies = (view, authors) => {
    const { context } = view, values = [];
    for (let i = 0; values.length < Math.min(100, context.size) && i < context.values.length; i++)
      for (let j = 0; j < context.counts[i] && values.length < 100; j++) values.push(context.values[i]);
    const weights = values.map((value) => Math.exp(value / view.T - values[0] / view.T));
    const used = [];
    if (authors) {
      let sum = 0, product = 0;
      for (let j = 0; j < values.length; j++) {
        sum += weights[j];
        product += (weights[j] * (values[0] - values[j])) / view.T;
        used.push(Math.log(sum) + product / sum);
      }
      return { used, bound: view.entropy };
    }
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let running = 0;
    for (const weight of weights) {
      const p = weight / total;
      running += p > 0 ? -p * Math.log(p) : 0;
      used.push(p > 0 ? running : Infinity); // a token that underflows ends the set
    }
    return { used, bound: running };
  };

  function topH(view, alpha, authors) {
    const { used, bound } = topEntropies(view, authors);
    return leading(view, Math.max(1, used.filter((entropy) => entropy <= bound * alpha).length));
  }

  /** Ranks around the entropy, by bisection on the two arms of the deviation (decoding/rules/typical_p.py). */
  function typical(view, p) {
    const { context, entropy, T, norm } = view, { size } = context;
    const base = context.top + T * view.logNorm; // a token of surprisal s has the logit base - T s
    const surprisal = (rank) => -logProbability(view, valueAt(view, rank));
    const massFrom = (rank) => massBelow(view, rank) / norm;
    const middle = countWhile(view, base - T * entropy, (logit) => -logProbability(view, logit) < entropy);
    const tailEnd = (deviation) => Math.max(countAtLeast(view, base - T * (entropy + deviation)), middle);
    const reaches = (n) => massFrom(middle - n) - massFrom(tailEnd(entropy - surprisal(middle - n))) >= p;
    const nHead = firstTrue(1, middle + 1, reaches);
    const headDeviation = nHead <= middle ? entropy - surprisal(middle - nHead) : Infinity;
    const available = massFrom(middle - (nHead - 1));
    const reached = firstTrue(middle + 1, size + 1, (k) => available - massFrom(k) >= p);
    const tailDeviation = reached <= size ? surprisal(reached - 1) - entropy : Infinity;
    const radius = Math.min(headDeviation, tailDeviation);
    if (radius === Infinity || p === 1) return leading(view, size);
    const isAbove = (logit) => entropy + logProbability(view, logit) > radius;
    const isWithin = (logit) => -logProbability(view, logit) - entropy <= radius;
    const start = countWhile(view, base - T * (entropy - radius), isAbove);
    const stop = countWhile(view, base - T * (entropy + radius), isWithin);
    const known = (rank) => rank <= context.exact || rank >= size;
    // Summed from the nearer end, as Tempered.mass_between: no digits are lost.
    const skipped = massAbove(view, start), left = massBelow(view, stop);
    const mass = skipped <= left ? massAbove(view, stop) - skipped : massBelow(view, start) - left;
    const exact = known(start) && known(stop);
    return {
      start, stop, mass, least: exact ? mass : 0, most: exact ? mass : norm, sure: exact, counted: exact,
      keeps: (edge) => !isAbove(context.validLogit[edge]) && isWithin(context.validLogit[edge]),
    };
  }

  function onlyValid(view) {
    const { context } = view, kept = [...context.validLogit].map((logit) => logit > -Infinity);
    const mass = context.validLogit.reduce((sum, logit) => sum + Math.exp(logit / view.T - context.top / view.T), 0);
    const logs = [...context.validLogit].map((logit) => logProbability(view, logit));
    return {
      start: 0, stop: kept.filter(Boolean).length, mass, least: mass, most: mass, sure: true, counted: true,
      logMass: logSum(logs), keeps: (edge) => kept[edge],
    };
  }

  const RULES = {
    unrestricted: (view) => leading(view, view.context.size),
    top_k: (view, k) => leading(view, countAtLeast(view, valueAt(view, Math.min(k, view.context.size) - 1))),
    top_k_exact: (view, k) => leading(view, Math.min(k, view.context.size)),
    top_p: (view, p) => {
      const spare = (1 - p) * view.norm;
      if (p >= 1) return leading(view, view.context.size);
      return nucleus(view, p, firstTrue(1, view.context.size, (n) => massBelow(view, n) <= spare), "higher");
    },
    top_p_canopy: (view, p) => {
      if (p >= 1) return leading(view, view.context.size);
      return nucleus(view, p, firstTrue(1, view.context.size, (n) => massAbove(view, n) > p * view.norm), "lower");
    },
    min_p: (view, p) => aboveFloor(view, p * (1 / view.norm), false),
    typical_p: typical,
    epsilon: (view, eps) => aboveFloor(view, eps, true),
    eta: (view, eps) => {
      const narrow = Math.fround(eps); // the warper keeps eps in float32
      return aboveFloor(view, Math.min(narrow, Math.fround(Math.sqrt(narrow)) * Math.exp(-view.entropy)), true);
    },
    top_n_sigma: (view, n) => {
      const least = view.context.top - n * view.context.std;
      const keeps = (edge) => view.context.validLogit[edge] >= least;
      return leading(view, countAtLeast(view, least), { keeps });
    },
    top_h: (view, alpha) => topH(view, alpha, false),
    top_h_authors: (view, alpha) => topH(view, alpha, true),
    oracle_cutoff: (view) => leading(view, Math.min(view.context.lower.length, view.context.size)),
    validity_oracle: onlyValid,
  };

  /** What a rule retains of one tempered conditional; its log-mass is ln of the retained probability. */
  function select(view, rule, parameter) {
    const found = RULES[rule](view, parameter);
    if (found.logMass === undefined) found.logMass = Math.log(found.mass) - view.logNorm;
    // How far ln(mass) may be off.
    found.slack = !found.sure ? Infinity : Math.max(Math.log(found.most / found.mass), Math.log(found.mass / found.least));
    if (!(found.slack > 1e-12)) found.slack = 0;
    return found;
  }

  // -- the whole task ------------------------------------------------------------------------------------------------

  function logSum(values) {
    const peak = Math.max(...values, -Infinity);
    if (peak === -Infinity) return -Infinity;
    return peak + Math.log(values.reduce((sum, value) => sum + Math.exp(value - peak), 0));
  }

  /** A conditional of a task at a temperature; those of the last temperature are kept, since rules change at it. */
  function tempered(task, row, T) {
    if (task.temperedAt !== T) Object.assign(task, { temperedAt: T, views: [] });
    return (task.views[row] ??= temper(task.conditionals[row], T));
  }

  /** Val, Div, Prec_seq and Rec_seq of a whole task, by the recursion of calib_assets/decoding/recursion.py.
   *
   * Returns null where the task is too large for the page. `exact` says of each value whether it is within 1e-6;
   * `logQ[v]` is the filtered log-probability of the token that enters node v.
   */
  function evaluate(task, T, rule, parameter) {
    if (!task.whole || !(rule in RULES)) return null;
    const { n, childStart, trie } = task;
    const logQ = new Float64Array(n).fill(-Infinity);
    const logZ = new Float64Array(n), meanLog = new Float64Array(n), upper = new Float64Array(n);
    const precision = new Float64Array(n), recall = new Float64Array(n), slack = new Float64Array(n);
    let counted = true, sure = true;
    for (let u = n - 1; u >= 0; u--) {
      const isLeaf = trie.answer[u] >= 0;
      logZ[u] = isLeaf ? 0 : -Infinity;
      upper[u] = isLeaf || trie.is_open[u] ? 0 : -Infinity;
      precision[u] = recall[u] = isLeaf ? 1 : 0;
      if (task.row[u] < 0) continue;
      const view = tempered(task, task.row[u], T);
      const found = select(view, rule, parameter);
      counted = counted && found.counted;
      sure = sure && found.sure;
      const first = childStart[u], last = childStart[u + 1], joint = [], joinedUpper = [];
      let worst = 0;
      for (let v = first; v < last; v++) {
        if (found.keeps(v - first)) {
          logQ[v] = logProbability(view, view.context.validLogit[v - first]) - found.logMass;
          precision[u] += precision[v];
          recall[u] += recall[v];
          if (logZ[v] > -Infinity) worst = Math.max(worst, slack[v]);
        }
        joint.push(logQ[v] + logZ[v]);
        joinedUpper.push(logQ[v] + upper[v]);
      }
      precision[u] /= Math.max(1, found.stop - found.start);
      logZ[u] = logSum(joint);
      upper[u] = logSum(joinedUpper);
      slack[u] = found.slack + worst;
      if (logZ[u] > -Infinity)
        for (let v = first; v < last; v++) {
          const weight = Math.exp(joint[v - first] - logZ[u]);
          if (weight > 0) meanLog[u] += weight * (logQ[v] + meanLog[v]);
        }
    }
    const answers = answerLogs(task, logQ);
    let entropy = logZ[0] - meanLog[0];
    if (answers.shared) {
      entropy = 0; // several sequences spell one answer: over answers, not sequences
      for (const log of answers.logs) {
        const p = Math.exp(log - logZ[0]);
        if (p > 0) entropy -= p * Math.log(p);
      }
    }
    const validity = Math.exp(logZ[0]), isPossible = logZ[0] > -Infinity;
    const diversity = isPossible ? Math.exp(entropy) / task.n_answers : null;
    return {
      validity, diversity, entropy, logQ, answerLogs: answers.logs,
      validityUpper: task.open ? Math.exp(upper[0]) : validity,
      sequencePrecision: task.open ? null : precision[0],
      sequenceRecall: task.open ? null : recall[0] / answers.sequences,
      // |d ln Val| <= slack; an error of at most slack in every ln p changes H by at most slack * E|ln p + H| <= 2 slack H.
      exact: {
        validity: validity * Math.expm1(slack[0]) < TOLERANCE,
        diversity: diversity === null ? sure : diversity * 2 * slack[0] * entropy < TOLERANCE,
        precision: counted && sure, recall: sure,
      },
    };
  }

  /** ln of each answer's probability, summed over its sequences, from the filtered conditionals. */
  function answerLogs(task, logQ) {
    const path = new Float64Array(task.n), logs = new Float64Array(task.n_answers).fill(-Infinity);
    let sequences = 0, shared = false;
    for (let v = 0; v < task.n; v++) {
      if (v > 0) path[v] = path[task.parent[v]] + logQ[v];
      const answer = task.trie.answer[v];
      if (answer < 0) continue;
      sequences += 1;
      shared = shared || logs[answer] > -Infinity;
      logs[answer] = logSum([logs[answer], path[v]]);
    }
    return { logs, sequences, shared };
  }

  /** The stored value of a setting, or null: of this rule, parameter and temperature alone. */
  function stored(task, T, rule, parameter) {
    const { sweep } = task, same = (a, b) => Math.abs(a - b) <= 1e-12 * Math.max(1, Math.abs(a));
    const t = sweep.temperature.findIndex((value) => same(value, T));
    const s = sweep.rule.findIndex((name, i) =>
      name === rule && (sweep.parameter[i] === null ? parameter === null : parameter !== null && same(sweep.parameter[i], parameter)));
    if (t < 0 || s < 0) return null;
    const at = s * sweep.temperature.length + t, known = (value) => (Number.isNaN(value) ? null : value);
    return {
      validity: sweep.validity[at], diversity: known(sweep.diversity[at]),
      sequencePrecision: known(sweep.sequence_precision[at]), sequenceRecall: known(sweep.sequence_recall[at]),
    };
  }

  /** What the page says of a setting: each measure with how it was got.
   *
   * `computed` here and exact; `stored` by the study where the page could only estimate; an `estimate` where the study
   * has no such setting; the `nearest` stored setting (`at`) of a task that is too large for the page; or `none`.
   */
  function answer(task, T, rule, parameter) {
    const live = evaluate(task, T, rule, parameter), kept = stored(task, T, rule, parameter);
    const near = live || kept ? null : nearest(task, T, rule, parameter), found = { live };
    const names = { validity: "validity", diversity: "diversity", sequencePrecision: "precision", sequenceRecall: "recall" };
    for (const [name, flag] of Object.entries(names)) {
      if (live && live.exact[flag]) found[name] = { value: live[name], how: "computed" };
      else if (kept) found[name] = { value: kept[name], how: "stored" };
      else if (live) found[name] = { value: live[name], how: "estimate" };
      else if (near) found[name] = { value: near.values[name], how: "nearest", at: near.at };
      else found[name] = { value: null, how: "none" };
    }
    return found;
  }

  /** The stored setting of a rule that is nearest in parameter, then in temperature (by ratio); null without one. */
  function nearest(task, T, rule, parameter) {
    const { sweep } = task, far = (a, b) => (a === null || b === null ? 0 : Math.abs(Math.log(a / b)));
    const best = (values, distance) => values.reduce((found, value) => (found === null || distance(value) < distance(found) ? value : found), null);
    const s = best(sweep.rule.map((_, i) => i).filter((i) => sweep.rule[i] === rule), (i) => far(sweep.parameter[i], parameter));
    if (s === null) return null;
    const at = { T: best(sweep.temperature, (value) => far(value, T)), parameter: sweep.parameter[s] };
    return { at, values: stored(task, at.T, rule, at.parameter) };
  }

  // -- cutoffs by rank -----------------------------------------------------------------------------------------------

  /** Precision and recall of the first k ranks at a context; recall also weighted by continuations (METHODS 1). */
  function cutoff(ranks, k, continuations) {
    let hits = 0, below = 0, all = 0;
    for (let edge = 0; edge < ranks.length; edge++) {
      all += continuations[edge];
      if (ranks[edge] < k) {
        hits += 1;
        below += continuations[edge];
      }
    }
    return { hits, precision: hits / k, tokenRecall: hits / ranks.length, recall: all > 0 ? below / all : null };
  }

  /** Precision and recall of every cutoff at a node of a sweep tree: `children` by rank, as {label, n_valid}.
   *
   * Candidates without a label (null) are left out, as in calib_assets/metrics/node_frontiers.py.
   */
  function nodeCurve(children) {
    const known = children.filter(({ label }) => label !== null), points = [];
    const valid = known.filter(({ label }) => label).length;
    const weight = known.reduce((sum, child) => sum + (child.label ? child.n_valid : 0), 0);
    if (valid === 0) return points;
    let hits = 0, below = 0;
    known.forEach((child, i) => {
      hits += child.label ? 1 : 0;
      below += child.label ? child.n_valid : 0;
      points.push({ k: i + 1, rank: child.rank, precision: hits / (i + 1), tokenRecall: hits / valid, recall: below / weight });
    });
    return points;
  }

  return {
    RULES, TOLERANCE, unpackAll, openTask, temper, segments, select, evaluate, stored, answer, cutoff, nodeCurve,
    probability, logProbability, massAbove, massBelow, valueAt, logSum,
  };
})();
if (typeof module !== "undefined") module.exports = Engine;
