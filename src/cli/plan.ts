/**
 * The plan of a replay: which worker does which operation, and what it must wait for. Made before the workers start, so that
 * they have nothing to find out.
 *
 * **Who.** The trace's threads are dealt to the workers by their number of operations, the busiest first to the least loaded. A
 * trace of fewer threads than there are workers is cut into slices, dealt out in turn, so that every worker has work.
 *
 * **Order.** Each worker does its operations in the trace's order. An operation on an object that another worker makes waits until
 * its address is published: the maker stores addresses in one table, and where somebody else is going to need one (PUBLISH) wakes
 * whoever sleeps on it. The trace's own order is a valid schedule, so the earliest operation not yet done can always go on: no
 * deadlock. Besides, no worker runs further ahead of the slowest than a window of operations, or the memory would hold what the
 * program never held at one time; checkpoints in the streams say where a worker is.
 *
 * A stream is a sequence of words {object << 4 | flags | kind}; a checkpoint is followed by its place in the trace.
 */
import { ALLOC, FREE, type Trace } from "./trace.ts";

/** Kinds of a stream's words are the trace's, and this one. */
export const CHECKPOINT = 3;
export const KIND_MASK = 3;
/** The object made is somebody else's to free. */
export const PUBLISH = 4;
/** The object freed (or reallocated) is made by another worker. */
export const FOREIGN = 8;
export const OBJECT_SHIFT = 4;

/** Operations between two checkpoints of a worker, and the most by which one may be ahead. */
const CHECKPOINT_EVERY = 256;
const WINDOW = 4096;
/** A slice of a trace with few threads, operations. */
const SLICE = 1000;

/** All in shared memory: it goes to every worker. */
export interface Plan {
  readonly operations: number;
  readonly workers: number;
  /** By worker: its stream, and how many operations there are in it. */
  readonly streams: readonly Int32Array[];
  readonly counts: readonly number[];
  /** By object: bytes, what it is reallocated from (−1: nothing), which worker makes it. */
  readonly sizes: Int32Array;
  readonly madeFrom: Int32Array;
  readonly makers: Uint8Array;
  /** Operations that a worker may be ahead of the slowest. */
  readonly window: number;
  /** Whether threads had to be cut into slices. */
  readonly sliced: boolean;
  /** Operations on another worker's object. */
  readonly foreign: number;
}

export function makePlan(trace: Trace, workers: number): Plan {
  const operations = trace.kinds.length;
  const objects = trace.sizes.length;
  const threads = busyThreads(trace);
  const sliced = threads.length < workers;
  const workerOf = sliced ? dealSlices(trace, workers) : dealThreads(trace, threads, workers);
  const makers = new Uint8Array(new SharedArrayBuffer(objects));
  for (let op = 0; op < operations; op++) {
    if (trace.kinds[op] !== FREE) makers[trace.objectOf[op] as number] = workerOf[op] as number;
  }
  const awaited = new Uint8Array(objects);
  let foreign = 0;
  for (let op = 0; op < operations; op++) {
    const needed = neededBy(trace, op);
    if (needed < 0 || makers[needed] === workerOf[op]) continue;
    awaited[needed] = 1;
    foreign++;
  }
  const words: number[][] = Array.from({ length: workers }, () => []);
  const counts = words.map(() => 0);
  const lastCheckpoint = words.map(() => -CHECKPOINT_EVERY);
  for (let op = 0; op < operations; op++) {
    const worker = workerOf[op] as number;
    const stream = words[worker] as number[];
    if (op - (lastCheckpoint[worker] as number) >= CHECKPOINT_EVERY) {
      stream.push(CHECKPOINT, op);
      lastCheckpoint[worker] = op;
    }
    const kind = trace.kinds[op] as number;
    const id = trace.objectOf[op] as number;
    const needed = neededBy(trace, op);
    const publish = kind !== FREE && awaited[id] === 1 ? PUBLISH : 0;
    stream.push((id << OBJECT_SHIFT) | publish | (needed >= 0 && makers[needed] !== worker ? FOREIGN : 0) | kind);
    counts[worker] = (counts[worker] as number) + 1;
  }
  return {
    operations,
    workers,
    streams: words.map(share),
    counts,
    sizes: share(trace.sizes),
    madeFrom: share(trace.madeFrom),
    makers,
    window: WINDOW,
    sliced,
    foreign,
  };
}

/** The object that an operation needs to be alive; −1 = none. */
function neededBy(trace: Trace, op: number): number {
  const id = trace.objectOf[op] as number;
  const kind = trace.kinds[op];
  return kind === FREE ? id : kind === ALLOC ? -1 : (trace.madeFrom[id] as number);
}

/** Threads that do anything, the busiest first: [thread, operations]. */
function busyThreads(trace: Trace): [number, number][] {
  const counts = new Map<number, number>();
  for (const thread of trace.threadOf) counts.set(thread, (counts.get(thread) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}

function dealThreads(trace: Trace, threads: readonly [number, number][], workers: number): Uint8Array {
  const load = Array.from({ length: workers }, () => 0);
  const workerOfThread = new Uint8Array(trace.threads);
  for (const [thread, count] of threads) {
    const least = load.indexOf(Math.min(...load));
    load[least] = (load[least] as number) + count;
    workerOfThread[thread] = least;
  }
  return Uint8Array.from(trace.threadOf, (thread) => workerOfThread[thread] as number);
}

function dealSlices(trace: Trace, workers: number): Uint8Array {
  const done = new Float64Array(trace.threads);
  return Uint8Array.from(trace.threadOf, (thread) => {
    const n = done[thread] as number;
    done[thread] = n + 1;
    return (Math.floor(n / SLICE) + thread) % workers;
  });
}

function share(words: ArrayLike<number>): Int32Array {
  const shared = new Int32Array(new SharedArrayBuffer(words.length * 4));
  shared.set(words);
  return shared;
}
