/**
 * Quantum caches of a local arena: one thread, a stack of free pieces for each multiple of the quantum up to qcacheMax.
 *
 * A run of integers (64 quanta, beginning at a multiple of its length) is cut into pieces of one size. The cache has one word for
 * every quantum of a window that covers its runs: it says NOT_OURS, INSIDE a piece, the next free piece (or END), or that the
 * piece is out and of which size. So an allocation pops a word, and a free checks and pushes one: a wrong address, a wrong size
 * and a second free all meet the wrong word. A run that would lie far outside the window is not taken: then the arena serves.
 *
 * Runs go back to the arena when it runs out, and by `reap`: that walks the window once.
 */
import { UmaCorruptionError } from "../memory/errors.ts";
import type { CacheGround, QuantumCache } from "./quantum-cache.ts";

/** Quanta of a run: four times the largest size that is served, and illumos's least. */
const RUN = 64;
/** Words of the window at most. */
const MOST_WINDOW = 2 ** 24;

const END = -1;
const NOT_OURS = -2;
const INSIDE = -3;
/** A piece of n quanta that is out reads OUT − n. */
const OUT = -16;

export class LocalCache implements QuantumCache {
  readonly isShared = false;
  private readonly ground: CacheGround;
  private readonly perQuantum: number;
  private readonly quantum: number;
  /** Largest size served, quanta. */
  private readonly most: number;
  /** First quantum of the window, in integers of the arena, and the window's words. */
  private base = 0;
  private words: Int32Array = new Int32Array(0);
  private length = 0;
  /** For each size in quanta the first free piece, as an index into the window. */
  private readonly heads: Int32Array;
  /** The sizes of the runs, in quanta, by run of the window; 0 = no run of ours. */
  private classes: Uint8Array = new Uint8Array(0);
  private runs = 0;
  /** The heads as the last drain left them that found nothing to give back. */
  private vain: string | null = null;

  constructor(ground: CacheGround) {
    this.ground = ground;
    this.quantum = ground.quantum;
    this.perQuantum = 1 / ground.quantum;
    this.most = ground.qcacheMax / ground.quantum;
    this.heads = new Int32Array(this.most + 1).fill(END);
  }

  alloc(size: number, mayWait: boolean): number {
    if (size === this.quantum) {
      // One quantum, the size of identifiers: no arithmetic beyond the address.
      const at = this.heads[1];
      if (at < 0) return this.allocSlow(size, mayWait);
      this.heads[1] = this.words[at];
      this.words[at] = OUT - 1;
      return size === 1 ? this.base + at : this.base + at * size;
    }
    const n = size * this.perQuantum;
    if (n >>> 0 === n && n <= this.most) {
      const at = this.heads[n];
      if (at >= 0) {
        this.heads[n] = this.words[at];
        this.words[at] = OUT - n;
        return this.base + at * this.quantum;
      }
    }
    return this.allocSlow(size, mayWait);
  }

  free(start: number, size: number): boolean {
    if (size === 1 && this.quantum === 1) {
      const at = start - this.base;
      if (at >>> 0 === at && at < this.length && this.words[at] === OUT - 1) {
        this.words[at] = this.heads[1];
        this.heads[1] = at;
        return true;
      }
      return this.freeSlow(start, size);
    }
    const n = size * this.perQuantum;
    const at = (start - this.base) * this.perQuantum;
    if (at >>> 0 === at && at < this.length && n >>> 0 === n && n <= this.most && this.words[at] === OUT - n) {
      this.words[at] = this.heads[n];
      this.heads[n] = at;
      return true;
    }
    return this.freeSlow(start, size);
  }

  private allocSlow(size: number, mayWait: boolean): number {
    const n = Math.ceil(size * this.perQuantum);
    if (!(n >= 1 && n <= this.most)) return -1;
    if (this.heads[n] < 0 && !this.addRun(n, mayWait)) return -1;
    return this.alloc(n * this.quantum, mayWait);
  }

