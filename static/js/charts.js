// Elements with data-chart-url show the figure that the server answers with. The server names
// colours by role ("--chart-busy"); the page's theme says what they are.
(() => {
  const CONFIG = {
    displayModeBar: false,
    responsive: true,
    topojsonURL: document.currentScript.dataset.topojsonUrl,
  };

  function themed(value, style) {
    if (typeof value === "string") {
      return value.startsWith("--") ? style.getPropertyValue(value).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => themed(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v, style)]));
    }
    return value;
  }

  function say(box, text) {
    box.classList.toggle("chart-empty", Boolean(text));
    box.setAttribute("data-problem", text || "");
  }

  async function draw(box) {
    const mine = (box.asked = (box.asked || 0) + 1);
    let figure;
    try {
      const answer = await fetch(box.dataset.chartUrl, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      figure = await answer.json();
    } catch (error) {
      if (mine !== box.asked) return;
      say(box, `Could not read this chart: ${error.message}.`);
      return;
    }
    if (mine !== box.asked) return; // a newer figure was asked for or given meanwhile
    box.figure = figure;
    await paint(box);
  }

  async function paint(box) {
    const { figure } = box;
    if (!figure) return;
    say(box, figure.problem);
    const style = getComputedStyle(document.documentElement);
    const plot = box.querySelector(".chart-plot");
    plot.hidden = !figure.data.length;
    if (plot.hidden) return;
    await Plotly.react(plot, themed(figure.data, style), themed(figure.layout, style), CONFIG);
    if (!plot.dataset.bound) {
      plot.dataset.bound = "yes";
      plot.on("plotly_click", ({ points }) => {
        const address = points[0].customdata && points[0].customdata.href;
        if (address) location.assign(address);
      });
    }
    box.setAttribute("data-drawn", "yes");
  }

  for (const box of document.querySelectorAll("[data-chart-url]")) {
    draw(box);
    box.addEventListener("live", () => draw(box));
    box.addEventListener("figure", ({ detail }) => {
      box.asked = (box.asked || 0) + 1;
      box.figure = detail;
      paint(box);
    });
  }
  document.addEventListener("console:theme", () => {
    for (const box of document.querySelectorAll("[data-chart-url]")) paint(box);
  });
})();
