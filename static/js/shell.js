// The frame's small habits: theme, selects that submit, parts that refresh by age.
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-toggle]")) return;
  const root = document.documentElement;
  const theme = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
  root.setAttribute("data-bs-theme", theme);
  localStorage.setItem("theme", theme);
  document.dispatchEvent(new CustomEvent("console:theme"));
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-submit-on-change]");
  if (!form) return;
  // Empty fields would make a longer address that says nothing.
  for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
  form.submit();
});

// Ages grow by themselves: parts that show one are read again. An open one is being read by a person.
setInterval(() => {
  if (document.hidden) return;
  const second = Math.floor(Date.now() / 1000);
  for (const part of document.querySelectorAll("[data-refresh-s]")) {
    if (second % Number(part.dataset.refreshS) === 0 && !part.open) htmx.trigger(part, "refresh");
  }
}, 1000);

// What runs out is counted down; at its end the part that shows it is read again.
setInterval(() => {
  for (const shown of document.querySelectorAll("[data-countdown-s]")) {
    const left = Number(shown.dataset.countdownS) - 1;
    shown.dataset.countdownS = Math.max(0, left);
    shown.textContent = `${Math.max(0, left)} s`;
    if (left === 0) shown.closest("[data-live-kind]")?.dispatchEvent(new CustomEvent("live"));
  }
}, 1000);

// A pop-up closes when one clicks elsewhere or presses Escape.
document.addEventListener("click", (event) => {
  for (const box of document.querySelectorAll("details.pill-box[open]")) {
    if (!box.contains(event.target)) box.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const box of document.querySelectorAll("details.pill-box[open]")) box.open = false;
});

// A refused or failed request says so where the person looks.
document.addEventListener("htmx:responseError", (event) => {
  const part = event.detail.elt;
  part.setAttribute("data-problem", `Could not refresh (${event.detail.xhr.status}).`);
});
document.addEventListener("htmx:sendError", (event) => {
  event.detail.elt.setAttribute("data-problem", "The console does not answer.");
});
