"use strict";
/* The study's other page, in the same folder. A page that was opened from a file can read no other file, so whether the
 * other one is there is asked of itself: in a frame that is not shown, it answers. */
const Beside = (() => {
  const QUESTION = "#are-you-there", PATIENCE = 20000;
  const isAsked = location.hash === QUESTION && parent !== window;
  if (isAsked) parent.postMessage("here", "*");

  /** Whether a file lies beside this page and is a page of a study. */
  const find = (file) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    const heard = (event) => { if (event.source === frame.contentWindow && event.data === "here") answer(true); };
    const answer = (found) => {
      removeEventListener("message", heard);
      frame.remove();
      resolve(found);
    };
    addEventListener("message", heard);
    frame.hidden = true;
    frame.addEventListener("load", () => setTimeout(answer, 500, false)); // a browser's page of an error loads as well
    setTimeout(answer, PATIENCE, false);
    frame.src = file + QUESTION;
    document.body.append(frame);
  });

  /** Where the address says to go: {model, task or sweep, at}; null where it says nothing of that kind. */
  function wanted() {
    const given = new URLSearchParams(location.hash.slice(1));
    return given.has("model") ? { model: given.get("model"), task: given.get("task"), sweep: given.get("sweep"), at: given.getAll("at") } : null;
  }

  /** What is wrong, in words, behind a link or at a place. */
  function say(place, text) {
    const old = place.querySelector(":scope > .beside");
    if (old) old.remove();
    if (!text) return;
    const notice = document.createElement("p");
    notice.className = "notice beside";
    notice.setAttribute("role", "alert");
    notice.textContent = text;
    place.prepend(notice);
  }

  document.addEventListener("click", async (event) => {
    const link = event.target.closest && event.target.closest("a[data-beside]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const file = link.dataset.beside, place = link.closest("li") || link.closest("section, [role=tabpanel]") || document.body;
    if (await find(file)) location.href = link.href;
    else say(place, `${file} is not in the folder of this page. calib-assets refresh puts both into one folder; keep them together.`);
  });

  return { isAsked, wanted, say };
})();
