"use strict";

// All text reaches the page through textContent and attributes, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const table = data.table;
const colours = bytesOf(data.colours);
const PAGE = 60;
const WIDEST = 7; // columns of the large view, before it takes more lines
const LABELS = { 1: "Fake", 0: "Real", "-1": "Unknown" };
// Scores, and the figures to sort by, are those of the first map file.
const whose = data.names.length > 1 ? ` of ${data.names[0]}` : "";
const MEANINGS = { score: "P(fake): the detector's probability that the face is manipulated, 0 to 1", auc: data.auc };
const several = data.names.length + data.modalities.length > 1;
const severalSplits = new Set(table.split).size > 1;
const state = { order: [], page: 0, turn: 0, shown: 0, open: -1, floor: 0, painted: 0 };
const at = (id) => document.getElementById(id);

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const count = (number) => number.toLocaleString("en");
const shown = (number) => (number === null ? "none" : number.toFixed(2));

// ---- cards: heavy content, loaded by chunk -------------------------------------------------

const chunks = new Map();
const arrivals = new Map();
window.focusChunk = (number, cards) => arrivals.get(number)(cards);

function loadChunk(number) {
  if (data.chunks) return Promise.resolve(data.chunks[number]);
  if (!chunks.has(number)) {
    const chunk = new Promise((resolve, reject) => {
      arrivals.set(number, resolve);
      const script = make("script", { src: `${data.folder}/cards-${number}.js` });
      script.onerror = () => reject(new Error(`${data.folder}/cards-${number}.js`));
      script.onload = () => script.remove();
      document.head.append(script);
    });
    chunks.set(number, chunk);
    if (chunks.size > 300) chunks.delete(chunks.keys().next().value);
  }
  return chunks.get(number);
}

async function loadCard(row) {
  const cards = await loadChunk(Math.floor(row / data.chunk));
  return { row, ...cards[row % data.chunk] };
}

// ---- drawing -------------------------------------------------------------------------------

// Bilinear with half-pixel centres, as OpenCV resizes; alpha is the value, so 0 leaves the face.
function paint(canvas, values, [rows, columns], floor, opaque) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const inks = new Uint32Array(new Uint8Array(Array.from({ length: 256 }, (_, value) =>
    [...colours.subarray(3 * value, 3 * value + 3), opaque ? 255 : value < floor ? 0 : value]).flat()).buffer);
  const place = (pixel, size, cells) => {
    const position = Math.min(Math.max(((pixel + 0.5) * cells) / size - 0.5, 0), cells - 1);
    const first = Math.floor(position);
    return [first, Math.min(first + 1, cells - 1), position - first];
  };
  const across = Array.from({ length: width }, (_, x) => place(x, width, columns));
  for (let y = 0, out = 0; y < height; y++) {
    const [top, bottom, down] = place(y, height, rows);
    for (const [left, right, along] of across) {
      const above = values[top * columns + left] * (1 - along) + values[top * columns + right] * along;
      const below = values[bottom * columns + left] * (1 - along) + values[bottom * columns + right] * along;
      pixels[out++] = inks[Math.round(above * (1 - down) + below * down)];
    }
  }
  context.putImageData(image, 0, 0);
}

function heat(card, which, side, opaque = false) {
  const canvas = make("canvas", { class: opaque ? "map" : "heat", "aria-hidden": "true" });
  const [height, width] = card.size;
  canvas.width = Math.max(1, Math.round((side * width) / Math.max(height, width)));
  canvas.height = Math.max(1, Math.round((side * height) / Math.max(height, width)));
  const { grid } = card.maps[which];
  const values = bytesOf(card.maps[which].values);
  canvas.repaint = () => paint(canvas, values, grid, state.floor, opaque);
  canvas.repaint();
  return canvas;
}

function contour(card, filled) {
  const box = `0 0 ${card.truth.size[1]} ${card.truth.size[0]}`;
  const svg = makeSvg("svg", { viewBox: box, preserveAspectRatio: "none", "aria-hidden": "true" });
  const kinds = filled ? ["area"] : ["contour casing", "contour line"];
  for (const kind of kinds) svg.append(makeSvg("path", { class: kind, d: card.truth.path }));
  return svg;
}

function photo(card, source = card.image, name = "Face") {
  return make("img", { src: source, alt: `${name} ${table.key[card.row]}`, loading: "lazy", decoding: "async" });
}

// A panel is layers over each other in the face's own shape, inside a square.
function panel(card, caption, ...layers) {
  const [height, width] = card.size;
  const frame = make("div", { class: height > width ? "frame tall" : "frame flat" }, ...layers);
  frame.style.aspectRatio = `${width} / ${height}`;
  return framed(caption, frame);
}

