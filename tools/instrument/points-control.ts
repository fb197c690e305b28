/**
 * Theory: the parent's end of a control block. One block may serve one worker (kill *this* worker at the k-th hit) or
 * several (whoever makes the k-th hit); occurrences are counted atomically, so exactly one thread parks per arming.
 */
import * as layout from "./points-runtime.js";

export class PointControl {
  /** Give these words to the worker, which calls `attachPoints(words)` of its tree's `$points.js`. */
  readonly words: Int32Array;

  constructor(pointCount: number) {
    this.words = new Int32Array(new SharedArrayBuffer(4 * (layout.COUNTS + 2 * pointCount)));
  }

  /**
   * Parks the thread that makes the `occurrence`-th hit (from 1) of a point, or of any point.
   * @param latest - or at whichever point comes when there have been so many hits in all; 0: at no other.
   */
  arm(point: number | "any", occurrence = 1, latest = 0): void {
    this.reset();
    this.words[layout.LATEST] = latest;
    this.words[layout.POINT] = point === "any" ? layout.ANY : point;
    this.words[layout.TO_GO] = occurrence;
    Atomics.store(this.words, layout.MODE, layout.ARMED);
  }

  /** Counts hits per point; nobody parks. */
  count(): void {
    this.reset();
    Atomics.store(this.words, layout.MODE, layout.COUNTING);
  }

  off(): void {
    Atomics.store(this.words, layout.MODE, 0);
  }

  /** Lets a parked thread go on (instead of terminating it). */
  release(): void {
    Atomics.store(this.words, layout.GATE, 1);
    Atomics.notify(this.words, layout.GATE);
  }

  /** The point at which a thread is parked, or null. */
  get reached(): number | null {
    const reached = Atomics.load(this.words, layout.REACHED);
    return reached === 0 ? null : reached - 1;
  }

  get reachedTag(): number {
    return this.words[layout.TAG] ?? 0;
  }

  /** Resolves with the point once a thread is parked there, or with null after the time. */
  async whenReached(timeoutMs: number): Promise<number | null> {
    const deadline = performance.now() + timeoutMs;
    while (this.reached === null) {
      const left = deadline - performance.now();
      if (left <= 0) return null;
      // A timer beside waitAsync: Node's event loop does not stay alive for waitAsync alone.
      const pause = new Promise<void>((resolve) => setTimeout(resolve, Math.min(left, 20)));
      const wait = Atomics.waitAsync(this.words, layout.REACHED, 0, left);
      await (wait.async ? Promise.race([wait.value, pause]) : pause);
    }
    return this.reached;
  }

  /** Hits since the last arm() or count(). */
  get hits(): number {
    return Atomics.load(this.words, layout.HITS);
  }

  /** Hits of each point in count mode. */
  counts(): Int32Array {
    return this.words.slice(layout.COUNTS, (layout.COUNTS + this.words.length) >> 1);
  }

  /** How many hits there had been in all at the last one of each point, in count mode. */
  lasts(): Int32Array {
    return this.words.slice((layout.COUNTS + this.words.length) >> 1);
  }

  /** The latest points passed, oldest first. */
  log(): number[] {
    const logged = Atomics.load(this.words, layout.LOGGED);
    const from = Math.max(0, logged - layout.LOG_LENGTH);
    return Array.from({ length: logged - from }, (_, i) => this.words[layout.LOG + ((from + i) % layout.LOG_LENGTH)] ?? -1);
  }

  private reset(): void {
    this.words.fill(0);
  }
}
