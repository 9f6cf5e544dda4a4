// Pictures as the model has them, float32 [N, H, W, 1 or 3], and as a canvas has them.

const LONGEST = 8; // as many times wider than high an image may be

/** The range of a picture's numbers: the declared one, else that of the data. */
const range = ({ low, high }) => (low === null || high === null ? [-1, 1] : [low, high]);

/** Row `row` of `{data, dims: [N, H, W, C], element}` as `ImageData`. */
export function image({ data, dims, element }, row = 0) {
  const [, height, width, channels] = dims;
  const [low, high] = range(element);
  const result = new ImageData(width, height);
  const start = row * height * width * channels;
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      const value = data[start + i * channels + (c % channels)];
      result.data[4 * i + c] = Math.round((255 * (value - low)) / (high - low)); // clamps
    }
    result.data[4 * i + 3] = 255;
  }
  return result;
}

/** Draws an `ImageData` so that the canvas has its size. */
export function show(canvas, pixels) {
  [canvas.width, canvas.height] = [pixels.width, pixels.height];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/**
 * Draws a bitmap at a size that a network takes.
 *
 * The declared size where there is one: then the middle of the bitmap, not stretched. Else about
 * `longest` pixels, each side a multiple of what is declared.
 */
export function fit(bitmap, element, longest, canvas) {
  const [, height, width] = element.shape;
  const multiple = element.sizes_are_multiples_of ?? 32; // of every usual network
  const scale = longest / Math.max(bitmap.width, bitmap.height);
  const round = (size) => Math.max(1, Math.round((size * scale) / multiple)) * multiple;
  canvas.width = width ?? round(Math.max(bitmap.width, bitmap.height / LONGEST));
  canvas.height = height ?? round(Math.max(bitmap.height, bitmap.width / LONGEST));
  const cover = Math.max(canvas.width / bitmap.width, canvas.height / bitmap.height);
  const [w, h] = [bitmap.width * cover, bitmap.height * cover];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
  if (element.shape[3] === 1) {
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const [red, green, blue] = pixels.data.subarray(i, i + 3);
      pixels.data.fill(0.299 * red + 0.587 * green + 0.114 * blue, i, i + 3);
    }
    context.putImageData(pixels, 0, 0);
  }
}

/** What a canvas shows as the input `element`: `{data, dims}` of one row. */
export function tensor(canvas, element) {
  const { width, height } = canvas;
  const channels = element.shape[3];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = context.getImageData(0, 0, width, height).data;
  const [low, high] = range(element);
  const data = new Float32Array(width * height * channels);
  for (let i = 0; i < data.length; i++) {
    const pixel = 4 * Math.floor(i / channels) + (i % channels);
    data[i] = low + ((high - low) * pixels[pixel]) / 255;
  }
  return { data, dims: [1, height, width, channels] };
}