function message(caption, heading, text) {
  return framed(caption, make("div", { class: "absent" }, make("strong", {}, heading), text));
}

function framed(caption, content) {
  const figure = make("figure", { class: "panel" }, make("div", { class: "stage" }, content));
  if (caption) figure.append(make("figcaption", { title: caption }, caption));
  return figure;
}

// The second branch's view of the face; the caption's tooltip explains its colours.
function viewPanels(card) {
  return data.modalities.map(([name, meaning], which) => {
    const view = panel(card, name, photo(card, card.modalities[which], name));
    view.querySelector("figcaption").title = `${name}: ${meaning}`;
    return view;
  });
}

function overlayPanel(card, which, side, caption) {
  if (!card.image) return message(caption, "This face cannot be read", card.fault);
  if (!card.maps[which]) return message(caption, "No map", "This file has none for this face.");
  const layers = [photo(card), heat(card, which, side)];
  if (card.truth && card.truth.path) layers.push(contour(card, false));
  return panel(card, caption, ...layers);
}

function captionOf(card, which) {
  const auc = card.aucs[which];
  return auc === null ? data.names[which] : `${data.names[which]}, pixel AUC ${shown(auc)}`;
}

function keyOf(text) {
  const end = 20;
  return make("div", { class: "key", title: text },
    make("span", { class: "start" }, text.slice(0, -end)), make("span", { class: "end" }, text.slice(-end)));
}

function badge(row) {
  const label = table.label[row];
  return make("span", { class: `badge ${LABELS[label].toLowerCase()}` }, LABELS[label]);
}

function figureOf(name, meaning, number) {
  return make("span", { class: "value" }, make("abbr", { title: meaning }, name), " ", make("b", {}, shown(number)));
}

function buildCard(card, position) {
  const { row } = card;
  const open = make("button", { type: "button", class: "open", "aria-label": `Enlarge ${table.key[row]}` });
  if (card.image) {
    const overlays = data.names.map((_, which) => overlayPanel(card, which, 208, several ? captionOf(card, which) : "with its map"));
    open.append(panel(card, "untouched", photo(card)), ...overlays, ...viewPanels(card));
  } else open.append(message("", "This face cannot be read", card.fault));
  open.addEventListener("click", () => enlarge(position));

  const kind = [table.method[row], severalSplits ? table.split[row] : "", card.place].filter(Boolean).join(", ");
  const about = make("div", { class: "about" },
    make("div", { class: "line" }, badge(row), make("span", { class: "kind", title: kind }, kind)));
  const figures = make("div", { class: "line figures" });
  if (table.score[row] !== null) figures.append(figureOf(`score${whose}`, MEANINGS.score, table.score[row]));
  if (table.auc[row] !== null && !several) figures.append(figureOf("pixel AUC", MEANINGS.auc, table.auc[row]));
  if (figures.hasChildNodes()) about.append(figures);
  if (card.image && card.fault) about.append(make("div", { class: "fault" }, card.fault));
  about.append(keyOf(table.key[row]));
  return make("article", { class: "card", "data-key": table.key[row] }, open, about);
}

async function show() {
  const turn = ++state.turn;
  const pages = Math.max(1, Math.ceil(state.order.length / PAGE));
  state.page = Math.min(Math.max(state.page, 0), pages - 1);
  const start = state.page * PAGE;
  const rows = state.order.slice(start, start + PAGE);
  let cards;
  try {
    cards = await Promise.all(rows.map(loadCard));
  } catch (error) {
    at("none").textContent = `${error.message} is missing: keep the folder ${data.folder} beside this page.`;
    at("none").hidden = false;
    return;
  }
  if (turn !== state.turn) return; // a later filter has overtaken this one
  at("cards").replaceChildren(...cards.map((card, place) => buildCard(card, start + place)));
  at("none").hidden = rows.length > 0;
  at("pager").hidden = pages < 2;
  at("page").value = state.page + 1;
  at("page").max = pages;
  at("pages").textContent = count(pages);
  at("previous").disabled = state.page === 0;
  at("next").disabled = state.page === pages - 1;
  state.shown = turn;
  const total = state.order.length;
  const of = total === table.key.length ? `${count(total)} faces` : `${count(total)} of ${count(table.key.length)} faces`;
  at("count").textContent = pages < 2 ? of : `${count(start + 1)} to ${count(start + rows.length)} of ${of}`;
}

function turnTo(page) {
  state.page = page;
  show().then(() => at("filters").scrollIntoView({ block: "nearest" }));
}

// ---- the large view ------------------------------------------------------------------------

