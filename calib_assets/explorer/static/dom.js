"use strict";
/* Making elements and texts. Every text from a model or a study enters through `textContent`: none is read as HTML. */
const Dom = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "text") node.textContent = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of (children || []).flat(3)) if (child !== null && child !== undefined) node.append(child);
    return node;
  }

  /** An HTML element; `text` is its text, `onclick` a listener, children are nodes or plain strings. */
  const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

  /** An SVG element, likewise. */
  const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

  const SHOWN = { "\n": "↵", "\t": "⇥", "\r": "␍", "\u00a0": "⍽" };

  /** A token as it can be read: outer blanks and control characters are shown, a long one is cut. */
  function token(text, longest = 24) {
    if (text === "") return "(empty)";
    const marked = text
      .replace(/^ +| +$/g, (blanks) => "␣".repeat(blanks.length))
      .replace(/[\n\t\r\u00a0]/g, (letter) => SHOWN[letter])
      .replace(/\p{C}/gu, (letter) => "\\u{" + letter.codePointAt(0).toString(16) + "}");
    const letters = [...marked];
    return letters.length > longest ? letters.slice(0, longest - 1).join("") + "…" : marked;
  }

  /** Text with characters that turn direction or are invisible shown as code points; line breaks stay. */
  const readable = (text) => text.replace(/(?![\n\t\u200c\u200d])\p{C}/gu, (letter) => "\\u{" + letter.codePointAt(0).toString(16) + "}");

  const UP = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const power = (exponent) => "10" + [...String(exponent)].map((letter) => UP[letter]).join("");

  /** A share in [0, 1] in `digits` significant digits; a very small one as a power of ten. */
  function share(value, digits = 3) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (value === 0) return "0";
    if (value < 1e-3) {
      const exponent = Math.floor(Math.log10(value));
      return `${(value / 10 ** exponent).toFixed(1)}·${power(exponent)}`;
    }
    if (value < 1 && Number(value.toPrecision(digits)) >= 1) return ">" + "0." + "9".repeat(digits);
    return value >= 0.1 ? value.toFixed(digits) : value.toPrecision(digits);
  }

  const count = (value) => Math.round(value).toLocaleString("en");

  let ids = 0;
  const id = (stem) => `${stem}-${++ids}`;

  /** A labelled control: the label above, the control below. */
  function field(label, control, hint) {
    const name = control.id || (control.id = id("control"));
    return el("div", { class: "field" }, el("label", { for: name, text: label }), control, hint);
  }

  /** A native select over [value, text] pairs. */
  function select(options, value, onchange) {
    const found = el("select", { onchange: (event) => onchange(event.target.value) });
    for (const [key, text] of options) found.append(el("option", { value: key, text, selected: key === value }));
    return found;
  }

  /** Calls back when the width of an element changes; its height changes with what is drawn in it. */
  function onWidth(place, callback) {
    let width = place.clientWidth;
    new ResizeObserver(() => {
      if (place.clientWidth === width) return;
      width = place.clientWidth;
      callback();
    }).observe(place);
  }

  return { onWidth, el, svg, token, readable, share, count, power, id, field, select };
})();
