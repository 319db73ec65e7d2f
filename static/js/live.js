// One socket. A message says (kind, id, version); parts that show that kind read themselves again.
(() => {
  const POLL_MS = 15000;
  const SETTLE_MS = 250; // many messages about one plan arrive together
  const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15000];
  const SIGNED_OUT = 4401;
  const MAY_NOT_VIEW = 4403;
  let attempts = 0;
  let poll = null;
  let missed = false; // something may have changed while nobody looked
  const waiting = new Map();

  function concerns(part, kind, id) {
    if (!part.dataset.liveKind.split(" ").includes(kind)) return false;
    return !part.dataset.liveId || !id || part.dataset.liveId === id;
  }

  function refresh(part) {
    if (waiting.has(part)) return;
    waiting.set(part, setTimeout(() => {
      waiting.delete(part);
      if (part.isConnected) part.dispatchEvent(new CustomEvent("live", { bubbles: false }));
    }, SETTLE_MS));
  }

  function announce(kind, id) {
    for (const part of document.querySelectorAll("[data-live-kind]")) {
      if (concerns(part, kind, id)) refresh(part);
    }
  }

  function refreshAll() {
    missed = document.hidden;
    if (missed) return;
    for (const part of document.querySelectorAll("[data-live-kind]")) refresh(part);
  }

  function lost() {
    document.body.setAttribute("data-live", "lost");
    if (!poll) poll = setInterval(refreshAll, POLL_MS);
  }

  function found() {
    const wasLost = document.body.getAttribute("data-live") === "lost";
    document.body.setAttribute("data-live", "open");
    clearInterval(poll);
    poll = null;
    attempts = 0;
    if (wasLost) refreshAll(); // whatever changed meanwhile was not announced to us
  }

  function connect() {
    const address = new URL(document.body.dataset.liveUrl, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.addEventListener("message", (event) => {
      const { kind, id } = JSON.parse(event.data);
      if (kind === "hello") found();
      else announce(kind, id);
    });
    socket.addEventListener("close", (event) => {
      if (event.code === SIGNED_OUT) {
        location.reload(); // the server sends us to the sign-in page and back
        return;
      }
      if (event.code === MAY_NOT_VIEW) { // asking again would be refused again
        clearInterval(poll);
        document.body.setAttribute("data-live", "refused");
        return;
      }
      lost();
      const pause = BACKOFF_MS[Math.min(attempts, BACKOFF_MS.length - 1)];
      attempts += 1;
      setTimeout(connect, pause * (0.75 + Math.random() / 2)); // not all pages at once
    });
  }

  document.addEventListener("visibilitychange", () => {
    if (missed) refreshAll();
  });
  connect();
})();
