/**
 * The comparison: the same trace on plain JavaScript objects, and both without the stamps.
 *
 * Everything here runs on one thread, in the trace's order, in a thread of its own, zalloc as well as JavaScript: objects cannot
 * be shared between threads, so there is no other way to compare like with like. Each figure is one pass, the engine's warm-up
 * included.
 */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createMalloc } from "../uma/malloc/malloc.ts";
import { Uma } from "../uma/uma.ts";
import { makeBoard } from "./board.ts";
import { createPerformer } from "./performer.ts";
import { CHECKPOINT, KIND_MASK, OBJECT_SHIFT, type Plan } from "./plan.ts";
import { ALLOC, FREE } from "./trace.ts";

/** Milliseconds of one pass on one thread. */
export interface Comparison {
  /** Every object stamped over its whole size and checked before it goes. */
  readonly stampedZalloc: number;
  readonly stampedObjects: number;
  /** Allocations, frees and reallocations alone. */
  readonly bareZalloc: number;
  readonly bareObjects: number;
}

interface Task {
  readonly plan: Plan;
  readonly bytes: number;
  readonly measure: keyof Comparison;
}

/** Measures `plan` (of one worker): each figure in a thread of its own, one after the other. */
export async function compare(plan: Plan, bytes: number): Promise<Comparison> {
  const measured: Record<keyof Comparison, number> = { stampedZalloc: 0, stampedObjects: 0, bareZalloc: 0, bareObjects: 0 };
  for (const measure of Object.keys(measured) as (keyof Comparison)[]) measured[measure] = await inThread({ plan, bytes, measure });
  return measured;
}

function inThread(task: Task): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: task });
    let time = -1;
    worker.once("message", (measured: number) => {
      time = measured;
    });
    worker.once("error", reject);
    worker.once("exit", () => (time >= 0 ? resolve(time) : reject(new Error(`${task.measure} ended without a result`))));
  });
}

function timed(act: () => void): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}

function stampedZalloc({ plan, bytes }: Task): number {
  const uma = Uma.create({ bytes, workers: 1 });
  const performer = createPerformer(uma, createMalloc(uma), plan, makeBoard(1, plan.sizes.length), 0);
  const time = timed(() => {
    while (performer.run(1 << 20));
  });
  uma.detach();
  return time;
}

function bareZalloc({ plan, bytes }: Task): number {
  const uma = Uma.create({ bytes, workers: 1 });
  const malloc = createMalloc(uma);
  const { sizes, madeFrom } = plan;
  const stream = plan.streams[0] as Int32Array;
  const addresses = new Int32Array(sizes.length);
  const time = timed(() => {
    for (let at = 0; at < stream.length; at++) {
      const word = stream[at] as number;
      const kind = word & KIND_MASK;
      const id = word >>> OBJECT_SHIFT;
      if (kind === ALLOC) addresses[id] = malloc.malloc(sizes[id] as number);
      else if (kind === FREE) malloc.free(addresses[id] as number);
      else if (kind === CHECKPOINT) at++;
      else addresses[id] = malloc.realloc(addresses[madeFrom[id] as number] as number, sizes[id] as number);
    }
  });
  uma.detach();
  return time;
}

function words(bytes: number): Uint32Array {
  return new Uint32Array((bytes + 3) >>> 2);
}

function intact(object: Uint32Array, count: number, stamp: number): boolean {
  for (let n = 0; n < count; n++) if (object[n] !== stamp) return false;
  return true;
}

/** One Uint32Array for each allocation, dropped on free; a reallocation is a new one with the old one's contents. */
function onObjects({ plan }: Task, stamped: boolean): number {
  const { sizes, madeFrom } = plan;
  const stream = plan.streams[0] as Int32Array;
  const objects: (Uint32Array | null)[] = Array.from({ length: sizes.length }, () => null);
  let wrong = 0;
  const time = timed(() => {
    for (let at = 0; at < stream.length; at++) {
      const word = stream[at] as number;
      const kind = word & KIND_MASK;
      const id = word >>> OBJECT_SHIFT;
      if (kind === CHECKPOINT) {
        at++;
      } else if (kind === FREE) {
        const object = objects[id] as Uint32Array;
        if (stamped && !intact(object, object.length, id + 1)) wrong++;
        objects[id] = null;
      } else {
        const made = words(sizes[id] as number);
        if (kind !== ALLOC) {
          const old = objects[madeFrom[id] as number] as Uint32Array;
          if (stamped && !intact(old, old.length, (madeFrom[id] as number) + 1)) wrong++;
          const kept = Math.min(old.length, made.length);
          made.set(old.length > kept ? old.subarray(0, kept) : old);
          if (stamped && !intact(made, kept, (madeFrom[id] as number) + 1)) wrong++;
          objects[madeFrom[id] as number] = null;
        }
        if (stamped) made.fill(id + 1);
        objects[id] = made;
      }
    }
  });
  if (wrong > 0) throw new Error(`${wrong} stamps on plain objects were wrong`);
  return time;
}

const MEASURES: Readonly<Record<keyof Comparison, (task: Task) => number>> = {
  stampedZalloc,
  stampedObjects: (task) => onObjects(task, true),
  bareZalloc,
  bareObjects: (task) => onObjects(task, false),
};

if (!isMainThread && parentPort !== null) {
  const task = workerData as Task;
  parentPort.postMessage(MEASURES[task.measure](task));
}
