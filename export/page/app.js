// The page: a panel for each thing that the endpoints of `model.json` allow, and nothing else.

import { answer, endpoints, examples, inputs, isPicture, labels, name } from "./model.js";
import { fit, image, show, tensor } from "./picture.js";

const $ = (id) => document.getElementById(id);

const LARGE = 96 * 96; // pixels from which pictures are few, because each takes its time
const MAP = 9; // pictures along a side of the map
const STRIP = 9; // pictures between two seeds, both ends included
const FIRST = 10; // sliders that are seen at once
const PUSH = 1 / 40; // of the range of a latent: what an arrow key moves it by
const PROBES = 64; // seeds that tell how far latents go

const draws = (key) => isPicture(endpoints[key].outputs[0]);
const takes = (key, name) => endpoints[key].inputs.find((element) => element.name === name);
const keys = Object.keys(endpoints).filter(draws);
const sampler = keys.find((key) => key === "sample" && takes(key, "seeds"));
const generator = keys.find((key) => takes(key, "latents"));
const known = generator && endpoints.latents; // what latents a seed gives
const functions = keys.filter((key) => isPicture(endpoints[key].inputs[0]));
const classes = Math.max(0, ...keys.map((key) => (takes(key, "labels")?.high ?? -1) + 1));

/** What is being looked at: a row of the samples, and the latents that were made of it. */
const state = { label: null, row: { seed: 0, label: 0 }, values: [] };

function say(text, alarm = false) {
  $("status").textContent = text;
  $("status").setAttribute("role", alarm ? "alert" : "status");
}

/** Calls that come while the last one is busy become one, when it is done or sees it is stale. */
function latest(task) {
  let busy = false;
  let again = false;
  return async () => {
    again = true;
    if (busy) return;
    busy = true;
    try {
      while (again) {
        again = false;
        await task(() => again);
      }
    } catch (error) {
      say(`This did not work: ${error.message ?? error}`, true);
    }
    busy = false;
  };
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Radio buttons, which bring their own keyboard; `chosen` is called with a value. */
function choice(fieldset, options, chosen) {
  options.forEach(([text, value], i) => {
    const radio = element("input", { type: "radio", name: fieldset.id, checked: i === 0 });
    radio.addEventListener("change", () => chosen(value));
    fieldset.append(element("label", {}, radio, element("span", { textContent: text })));
  });
  fieldset.hidden = options.length < 2;
}

/** The whole number in a box, within what seeds may be. */
function seed(box) {
  return Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), Math.round(Number(box.value) || 0)));
}

/** The row of a seed with the chosen class; without one, of class `place` in turn. */
const row = (seed, place = 0) => ({
  seed: seed | 0, // after the last int32 comes the first
  label: state.label ?? (classes ? place % classes : 0),
});
const title = ({ seed, label }) => `seed ${seed}${classes ? `, class ${labels[label] ?? label}` : ""}`;
const short = (number) => number.toFixed(2).replace("-", "\u2212");

// Samples: a grid of consecutive seeds.

const grid = latest(async (stale) => {
  const [, height, width] = endpoints[sampler].outputs[0].shape;
  const large = height * width > LARGE;
  const columns = large ? 4 : classes > 3 && classes <= 10 && state.label === null ? classes : 8;
  const first = seed($("seed"));
  const rows = Array.from({ length: columns * (large ? 2 : 8) }, (_, i) => row(first + i, i));
  const tiles = rows.map((row) => {
    const tile = element("button", { type: "button", title: title(row) }, element("canvas"));
    tile.setAttribute("aria-label", title(row));
    show(tile.firstChild, new ImageData(width, height));
    tile.addEventListener("click", () => select(row));
    return tile;
  });
  $("grid").style.setProperty("--columns", columns);
  $("grid").replaceChildren(...tiles);
  for (let i = 0; i < rows.length && !stale(); i += columns) {
    const pictures = await answer(sampler, rows.slice(i, i + columns));
    for (let j = 0; j < columns; j++) show(tiles[i + j].firstChild, image(pictures, j));
  }
  mark();
  if (!stale()) say(`${rows.length} samples, from ${title(rows[0])}.`);
});