async function enlarge(position) {
  if (position < 0 || position >= state.order.length) return;
  state.open = position;
  const card = await loadCard(state.order[position]);
  if (state.open !== position) return;
  const { row } = card;
  at("large-key").textContent = table.key[row];
  at("large-place").textContent = `${count(position + 1)} of ${count(state.order.length)}`;
  at("large-previous").disabled = position === 0;
  at("large-next").disabled = position === state.order.length - 1;
  at("large-panels").replaceChildren(...largePanels(card));
  at("large-facts").replaceChildren(...factsOf(card).map(fact));
  if (!at("large").open) at("large").showModal();
}

// One map file: face, map, overlay, truth. More to see: face over truth, each overlay over its map,
// then modalities by twos.
function largePanels(card) {
  const face = card.image ? panel(card, "Face", photo(card)) : message("Face", "This face cannot be read", card.fault);
  const truth = card.truth ? panel(card, "Truth", contour(card, true)) : null;
  const maps = data.names.map((name, which) => card.maps[which]
    ? panel(card, `Map: ${name}`, heat(card, which, 448, true)) : message(`Map: ${name}`, "No map", ""));
  if (!card.image) return columnsOf([face, ...maps, truth].filter(Boolean).map((alone) => [alone]));
  const overlays = data.names.map((_, which) => overlayPanel(card, which, 448, captionOf(card, which)));
  if (!several) return [face, maps[0], overlays[0], truth].filter(Boolean);
  const columns = [[face, truth || message("Truth", "No truth mask", "")], ...overlays.map((overlay, which) => [overlay, maps[which]])];
  const views = viewPanels(card);
  while (views.length) columns.push(views.splice(0, 2));
  return columnsOf(columns);
}

function columnsOf(columns) {
  return columns.map((panels) => make("div", { class: several ? "pair" : "" }, ...panels));
}

function factsOf(card) {
  const { row } = card;
  const facts = [["Label", LABELS[table.label[row]]], ["Method", table.method[row]], ["Split", table.split[row]], ["Video", table.video[row]], ["Frame", card.place]];
  if (table.score[row] !== null) facts.push([`Score${whose}`, table.score[row].toFixed(3)]);
  if (table.auc[row] !== null) facts.push([`Pixel AUC${whose}`, table.auc[row].toFixed(3)]);
  if (table.mean[row] !== null) facts.push([`Mean of the map${whose}`, table.mean[row].toFixed(3)]);
  if (card.fault) facts.push(["Fault", card.fault]);
  return facts.filter(([, value]) => value !== "");
}

function fact([name, value]) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

// ---- filters and order ---------------------------------------------------------------------

// How right a map is: by the truth where masks exist, else the score against the label.
const hasTruth = table.auc.some((auc) => auc !== null);
const merit = table.key.map((_, row) => {
  if (hasTruth) return table.auc[row];
  if (table.label[row] < 0 || table.score[row] === null) return null;
  return 1 - Math.abs(table.score[row] - table.label[row]);
});

const ORDERS = {
  index: ["Index order", null, 1],
  score_down: [`Score${whose}, highest first`, table.score, -1],
  score_up: [`Score${whose}, lowest first`, table.score, 1],
  auc_down: [`Pixel AUC${whose}, highest first`, table.auc, -1],
  auc_up: [`Pixel AUC${whose}, lowest first`, table.auc, 1],
  mean_down: [`Mean of the map${whose}, highest first`, table.mean, -1],
  mean_up: [`Mean of the map${whose}, lowest first`, table.mean, 1],
  key: ["Key", null, 1],
  worst: ["Worst first", merit, 1],
  best: ["Best first", merit, -1],
};

function sorted(rows, name) {
  const [, values, sign] = ORDERS[name];
  if (name === "key") return rows.sort((a, b) => (table.key[a] < table.key[b] ? -1 : 1));
  if (!values) return rows;
  const rank = (row) => (values[row] === null ? Infinity : sign * values[row]); // rows without a value go last
  return rows.sort((a, b) => (rank(a) === rank(b) ? a - b : rank(a) - rank(b)));
}

function apply() {
  const wanted = at("search").value.trim().toLowerCase();
  const [label, method, split] = [at("label").value, at("method").value, at("split").value];
  const low = at("low").valueAsNumber || 0;
  const high = Number.isNaN(at("high").valueAsNumber) ? 1 : at("high").valueAsNumber;
  const ranged = low > 0 || high < 1;
  const rows = table.key.map((_, row) => row).filter((row) =>
    (label === "" || String(table.label[row]) === label) &&
    (method === "" || table.method[row] === method.slice(1)) &&
    (split === "" || table.split[row] === split.slice(1)) &&
    (!ranged || (table.score[row] !== null && table.score[row] >= low && table.score[row] <= high)) &&
    (!wanted || table.key[row].toLowerCase().includes(wanted) || table.video[row].toLowerCase().includes(wanted)));
  const order = at("sort").value;
  state.order = sorted(rows, order);
  state.page = 0;
  for (const id of ["worst", "best"]) at(id).setAttribute("aria-pressed", String(order === id));
  show();
}

