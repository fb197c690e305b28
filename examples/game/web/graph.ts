/** The graph of the last frames: how long each took, and how long each worker simulated. */

const SAMPLES = 240;
/** Height of the graph, milliseconds: grows with what is to be seen. */
const SCALES = [20, 40, 80, 160, 320, 640] as const;

export class Graph {
  private readonly context: CanvasRenderingContext2D;
  private readonly canvas: HTMLCanvasElement;
  private readonly frames = new Float32Array(SAMPLES);
  private readonly steps = [new Float32Array(SAMPLES), new Float32Array(SAMPLES)] as const;
  private readonly sorted = new Float32Array(SAMPLES);
  private next = 0;

  constructor(canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("no 2D canvas");
    this.canvas = canvas;
    this.context = context;
  }

  /** Milliseconds, all of them. */
  add(frame: number, stepA: number, stepB: number): void {
    this.frames[this.next] = frame;
    this.steps[0][this.next] = stepA;
    this.steps[1][this.next] = stepB;
    this.next = (this.next + 1) % SAMPLES;
  }

  clear(): void {
    this.frames.fill(0);
    for (const steps of this.steps) steps.fill(0);
  }

  /** Of the workers' steps in the graph: median and slowest, milliseconds. */
  summary(): { readonly median: number; readonly slowest: number } {
    const { sorted, steps } = this;
    for (let n = 0; n < SAMPLES; n++) sorted[n] = Math.max(steps[0][n] as number, steps[1][n] as number);
    sorted.sort();
    const first = sorted.findIndex((ms) => ms > 0);
    return first < 0
      ? { median: 0, slowest: 0 }
      : { median: sorted[(first + SAMPLES) >> 1] as number, slowest: sorted[SAMPLES - 1] as number };
  }

  draw(): void {
    const { canvas, context, frames, steps, next } = this;
    const ratio = Math.min(2, devicePixelRatio);
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (width === 0) return;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.clearRect(0, 0, width, height);
    // A few slow frames may stand out at the top; the workers' steps may not.
    this.sorted.set(frames);
    const usual = this.sorted.sort()[Math.floor(SAMPLES * 0.9)] as number;
    const most = Math.max(usual, ...steps[0], ...steps[1]) * 1.1;
    const scale = SCALES.find((ms) => ms >= most) ?? (SCALES[SCALES.length - 1] as number);
    const y = (ms: number): number => height - (Math.min(ms, scale) / scale) * height;
    const step = width / SAMPLES;

    context.fillStyle = "#46538a";
    for (let n = 0; n < SAMPLES; n++) {
      const top = y(frames[(next + n) % SAMPLES] as number);
      context.fillRect(n * step, top, step, height - top);
    }
    for (const [index, colour] of ["#5fe3ff", "#ff6ea8"].entries()) {
      context.beginPath();
      for (let n = 0; n < SAMPLES; n++) context.lineTo((n + 0.5) * step, y(steps[index as 0 | 1][(next + n) % SAMPLES] as number));
      context.strokeStyle = colour;
      context.lineWidth = 1.4 * ratio;
      context.stroke();
    }
    context.font = `${10 * ratio}px system-ui, sans-serif`;
    context.fillStyle = context.strokeStyle = "#ffffffb0";
    context.lineWidth = 1;
    context.setLineDash([3 * ratio, 4 * ratio]);
    context.beginPath();
    context.moveTo(0, y(1000 / 60));
    context.lineTo(width, y(1000 / 60));
    context.stroke();
    context.setLineDash([]);
    label(context, ratio, "16.7 ms", 0, Math.max(y(1000 / 60) - 3 * ratio, 10 * ratio));
    const top = `${scale} ms`;
    label(context, ratio, top, width - context.measureText(top).width - 8 * ratio, 11 * ratio);
  }
}

/** Text that can be read before whatever is drawn behind it. @param y - of its base line. */
function label(context: CanvasRenderingContext2D, ratio: number, text: string, x: number, y: number): void {
  context.fillStyle = "#080a18b0";
  context.fillRect(x, y - 10 * ratio, context.measureText(text).width + 8 * ratio, 13 * ratio);
  context.fillStyle = "#ffffffd0";
  context.fillText(text, x + 4 * ratio, y);
}