function mark() {
  for (const tile of $("grid").children)
    tile.setAttribute("aria-pressed", String(tile.title === title(state.row)));
}

function select(row) {
  state.row = row;
  mark();
  if (generator) start();
}

function sampling() {
  $("samples").hidden = false;
  const options = [["each", null], ...Array.from({ length: classes }, (_, i) => [labels[i] ?? String(i), i])];
  choice($("classes"), classes ? options : [], (label) => {
    state.label = label;
    renew();
  });
  const renew = () => {
    grid();
    select(row(seed($("seed"))));
    if (known) walk();
  };
  const go = (number) => {
    $("seed").value = number;
    renew();
  };
  $("seed").addEventListener("input", renew);
  $("more").addEventListener("click", () => go(seed($("seed")) + $("grid").children.length));
  $("random").addEventListener("click", () => go(Math.floor(Math.random() * 1e6)));
  grid();
}

// Latents: numbers of the generator's inputs, each a slider, two of them a map.

/** `[{input, index, text, low, high}]`, one for each number, in the order of the inputs. */
let codes = [];

async function measure() {
  const rows = Array.from({ length: PROBES }, (_, i) => row(i, i));
  const filled = await inputs(generator, rows);
  for (const { name, shape, low, high, dtype } of endpoints[generator].inputs) {
    if (dtype !== "float32" || shape.length !== 2) continue;
    // As far as 99 of 100 go: what lies further out is seldom like the data.
    const sizes = filled[name].data.map(Math.abs).sort();
    const reach = sizes[Math.floor(0.99 * sizes.length)] || 3; // nothing is known of zeros
    const least = sizes.at(-1) && filled[name].data.every((value) => value >= 0) ? 0 : -reach;
    for (let index = 0; index < shape[1]; index++) {
      const text = `${name.replace(/s$/, "")} ${index + 1}`;
      codes.push({ input: name, index, text, low: low ?? least, high: high ?? reach });
    }
  }
}

/** `{input: [N, D]}` of N lists of values, one value a code. */
function given(lists) {
  const tensors = {};
  for (const { name, shape } of endpoints[generator].inputs) {
    const places = codes.flatMap(({ input }, place) => (input === name ? [place] : []));
    if (!places.length) continue;
    const data = Float32Array.from(lists.flatMap((values) => places.map((place) => values[place])));
    tensors[name] = { data, dims: [lists.length, ...shape.slice(1)] };
  }
  return tensors;
}

const generate = (lists, row) => answer(generator, lists.map(() => row), given(lists));

/** The values that a row's seed and label give. */
async function values(row) {
  const filled = await inputs(generator, [row]);
  return codes.map(({ input, index }) => filled[input].data[index]);
}

const picture = latest(async () => {
  show($("picture"), image(await generate([state.values], state.row)));
});

const map = latest(async (stale) => {
  const [, height, width] = endpoints[generator].outputs[0].shape;
  const [across, up] = [Number($("across").value), Number($("up").value)];
  const count = height * width > LARGE ? 5 : MAP;
  const at = ({ low, high }, i) => low + ((high - low) * (i + 0.5)) / count;
  const canvas = $("background");
  for (let y = 0; y < count && !stale(); y++) {
    const lists = Array.from({ length: count }, (_, x) => {
      const list = [...state.values];
      list[across] = at(codes[across], x);
      list[up] = at(codes[up], count - 1 - y);
      return list;
    });
    const pictures = await generate(lists, state.row);
    if (y === 0) [canvas.width, canvas.height] = [width * count, height * count];
    for (let x = 0; x < count; x++)
      canvas.getContext("2d").putImageData(image(pictures, x), x * width, y * height);
  }
});

const inside = (part) => Math.min(1, Math.max(0, part));

