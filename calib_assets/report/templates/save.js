// Buttons under figures and tables: the picture as SVG or PNG, what it draws as CSV, a table as CSV. All of it is in
// the page already; nothing is fetched.
(function () {
  function save(name, type, content) {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: type }));
    link.download = name;
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 10000);
  }
  function bytes(base64) {
    return Uint8Array.from(atob(base64), function (letter) { return letter.charCodeAt(0); });
  }
  function unpacked(base64) {
    var stream = new Blob([bytes(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
  // The picture on its own (the serializer adds namespaces), with colours that no page gives it any more.
  function standing(svg) {
    var copy = svg.cloneNode(true);
    copy.setAttribute("style", "font-family: 'DejaVu Sans', Verdana, sans-serif; background: #ffffff");
    return new XMLSerializer().serializeToString(copy).replace(/var\(--[a-z-]+, *(#[0-9a-fA-F]+)\)/g, "$1");
  }
  function field(text) {
    if (/^[=+\-@\t\r]/.test(text)) text = "'" + text;  // a spreadsheet would run it
    return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  }
  function value(cell) {
    if (cell.classList.contains("null") || cell.classList.contains("missing")) return "";
    if (!cell.classList.contains("number")) return field(cell.textContent.trim());
    return cell.dataset.sort.replace(/^(-?\d+)\.0$/, "$1");
  }
  function csv(table) {
    var heads = Array.from(table.tHead.rows[0].cells).map(function (cell) { return field(cell.textContent.trim()); });
    var rows = Array.from(table.tBodies[0].rows).filter(function (row) { return row.cells.length === heads.length; });
    return [heads].concat(rows.map(function (row) { return Array.from(row.cells).map(value); }))
      .map(function (cells) { return cells.join(","); }).join("\n") + "\n";
  }
  function button(place, label, of, act) {
    var made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.setAttribute("aria-label", "Download " + of + " as " + label);
    made.addEventListener("click", act);
    place.appendChild(made);
  }
  function row(figure) {
    var made = document.createElement("div");
    made.className = "save";
    figure.appendChild(made);
    return made;
  }
  document.querySelectorAll("figure.picture").forEach(function (figure) {
    var place = row(figure), title = figure.querySelector("figcaption b").textContent.replace(/\.$/, "");
    var svg = figure.querySelector("svg"), image = figure.querySelector("img"), data = figure.querySelector("template.data");
    if (svg) button(place, "SVG", title, function () { save(figure.id + ".svg", "image/svg+xml", standing(svg)); });
    if (image) button(place, "PNG", title, function () { save(figure.id + ".png", "image/png", bytes(image.src.split(",")[1])); });
    if (data) button(place, "CSV", title, function () {
      unpacked(data.content.textContent).then(function (text) { save(figure.id + ".csv", "text/csv", text); });
    });
  });
  document.querySelectorAll("figure.table").forEach(function (figure) {
    var title = figure.querySelector("figcaption b").textContent.replace(/\.$/, "");
    button(row(figure), "CSV", title, function () { save(figure.id + ".csv", "text/csv", csv(figure.querySelector("table"))); });
  });
})();
