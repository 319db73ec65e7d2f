// The frontier follows its inputs: the address changes, and one answer brings chart and tables.
// Inputs keep their place and focus; what stands around them is replaced.
(() => {
  const PAUSE_MS = 150; // a drag sends many changes
  let timer = null;
  let asked = 0;

  function query(point) {
    const form = document.querySelector("[data-frontier-form]");
    const named = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      const field = form.elements[name];
      const neutral = { demand: 1, slo: 1, spot: 100 }[name];
      if (value !== "" && Number(value) !== neutral) named.set(name, value);
      if (field.type === "range") field.nextElementSibling.textContent = value;
    }
    if (point !== undefined) named.set("point", point);
    return named.toString();
  }

  async function show(point) {
    const mine = ++asked;
    const text = query(point);
    history.replaceState(null, "", text ? `?${text}` : location.pathname);
    const chart = document.querySelector("[data-frontier-chart]");
    chart.dataset.chartUrl = chart.dataset.chartUrl.split("?")[0] + (text ? `?${text}` : "");
    let page;
    try {
      const answer = await fetch(location.href, {
        headers: { "HX-Request": "true", "HX-Target": "frontier" },
      });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch (error) {
      chart.setAttribute("data-problem", `Could not follow: ${error.message}.`);
      return;
    }
    if (mine !== asked) return; // a later change is on its way
    replaceAll(page);
  }

  function replaceAll(page) {
    for (const old of document.querySelectorAll("[data-frontier-part]")) {
      const made = page.querySelector(`[data-frontier-part="${old.dataset.frontierPart}"]`);
      if (made) old.replaceWith(made);
    }
    const said = page.querySelector("[data-frontier-said]"); // a status must stay to be read out
    document.querySelector("[data-frontier-said]").textContent = said ? said.textContent : "";
    const chart = document.querySelector("[data-frontier-chart]");
    const fresh = page.querySelector("[data-frontier-chart]");
    if (!fresh) return;
    chart.dataset.points = fresh.dataset.points;
    if (fresh.dataset.point) chart.dataset.point = fresh.dataset.point;
    else delete chart.dataset.point;
    const figure = JSON.parse(page.querySelector("#frontier-figure").textContent);
    chart.dispatchEvent(new CustomEvent("figure", { detail: figure }));
  }

  function chosen(key, chart) {
    const last = Number(chart.dataset.points) - 1;
    const at = chart.dataset.point === undefined ? null : Number(chart.dataset.point);
    if (last < 0) return undefined;
    if (key === "Home") return 0;
    if (key === "End") return last;
    if (key === "ArrowRight") return at === null ? 0 : Math.min(last, at + 1);
    if (key === "ArrowLeft") return at === null ? last : Math.max(0, at - 1);
    return undefined;
  }

  document.addEventListener("input", (event) => {
    if (!event.target.closest("[data-frontier-form]")) return;
    clearTimeout(timer);
    timer = setTimeout(() => show(), PAUSE_MS);
  });

  document.addEventListener("keydown", (event) => {
    const chart = event.target.closest("[data-frontier-chart]");
    const point = chart && chosen(event.key, chart);
    if (point === undefined || point === null) return;
    event.preventDefault();
    chart.dataset.point = point;
    clearTimeout(timer);
    timer = setTimeout(() => show(point), PAUSE_MS);
  });
})();
