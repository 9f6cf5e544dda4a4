// The model: its endpoints as `model.json` declares them, run by ONNX Runtime Web.

import * as ort from "./runtime/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need headers that plain file servers do not send
ort.env.wasm.proxy = true; // in a worker, so that the page answers while a network runs

const contents = await fetch("model.json").then((answer) => answer.json());
export const { model: name, classes: labels, endpoints } = contents;

/** Addresses of pictures to begin with, by endpoint; none where there is something else to show. */
export const { examples = {} } = contents;

const sessions = {};
let queue = Promise.resolve();

function session(name) {
  sessions[name] ??= ort.InferenceSession.create(`onnx/${name}.onnx`);
  return sessions[name];
}

/** Runs an endpoint on `{input: {data, dims}}`; gives the like, `{output: {data, dims}}`. */
function run(name, tensors) {
  const { inputs, outputs } = endpoints[name];
  const answer = queue.then(async () => {
    const loaded = await session(name);
    const feeds = inputs.map(({ name, dtype }) => {
      return [name, new ort.Tensor(dtype, tensors[name].data, tensors[name].dims)];
    });
    const values = await loaded.run(Object.fromEntries(feeds));
    // By order: an output may have another name in the graph.
    return Object.fromEntries(outputs.map(({ name }, i) => [name, values[loaded.outputNames[i]]]));
  });
  queue = answer.catch(() => {}); // one at a time, and the next one whatever became of this
  return answer;
}

/**
 * The inputs of an endpoint for some rows: those that are given; seeds; labels; and what an
 * endpoint of the input's own name makes of these ("latents"). Zeros where there is none.
 */
export async function inputs(name, rows, given = {}) {
  const filled = {
    seeds: { data: Int32Array.from(rows, (row) => row.seed), dims: [rows.length] },
    labels: { data: Int32Array.from(rows, (row) => row.label), dims: [rows.length] },
    ...given,
  };
  for (const { name: input, shape } of endpoints[name].inputs) {
    const dims = [rows.length, ...shape.slice(1)];
    if (filled[input]) continue;
    if (endpoints[input]) filled[input] = await answer(input, rows);
    else filled[input] = { data: new Float32Array(volume(dims)), dims };
  }
  return filled;
}

/** The first output of an endpoint for rows `[{seed, label}]`: `{data, dims, element}`. */
export async function answer(name, rows, given) {
  const values = await run(name, await inputs(name, rows, given));
  const [element] = endpoints[name].outputs;
  const { data, dims } = values[element.name];
  return { data, dims, element };
}

const volume = (shape) => shape.reduce((product, size) => product * size, 1);

export const isPicture = ({ shape, dtype }) =>
  shape.length === 4 && [1, 3].includes(shape[3]) && dtype === "float32";
