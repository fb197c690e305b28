/**
 * The performer: does one worker's operations, in order, waiting where the plan says so.
 *
 * An object's address stands in the table only when it is wholly made and stamped, and leaves it when its free has returned; so
 * whenever a worker is terminated, all but the object it was just about is known exactly.
 */
import type { Malloc } from "../uma/malloc/malloc.ts";
import type { Uma } from "../uma/uma.ts";
import {
  ADDRESS_FREED,
  ADDRESS_NEVER,
  ADDRESS_NONE,
  BOARD_TICK,
  type Board,
  NO_MORE,
  ROW_CURRENT,
  ROW_DONE,
  ROW_GONE,
  ROW_LIVE,
  ROW_PEAK,
  ROW_POSITION,
  ROW_SKIPPED,
  ROW_WRONG,
  rowOf,
} from "./board.ts";
import { CHECKPOINT, FOREIGN, KIND_MASK, OBJECT_SHIFT, PUBLISH, type Plan } from "./plan.ts";
import { createStamps } from "./stamps.ts";
import { ALLOC, FREE } from "./trace.ts";

export interface Performer {
  /** Does up to `operations` more of the stream. @returns false when the stream is at its end. */
  run(operations: number): boolean;
}

/** Looks at an address before going to sleep on it. */
const SPINS = 100;
/** The longest sleep before looking again, milliseconds: a worker that dies wakes nobody. */
const NAP_MS = 20;
/** Tries of an allocation that met a lock which it could not have. */
const BUSY_TRIES = 20;

/** Thrown when an allocation fails: the replay cannot go on. */
export class OutOfMemory extends Error {}

export function createPerformer(uma: Uma, malloc: Malloc, plan: Plan, board: Board, worker: number): Performer {
  const { sizes, madeFrom, makers, window, workers } = plan;
  const { words, numbers, addresses } = board;
  const stream = plan.streams[worker] as Int32Array;
  const stamps = createStamps(uma.buffer);
  const row = rowOf(worker);
  const LIVE = (row + ROW_LIVE) >> 1;
  const PEAK = (row + ROW_PEAK) >> 1;
  const others = Array.from({ length: workers }, (_, n) => n).filter((n) => n !== worker);
  const livesOfOthers = others.map((n) => (rowOf(n) + ROW_LIVE) >> 1);
  let at = 0;
  let live = 0;

  function run(operations: number): boolean {
    for (let left = operations; left > 0; ) {
      if (at >= stream.length) {
        finish();
        return false;
      }
      const word = stream[at++] as number;
      const kind = word & KIND_MASK;
      if (kind === CHECKPOINT) {
        checkpoint(stream[at++] as number);
        continue;
      }
      perform(kind, word >>> OBJECT_SHIFT, word);
      left--;
    }
    return true;
  }

  function perform(kind: number, id: number, flags: number): void {
    words[row + ROW_CURRENT] = id + 1;
    const done = kind === ALLOC ? alloc(id, flags) : kind === FREE ? free(id, flags) : realloc(id, flags);
    words[row + (done ? ROW_DONE : ROW_SKIPPED)]++;
  }

  function alloc(id: number, flags: number): boolean {
    const bytes = sizes[id] as number;
    let p = malloc.malloc(bytes);
    if (p === 0) p = tryHard(() => malloc.malloc(bytes), bytes);
    stamps.write(p, bytes, id + 1);
    publish(id, p, flags);
    count(bytes);
    return true;
  }

  function free(id: number, flags: number): boolean {
    const p = (flags & FOREIGN) === 0 ? (addresses[id] as number) : awaited(id);
    if (p < 0) return false;
    const bytes = sizes[id] as number;
    if (!stamps.check(p, bytes, id + 1)) words[row + ROW_WRONG]++;
    malloc.free(p);
    addresses[id] = ADDRESS_FREED;
    count(-bytes);
    return true;
  }

  function realloc(id: number, flags: number): boolean {
    const old = madeFrom[id] as number;
    const p = (flags & FOREIGN) === 0 ? (addresses[old] as number) : awaited(old);
    if (p < 0) {
      publish(id, ADDRESS_NEVER, flags);
      return false;
    }
    const before = sizes[old] as number;
    const after = sizes[id] as number;
    if (!stamps.check(p, before, old + 1)) words[row + ROW_WRONG]++;
    let q = malloc.realloc(p, after);
    if (q === 0) q = tryHard(() => malloc.realloc(p, after), after);
    if (!stamps.check(q, Math.min(before, after), old + 1)) words[row + ROW_WRONG]++;
    addresses[old] = ADDRESS_FREED;
    stamps.write(q, after, id + 1);
    publish(id, q, flags);
    count(after - before);
    return true;
  }

  function publish(id: number, p: number, flags: number): void {
    if ((flags & PUBLISH) === 0) {
      addresses[id] = p;
      return;
    }
    Atomics.store(addresses, id, p);
    Atomics.notify(addresses, id);
  }

  /** The address of an object that another worker makes; ADDRESS_NEVER when that worker died before. */
  function awaited(id: number): number {
    for (let spin = 0; spin < SPINS; spin++) {
      const p = Atomics.load(addresses, id);
      if (p !== ADDRESS_NONE) return p;
    }
    const gone = rowOf(makers[id] as number) + ROW_GONE;
    for (;;) {
      // First whether it is dead, then the address: what it published before it died counts.
      const dead = Atomics.load(words, gone) === 1;
      const p = Atomics.load(addresses, id);
      if (p !== ADDRESS_NONE) return p;
      if (dead) return ADDRESS_NEVER;
      Atomics.wait(addresses, id, ADDRESS_NONE, NAP_MS);
    }
  }

  /** Says where this worker is, and waits for those who are too far behind. */
  function checkpoint(position: number): void {
    advance(position);
    for (;;) {
      const tick = Atomics.load(words, BOARD_TICK);
      if (slowest() >= position - window) return;
      Atomics.wait(words, BOARD_TICK, tick, NAP_MS);
    }
  }

  function advance(position: number): void {
    Atomics.store(words, row + ROW_POSITION, position);
    if (others.length === 0) return;
    Atomics.add(words, BOARD_TICK, 1);
    Atomics.notify(words, BOARD_TICK);
  }

  function slowest(): number {
    let least = NO_MORE;
    for (const n of others) least = Math.min(least, Atomics.load(words, rowOf(n) + ROW_POSITION));
    return least;
  }

  /** Keeps the bytes alive: everybody's own, so the sum is right up to the operations in hand. */
  function count(bytes: number): void {
    live += bytes;
    numbers[LIVE] = live;
    if (bytes <= 0) return;
    let all = live;
    for (let n = 0; n < livesOfOthers.length; n++) all += numbers[livesOfOthers[n] as number] as number;
    if (all > (numbers[PEAK] as number)) numbers[PEAK] = all;
  }

  /** A lock that a dead worker holds is free once its death is certified: only then is there an answer. */
  function tryHard(act: () => number, bytes: number): number {
    for (let tries = 0; tries < BUSY_TRIES && uma.lastFailure === "BUSY"; tries++) {
      const p = act();
      if (p !== 0) return p;
    }
    throw new OutOfMemory(`no memory for ${bytes} bytes (${uma.lastFailure}); give it more with --bytes`);
  }

  function finish(): void {
    words[row + ROW_CURRENT] = 0;
    advance(NO_MORE);
  }

  return { run };
}