/** Where a latent of the map is: 0 at its low end, 1 at its high one. */
function part(id) {
  const { low, high } = codes[$(id).value];
  return (state.values[$(id).value] - low) / (high - low);
}

/** Brings everything that shows a value up to date. */
function refresh() {
  for (const slider of document.querySelectorAll("[data-code]")) {
    const value = state.values[slider.dataset.code];
    slider.value = value;
    slider.nextElementSibling.textContent = short(value);
  }
  if (codes.length > 1) {
    $("cross").style.left = `${100 * inside(part("across"))}%`;
    $("cross").style.bottom = `${100 * inside(part("up"))}%`;
  }
  picture();
}

/** Goes to the latents of the chosen sample. */
const start = latest(async (stale) => {
  const found = await values(state.row);
  if (stale()) return;
  state.values = found;
  if (known) $("origin").textContent = `of ${title(state.row)}`;
  refresh();
  if (codes.length > 1) map();
});

function slider(code, place) {
  const input = element("input", { type: "range", min: code.low, max: code.high, step: "any" });
  input.dataset.code = place;
  input.addEventListener("input", () => {
    state.values[place] = Number(input.value);
    refresh();
  });
  input.addEventListener("change", () => codes.length > 1 && map());
  // By itself an arrow key would move by a step, of which "any" has none to speak of.
  input.addEventListener("keydown", (event) => {
    const sign = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!sign) return;
    event.preventDefault();
    input.value = state.values[place] + sign * PUSH * (code.high - code.low);
    input.dispatchEvent(new Event("input"));
  });
  input.addEventListener("keyup", () => codes.length > 1 && map());
  const text = element("span", { textContent: code.text });
  return element("label", {}, text, input, element("output"));
}

/** Dragging over the map, or arrow keys on it, sets the two latents. */
function steer() {
  const move = (x, y) => {
    const told = [["across", x], ["up", y]].map(([id, part]) => {
      const { low, high, text } = codes[$(id).value];
      const value = low + (high - low) * inside(part);
      state.values[$(id).value] = value;
      return `${text}: ${short(value)}`;
    });
    refresh();
    say(told.join(", "));
  };
  const follow = (event) => {
    const box = $("pad").getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (box.bottom - event.clientY) / box.height);
  };
  $("pad").addEventListener("pointerdown", (event) => {
    $("pad").setPointerCapture(event.pointerId);
    follow(event);
  });
  $("pad").addEventListener("pointermove", (event) => event.buttons && follow(event));
  $("pad").addEventListener("keydown", (event) => {
    const x = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
    const y = { ArrowDown: -1, ArrowUp: 1 }[event.key] ?? 0;
    if (!x && !y) return;
    event.preventDefault();
    move(part("across") + x * PUSH, part("up") + y * PUSH);
  });
  for (const [id, first] of [["across", 0], ["up", 1]]) {
    $(id).append(...codes.map(({ text }, place) => new Option(text, place)));
    $(id).value = first;
    $(id).addEventListener("change", () => {
      refresh();
      map();
    });
  }
  $("pad").setAttribute("aria-label", "Map of two latents");
}

async function exploring() {
  await measure();
  if (!codes.length) return;
  $("latents").hidden = false;
  $("sliders").append(...codes.slice(0, FIRST).map(slider));
  const rest = codes.slice(FIRST).map((code, i) => slider(code, FIRST + i));
  $("rest").hidden = !rest.length;
  $("rest").firstChild.textContent = `${rest.length} more`;
  $("rest").lastChild.append(...rest);
  $("map").hidden = codes.length < 2;
  if (codes.length > 1) steer();
  $("reset").addEventListener("click", start);
  await start();
}

// Between two seeds: their latents, and those on the way.

/**
 * On the great circle between two points (White, 2016, arXiv:1609.04468), as a straight way would
 * lead through the middle, where high-dimensional latents never are; the length grows evenly.
 */
