"use strict";
// Two independent parts: the table (sort, filter, pages) works at once, the plots follow as
// soon as the packed plotting library is unpacked.

function setUpTable() {
  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  const status = document.getElementById("status");
  const previous = document.getElementById("previous");
  const next = document.getElementById("next");
  const collator = new Intl.Collator("en", { numeric: true });
  const column = (kind) => heads.findIndex((head) => head.classList.contains(kind));
  const formulaColumn = column("formula");
  const linkColumn = column("link");

  const valueOf = (cell) => cell.dataset.value ?? cell.textContent;
  const rows = Array.from(body.rows, (row) => {
    const values = Array.from(row.cells, valueOf);
    const formula = formulaColumn < 0 ? "" : values[formulaColumn];
    const words = values.filter((_, i) => i !== linkColumn && heads[i].dataset.sort !== "number");
    return {
      row,
      values,
      elements: new Set(formula.match(/[A-Z][a-z]?/g) ?? []),
      text: words.join("\n").toLowerCase(),
    };
  });
  const known = new Set(rows.flatMap((entry) => Array.from(entry.elements)));
  const state = { order: rows, query: "", page: 0, size: 25 };

  function matcher(word) {
    const wanted = word.replace(/^!/, "");
    if (!wanted) return () => true;
    const symbols = wanted.split("-");
    const isElements = symbols.every((symbol) => known.has(symbol));
    const found = isElements
      ? (entry) => symbols.every((symbol) => entry.elements.has(symbol))
      : (entry) => entry.text.includes(wanted.toLowerCase());
    return word.startsWith("!") ? (entry) => !found(entry) : found;
  }

  function sortBy(index, direction) {
    const isNumber = heads[index].dataset.sort === "number";
    const sign = direction === "descending" ? -1 : 1;
    const compare = isNumber ? (a, b) => a - b : (a, b) => collator.compare(a, b);
    // Always from the delivered order, so that ties keep their rank; missing values go last.
    state.order = rows.slice().sort((one, two) => {
      const [a, b] = [one.values[index], two.values[index]];
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * compare(a, b);
    });
    for (const head of heads) {
      if (head.dataset.sort) head.setAttribute("aria-sort", "none");
    }
    heads[index].setAttribute("aria-sort", direction);
    state.page = 0;
    show();
  }

  function show() {
    const tests = state.query.split(/[\s,]+/).filter(Boolean).map(matcher);
    const matching = state.order.filter((entry) => tests.every((test) => test(entry)));
    const size = Math.min(state.size, Math.max(matching.length, 1));
    const last = Math.max(Math.ceil(matching.length / size) - 1, 0);
    state.page = Math.min(Math.max(state.page, 0), last);
    const start = state.page * size;
    const shown = matching.slice(start, start + size);
    body.replaceChildren(...shown.map((entry) => entry.row));
    const all = matching.length === rows.length ? "" : ` (of ${rows.length.toLocaleString("en")})`;
    status.textContent = matching.length
      ? `${start + 1}–${start + shown.length} of ${matching.length.toLocaleString("en")}${all}`
      : `No candidate matches${all}`;
    previous.disabled = state.page === 0;
    next.disabled = state.page === last;
  }

  heads.forEach((head, index) => {
    head.querySelector("button")?.addEventListener("click", () => {
      const isAscending = head.getAttribute("aria-sort") === "ascending";
      sortBy(index, isAscending ? "descending" : "ascending");
    });
  });
  document.getElementById("filter").addEventListener("input", (event) => {
    state.query = event.target.value;
    state.page = 0;
    show();
  });
  document.getElementById("page-size").addEventListener("change", (event) => {
    state.size = event.target.value === "all" ? Infinity : Number(event.target.value);
    state.page = 0;
    show();
  });
  previous.addEventListener("click", () => { state.page -= 1; show(); });
  next.addEventListener("click", () => { state.page += 1; show(); });
  document.getElementById("tools").hidden = false;
  document.getElementById("pager").hidden = false;
  show();
}

function readJson(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

async function loadPlotly() {
  const packed = atob(document.getElementById("plotly-packed").textContent.trim());
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

function recolored(value, colors) {
  if (typeof value === "string") return colors[value] ?? value;
  if (Array.isArray(value)) return value.map((item) => recolored(item, colors));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, recolored(item, colors)]),
  );
}

async function setUpPlots() {
  const places = Array.from(document.querySelectorAll("[data-plot]"));
  if (!places.length) return;
  try {
    await loadPlotly();
  } catch (error) {
    for (const place of places) {
      place.classList.add("failed");
      place.textContent = "The plots need a browser of 2023 or later.";
    }
    return;
  }
  const { plots, dark } = readJson("plot-data");
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const config = {
    displaylogo: false,
    plotlyServerURL: "",
    responsive: true,
    modeBarButtons: [["toImage", "resetScale2d"]], // no button that would leave the page
  };

  async function draw({ isPrint = false } = {}) {
    const colors = scheme.matches && !isPrint ? dark : {};
    // All start at once: printing waits for no promise, and drawing itself is synchronous.
    await Promise.all(places.map((place) => {
      const spec = recolored(plots[place.dataset.plot], colors);
      if (isPrint) {
        const width = place.closest(".small") ? 300 : 620; // CSS pixels on a portrait page
        Object.assign(spec.layout, { width, height: 0.62 * width });
      }
      return Plotly.react(place, spec.data, spec.layout, config);
    }));
  }

  scheme.addEventListener("change", () => draw());
  window.addEventListener("beforeprint", () => draw({ isPrint: true }));
  window.addEventListener("afterprint", () => draw());
  await draw();
  document.documentElement.dataset.plots = "drawn";
}

setUpTable();
setUpPlots();
