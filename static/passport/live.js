// Brings the page up to date when there is something new. The page works without it.
// Every ten seconds it asks for a token that changes with the record; only a change makes it read the page again, so
// that the list of who looked is not flooded. A hidden tab asks nothing.
(function () {
  "use strict";

  const SECONDS = 10;
  let timer = 0;
  let nFailures = 0;

  function part() {
    return document.getElementById("live");
  }

  function plan() {
    window.clearTimeout(timer);
    // After failures more and more seldom: a server in trouble is not helped by questions.
    const seconds = Number(part()?.dataset.seconds) || SECONDS;
    const wait = seconds * 1000 * Math.min(2 ** nFailures, 30);
    if (!document.hidden) timer = window.setTimeout(look, wait);
  }

  async function look() {
    const live = part();
    if (!live || !live.dataset.versionUrl) return;
    try {
      const answer = await fetch(live.dataset.versionUrl, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.status === 403) {
        // Logged out, or the right has ended: the server says which, in a sentence.
        window.location.reload();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const version = (await answer.json()).version;
      if (version !== live.dataset.version && !isInUse(live)) await renew(live);
      nFailures = 0;
    } catch {
      nFailures += 1;
    }
    plan();
  }

  // Nothing moves under the hands of somebody who is reading with the keyboard or selecting text.
  function isInUse(live) {
    const selection = window.getSelection();
    return (
      (document.activeElement !== document.body && live.contains(document.activeElement)) ||
      (selection && !selection.isCollapsed && live.contains(selection.anchorNode))
    );
  }

  async function renew(live) {
    const answer = await fetch(window.location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.redirected || answer.status === 403) {
      window.location.reload();
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (!fresh) throw new Error("no part");
    fresh.classList.add("arrived");
    live.replaceWith(document.adoptNode(fresh));
    const words = document.getElementById("live-words");
    if (words) words.textContent = fresh.dataset.words || "";
  }

  document.addEventListener("visibilitychange", function () {
    if (document.hidden) window.clearTimeout(timer);
    else look();
  });
  // A page kept by the browser for the back button is read anew: after a log-out it must not stand there.
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) window.location.reload();
  });
  plan();
})();
