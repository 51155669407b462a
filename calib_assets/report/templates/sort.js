document.querySelectorAll("table.sortable").forEach(function (table) {
  table.querySelectorAll("thead th").forEach(function (head, index) {
    var button = document.createElement("button");
    button.type = "button";
    while (head.firstChild) button.appendChild(head.firstChild);
    head.appendChild(button);
    button.addEventListener("click", function () {
      var rising = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      var body = table.tBodies[0];
      Array.from(body.rows).map(function (row) {
        var key = row.cells[index].dataset.sort || "";
        var number = key === "inf" ? Infinity : key === "-inf" ? -Infinity : Number(key);
        return { row: row, key: key, number: number, none: key === "" };
      }).sort(function (a, b) {
        if (a.none || b.none) return a.none - b.none;
        var order = Number.isNaN(a.number) || Number.isNaN(b.number)
          ? a.key.localeCompare(b.key, undefined, { numeric: true }) : (a.number > b.number) - (a.number < b.number);
        return rising ? order : -order;
      }).forEach(function (entry) { body.appendChild(entry.row); });
    });
  });
});