function between(from, to, part) {
  const length = (vector) => Math.hypot(...vector);
  const dot = from.reduce((sum, value, i) => sum + value * to[i], 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, dot / (length(from) * length(to)))));
  const weights = Math.sin(angle) > 1e-3 // else there is no circle, or no way to tell which
    ? [Math.sin((1 - part) * angle) / Math.sin(angle), Math.sin(part * angle) / Math.sin(angle)]
    : [1 - part, part];
  return from.map((value, i) => weights[0] * value + weights[1] * to[i]);
}

const walk = latest(async () => {
  const common = row(seed($("from")));
  const [from, to] = [await values(common), await values({ ...common, seed: seed($("to")) })];
  const parts = Array.from({ length: STRIP }, (_, i) => i / (STRIP - 1));
  const lists = [...parts, Number($("way").value)].map((part) => between(from, to, part));
  const pictures = await generate(lists, common);
  const canvases = parts.map((part, i) => {
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${Math.round(100 * part)} %`);
    show(canvas, image(pictures, i));
    return canvas;
  });
  $("strip").style.setProperty("--columns", STRIP);
  $("strip").replaceChildren(...canvases);
  show($("step"), image(pictures, STRIP));
});

function walking() {
  $("between").hidden = false;
  for (const id of ["from", "to", "way"]) $(id).addEventListener("input", walk);
  walk();
}

// A picture of one's own, for endpoints from pictures to pictures.

function transforming() {
  $("pictures").hidden = false;
  let [key] = functions;
  let source = null;
  let own = false; // whether it is more than an example
  const transform = latest(async () => {
    const [wanted] = endpoints[key].inputs;
    $("size-label").hidden = wanted.shape[1] !== null;
    $("noise-label").hidden = !takes(key, "seeds");
    $("take").hidden = !sampler;
    $("made").textContent = key.replaceAll("_", " ");
    if (!source) return;
    fit(source, wanted, Number($("size").value), $("before"));
    $("drop").classList.add("full");
    say("Computing \u2026");
    const row = { ...state.row, seed: seed($("noise")) };
    const mine = tensor($("before"), wanted);
    show($("after"), image(await answer(key, [row], { [wanted.name]: mine })));
    say(`${key.replaceAll("_", " ")}: done.`);
  });
  const open = async (file) => {
    if (!file) return;
    try {
      source = await createImageBitmap(file);
      own = true;
    } catch {
      return say(`${file.name} is no picture that this browser can read.`, true);
    }
    transform();
  };
  const take = latest(async () => {
    source = await createImageBitmap(image(await answer(sampler, [state.row])));
    own = true;
    transform();
  });
  const begin = latest(async () => {
    if (!own && examples[key]) {
      const file = await fetch(examples[key]).then((answer) => answer.blob());
      source = await createImageBitmap(file);
      const side = String(source.width); // what it was trained on
      const known = [...$("size").options].some((option) => option.value === side);
      if (!known) $("size").prepend(new Option(side));
      $("size").value = side;
    }
    transform();
  });
  choice($("functions"), functions.map((name) => [name.replaceAll("_", " "), name]), (name) => {
    key = name;
    begin();
  });
  $("file").addEventListener("change", () => open($("file").files[0]));
  $("size").addEventListener("change", transform);
  $("noise").addEventListener("input", transform);
  $("take").addEventListener("click", take);
  for (const type of ["dragover", "drop"]) {
    $("drop").addEventListener(type, (event) => {
      event.preventDefault();
      if (type === "drop") open(event.dataTransfer.files[0]);
    });
  }
  const [, height, width] = endpoints[key].inputs[0].shape;
  for (const id of ["before", "after"]) [$(id).width, $(id).height] = [width ?? 32, height ?? 32];
  begin();
}

document.title = $("name").textContent = name;
say("");
try {
  if (functions.length) transforming();
  if (sampler) sampling();
  if (generator) await exploring();
  if (known) walking();
} catch (error) {
  say(`The model does not run here: ${error.message ?? error}`, true);
}
