// The explorer's links come here with a model and a task or sweep: its section is shown, or that there is none is said.
(function () {
  function follow() {
    var place = Beside.wanted(), main = document.getElementById("content");
    if (!place) return;
    var kind = place.task === null ? "sweep" : "task";
    var section = Array.from(document.querySelectorAll("section[data-model]")).find(function (found) {
      return found.dataset.model === place.model && found.dataset[kind] === place[kind];
    });
    Beside.say(main, section ? "" : "This report has no section on the " + kind + " " + place[kind] + " of the model " + place.model + ".");
    if (!section) return;
    var heading = section.querySelector("h2, h3, h4, h5, h6");
    heading.tabIndex = -1;
    heading.focus();
    heading.scrollIntoView();
  }
  window.addEventListener("hashchange", follow);
  follow();
})();