// Choices of a select; values carry a mark in front so that empty text stays a choice.
function fillSelect(id, values, name = (value) => value || "(none)", mark = "=") {
  const choices = [...new Set(values)].sort();
  at(id).append(make("option", { value: "" }, "All"));
  for (const value of choices) at(id).append(make("option", { value: mark + value }, name(value)));
  at(id).parentElement.hidden = choices.length < 2;
}

// ---- start ---------------------------------------------------------------------------------

function control(name, input) {
  for (const twin of document.querySelectorAll(`[data-control="${name}"]`)) {
    if (input.type === "checkbox") twin.checked = input.checked;
    else twin.value = input.value;
  }
  if (name === "opacity") document.documentElement.style.setProperty("--opacity", input.value / 100);
  if (name === "outline") document.body.classList.toggle("no-outline", !input.checked);
  if (name === "floor") {
    state.floor = (255 * input.value) / 100;
    for (const output of document.querySelectorAll('[data-output="floor"]')) output.textContent = shown(input.value / 100);
    cancelAnimationFrame(state.frame);
    state.frame = requestAnimationFrame(() => {
      document.querySelectorAll(".heat").forEach((canvas) => canvas.repaint());
      state.painted = state.floor;
    });
  }
}

function fillHead() {
  at("title").textContent = data.title;
  at("facts").replaceChildren(...data.facts.map(fact));
  at("notices").replaceChildren(...data.notices.map((notice) => make("li", {}, notice)));
  at("metrics").hidden = data.metrics.length === 0;
  at("metrics").open = matchMedia("(min-width: 1100px)").matches;
  at("metrics").append(make("p", {}, data.basis), make("dl", {}, ...data.metrics.map(({ name, meaning, value, note }) =>
    make("div", {}, make("dt", {}, make("abbr", { title: meaning }, name)), make("dd", {}, value, " ", make("small", {}, note))))));
  const context = at("scale").getContext("2d");
  const ramp = context.createImageData(256, 1);
  for (let value = 0; value < 256; value++) ramp.data.set([...colours.slice(3 * value, 3 * value + 3), 255], 4 * value);
  context.putImageData(ramp, 0, 0);
  document.documentElement.style.setProperty("--panels", 1 + data.names.length + data.modalities.length);
  at("large-panels").classList.toggle("pairs", several);
  const columns = 1 + data.names.length + Math.ceil(data.modalities.length / 2);
  at("large-panels").style.setProperty("--columns", Math.ceil(columns / Math.ceil(columns / WIDEST)));
  for (const check of document.querySelectorAll("[data-truth]")) check.hidden = !data.masked;
}

function fillFilters() {
  fillSelect("label", table.label, (label) => LABELS[label], "");
  fillSelect("method", table.method);
  fillSelect("split", table.split);
  const scored = table.score.some((score) => score !== null);
  at("range").hidden = !scored;
  at("range").firstElementChild.textContent = `Score${whose}`;
  for (const [id, [name, values]] of Object.entries(ORDERS)) {
    if (!values || values.some((value) => value !== null)) at("sort").append(make("option", { value: id }, name));
  }
  const judged = merit.some((value) => value !== null);
  for (const id of ["worst", "best"]) at(id).hidden = !judged;
  at("filters").open = matchMedia("(min-width: 641px)").matches;
}

function listen() {
  for (const id of ["label", "method", "split", "low", "high", "sort"]) at(id).addEventListener("change", apply);
  at("search").addEventListener("input", apply);
  at("reset").form.addEventListener("reset", () => setTimeout(apply));
  at("reset").form.addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["worst", "best"]) at(id).addEventListener("click", () => { at("sort").value = id; apply(); });
  at("previous").addEventListener("click", () => turnTo(state.page - 1));
  at("next").addEventListener("click", () => turnTo(state.page + 1));
  at("page").addEventListener("change", () => turnTo(at("page").valueAsNumber - 1 || 0));
  for (const input of document.querySelectorAll("[data-control]")) {
    input.addEventListener("input", () => control(input.dataset.control, input));
    control(input.dataset.control, input); // browsers keep a form's values over a reload
  }
  const dialog = at("large");
  at("large-previous").addEventListener("click", () => enlarge(state.open - 1));
  at("large-next").addEventListener("click", () => enlarge(state.open + 1));
  at("large-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.type === "range") return; // there the arrows move the slider
    if (event.key === "ArrowLeft") enlarge(state.open - 1);
    if (event.key === "ArrowRight") enlarge(state.open + 1);
  });
}

fillHead();
fillFilters();
listen();
apply();
