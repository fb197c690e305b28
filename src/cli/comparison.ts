/**
 * The comparison: the same trace on plain JavaScript objects, and both without the stamps.
 *
 * Everything here runs on one thread, in the trace's order, zalloc as well as JavaScript: objects cannot be shared between
 * threads, so there is no other way to compare like with like. Each figure is measured in a thread of its own. A first pass has
 * the engine's warm-up in it, which for a short trace is most of it; the last of several passes shows what a program that runs
 * on would see.
 */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createMalloc } from "../uma/malloc/malloc.ts";
import { Uma } from "../uma/uma.ts";
import { makeBoard } from "./board.ts";
import { createPerformer } from "./performer.ts";
import { CHECKPOINT, KIND_MASK, OBJECT_SHIFT, type Plan } from "./plan.ts";
import { ALLOC, FREE } from "./trace.ts";

/** Milliseconds of the first pass, and of the last. */
export interface Passes {
  readonly first: number;
  readonly last: number;
}

export interface Comparison {
  /** Every object stamped over its whole size and checked before it goes; one pass. */
  readonly stampedZalloc: Passes;
  readonly stampedObjects: Passes;
  /** Allocations, frees and reallocations alone. */
  readonly bareZalloc: Passes;
  readonly bareObjects: Passes;
}

interface Task {
  readonly plan: Plan;
  readonly bytes: number;
  readonly measure: keyof Comparison;
}

const PASSES = 4;
const MEASURES: readonly (keyof Comparison)[] = ["stampedZalloc", "stampedObjects", "bareZalloc", "bareObjects"];

/** Measures `plan` (of one worker). */
export async function compare(plan: Plan, bytes: number): Promise<Comparison> {
  const measured = {} as { -readonly [K in keyof Comparison]: Passes };
  for (const measure of MEASURES) measured[measure] = await inThread({ plan, bytes, measure });
  return measured;
}

function inThread(task: Task): Promise<Passes> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: task });
    let measured: Passes | null = null;
    worker.once("message", (passes: Passes) => {
      measured = passes;
    });
    worker.once("error", reject);
    worker.once("exit", () => (measured === null ? reject(new Error(`${task.measure} ended without a result`)) : resolve(measured)));
  });
}

function timed(pass: () => void): number {
  const start = performance.now();
  pass();
  return performance.now() - start;
}

/** @param clear - frees what a pass has left; not timed. */
function passes(count: number, pass: () => void, clear: () => void): Passes {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    times.push(timed(pass));
    clear();
  }
  return { first: times[0] as number, last: times.at(-1) as number };
}

function stampedZalloc({ plan, bytes }: Task): Passes {
  const uma = Uma.create({ bytes, workers: 1 });
  const performer = createPerformer(uma, createMalloc(uma), plan, makeBoard(1, plan.sizes.length), 0);
  const pass = (): void => {
    while (performer.run(1 << 20));
  };
  return passes(1, pass, () => undefined);
}

function bareZalloc({ plan, bytes }: Task): Passes {
  const uma = Uma.create({ bytes, workers: 1 });
  const malloc = createMalloc(uma);
  const { sizes, madeFrom } = plan;
  const stream = plan.streams[0] as Int32Array;
  const addresses = new Int32Array(sizes.length);
  const perform = (kind: number, id: number): void => {
    if (kind === ALLOC) {
      addresses[id] = malloc.malloc(sizes[id] as number);
    } else if (kind === FREE) {
      malloc.free(addresses[id] as number);
      addresses[id] = 0;
    } else {
      const old = madeFrom[id] as number;
      addresses[id] = malloc.realloc(addresses[old] as number, sizes[id] as number);
      addresses[old] = 0;
    }
  };
  const clear = (): void => {
    for (const p of addresses) malloc.free(p);
    addresses.fill(0);
  };
  return passes(PASSES, () => eachOperation(stream, perform), clear);
}

function eachOperation(stream: Int32Array, perform: (kind: number, id: number) => void): void {
  for (let at = 0; at < stream.length; at++) {
    const word = stream[at] as number;
    const kind = word & KIND_MASK;
    if (kind === CHECKPOINT) at++;
    else perform(kind, word >>> OBJECT_SHIFT);
  }
}

function words(bytes: number): Uint32Array {
  return new Uint32Array((bytes + 3) >>> 2);
}

function isStamped(object: Uint32Array, count: number, stamp: number): boolean {
  for (let n = 0; n < count; n++) if (object[n] !== stamp) return false;
  return true;
}

/** One Uint32Array for each allocation, dropped on free; a reallocation is a new one with the old one's contents. */
function onObjects({ plan }: Task, stamped: boolean): Passes {
  const { sizes, madeFrom } = plan;
  const stream = plan.streams[0] as Int32Array;
  const objects: (Uint32Array | null)[] = Array.from({ length: sizes.length }, () => null);
  let wrong = 0;
  const drop = (id: number): Uint32Array => {
    const object = objects[id] as Uint32Array;
    objects[id] = null;
    if (stamped && !isStamped(object, object.length, id + 1)) wrong++;
    return object;
  };
  const perform = (kind: number, id: number): void => {
    if (kind === FREE) {
      drop(id);
      return;
    }
    const made = words(sizes[id] as number);
    if (kind !== ALLOC) {
      const old = drop(madeFrom[id] as number);
      const kept = Math.min(old.length, made.length);
      made.set(old.length > kept ? old.subarray(0, kept) : old);
      if (stamped && !isStamped(made, kept, (madeFrom[id] as number) + 1)) wrong++;
    }
    if (stamped) made.fill(id + 1);
    objects[id] = made;
  };
  const measured = passes(
    stamped ? 1 : PASSES,
    () => eachOperation(stream, perform),
    () => objects.fill(null),
  );
  if (wrong > 0) throw new Error(`${wrong} stamps on plain objects were wrong`);
  return measured;
}

function measure(task: Task): Passes {
  switch (task.measure) {
    case "stampedZalloc":
      return stampedZalloc(task);
    case "stampedObjects":
      return onObjects(task, true);
    case "bareZalloc":
      return bareZalloc(task);
    case "bareObjects":
      return onObjects(task, false);
  }
}

if (!isMainThread && parentPort !== null) parentPort.postMessage(measure(workerData as Task));