  private addRun(n: number, mayWait: boolean): boolean {
    const { quantum, ground } = this;
    const start = ground.takeRun(RUN * quantum, RUN * quantum, mayWait);
    if (start < 0) return false;
    if (!this.reach(start)) {
      ground.giveRun(start, RUN * quantum);
      return false;
    }
    const first = (start - this.base) * this.perQuantum;
    this.classes[first / RUN] = n;
    this.runs++;
    this.words.fill(INSIDE, first, first + RUN);
    const pieces = Math.floor(RUN / n);
    for (let piece = pieces - 1; piece >= 0; piece--) this.push(n, first + piece * n);
    this.vain = null;
    return true;
  }

  private push(n: number, at: number): void {
    this.words[at] = this.heads[n];
    this.heads[n] = at;
  }

  /** Widens the window so that it covers the run at `start`. @returns false when it would become too large. */
  private reach(start: number): boolean {
    const run = RUN * this.quantum;
    if (this.length === 0) this.base = start;
    const low = Math.min(this.base, start);
    const needed = (Math.max(this.base + this.length * this.quantum, start + run) - low) / this.quantum;
    if (needed > MOST_WINDOW) return false;
    const shift = (this.base - low) / this.quantum;
    if (shift === 0 && needed <= this.length) return true;
    // Twice as much, so that what is copied stays a small share; upwards, where arenas mostly grow.
    const length = Math.min(Math.max(needed, 2 * this.length), MOST_WINDOW);
    const words = new Int32Array(length).fill(NOT_OURS);
    words.set(this.words, shift);
    if (shift > 0) {
      for (let at = 0; at < length; at++) if (words[at] >= 0) words[at] += shift;
      for (let n = 0; n < this.heads.length; n++) if (this.heads[n] >= 0) this.heads[n] += shift;
    }
    const classes = new Uint8Array(length / RUN);
    classes.set(this.classes, shift / RUN);
    this.words = words;
    this.classes = classes;
    this.length = length;
    this.base = low;
    return true;
  }

  private freeSlow(start: number, size: number): boolean {
    const at = Math.floor((start - this.base) * this.perQuantum);
    if (!(at >= 0 && at < this.length) || this.words[at] === NOT_OURS) return false;
    const is = this.words[at];
    if (is <= OUT && this.base + at * this.quantum === start) {
      const rounded = Math.ceil(size * this.perQuantum);
      if (rounded === OUT - is) return this.free(start, rounded * this.quantum);
      throw this.refused("ERR_VMEM_SIZE", start, `it has ${(OUT - is) * this.quantum}, not ${size}`);
    }
    throw this.refused("ERR_VMEM_UNKNOWN", start, "it is not allocated (or was freed before)");
  }

  private refused(code: "ERR_VMEM_SIZE" | "ERR_VMEM_UNKNOWN", start: number, why: string): UmaCorruptionError {
    const { name } = this.ground;
    return new UmaCorruptionError(code, `free of ${start} in arena "${name}": ${why}`, { zone: name, value: start });
  }

  drain(): boolean {
    if (this.vain !== null && this.vain === this.heads.join()) return false;
    const { words, classes, ground, quantum } = this;
    const idle: number[] = [];
    this.heads.fill(END);
    for (let run = classes.length - 1; run >= 0; run--) {
      const n = classes[run];
      if (n === 0) continue;
      const first = run * RUN;
      const last = first + (Math.floor(RUN / n) - 1) * n;
      let free = true;
      for (let at = first; at <= last && free; at += n) free = words[at] > OUT;
      if (free) {
        classes[run] = 0;
        words.fill(NOT_OURS, first, first + RUN);
        idle.push(first);
        continue;
      }
      for (let at = last; at >= first; at -= n) if (words[at] > OUT) this.push(n, at);
    }
    this.runs -= idle.length;
    this.vain = idle.length === 0 ? this.heads.join() : null;
    for (const first of idle) ground.giveRun(this.base + first * quantum, RUN * quantum);
    return idle.length > 0;
  }

  outstanding(): number {
    let out = 0;
    for (let at = 0; at < this.length; at++) if (this.words[at] <= OUT) out += OUT - this.words[at];
    return out * this.quantum;
  }

  held(): number {
    return this.runs * RUN * this.quantum;
  }

  close(): void {
    this.drain();
  }
}
