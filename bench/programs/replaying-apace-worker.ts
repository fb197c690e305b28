/**
 * A worker that does its part of a trace again each time it is told to, at its own pace: the operations alone, and an object's
 * first word as its stamp.
 *
 * Each worker goes through its part in order. What is to be done to an object that another worker has not made yet is put off until
 * that object is there, and with it what follows from it; nothing else waits. Addresses are passed on in a shared table that is
 * used only for what other workers are going to need; all others stand in a table of the worker's own, so that neighbours do not
 * take each other's cache lines.
 */
import { CHECKPOINT, KIND_MASK, OBJECT_SHIFT, PUBLISH } from "../../src/cli/plan.ts";
import { ALLOC, FREE } from "../../src/cli/trace.ts";
import { createMalloc, Uma } from "../../src/index.ts";
import { crewData, serve } from "./crew.ts";
import type { ApacePart } from "./replaying.ts";

// An imported constant is read from its module at each use; these are part of the code.
const KIND: number = KIND_MASK;
const SHIFT: number = OBJECT_SHIFT;
const PASS_ON: number = PUBLISH;
const IS_ALLOC: number = ALLOC;
const IS_FREE: number = FREE;
const IS_CHECKPOINT: number = CHECKPOINT;

const { ticket, plan, passedOn, worker } = crewData<ApacePart>();
const { sizes, madeFrom } = plan;
const stream = plan.streams[worker] as Int32Array;
const uma = Uma.attach(ticket);
const heap = createMalloc(uma);
const i32 = new Int32Array(uma.buffer);
const own = new Int32Array(sizes.length);
/** Operations put off (words of the stream) in their order: from `first` to `last`. */
const putOff = new Int32Array(stream.length);
let first = 0;
let last = 0;
let wrong = 0;

/** @returns false when the object that it is about is not there yet; nothing has been done then. */
function perform(word: number): boolean {
  const id = word >>> SHIFT;
  if ((word & KIND) === IS_ALLOC) {
    keep(id, heap.malloc(sizes[id] as number), word);
    return true;
  }
  const old = (word & KIND) === IS_FREE ? id : (madeFrom[id] as number);
  let p = own[old] as number;
  if (p !== 0) {
    own[old] = 0;
  } else {
    // Another worker's, or passed on and then needed by its maker as well, or not there yet.
    p = Atomics.load(passedOn, old);
    if (p === 0) return false;
    passedOn[old] = 0;
  }
  if (i32[p >> 2] !== old + 1) wrong++;
  if ((word & KIND) === IS_FREE) {
    heap.free(p);
    return true;
  }
  const q = heap.realloc(p, sizes[id] as number);
  if (i32[q >> 2] !== old + 1) wrong++;
  keep(id, q, word);
  return true;
}

function keep(id: number, p: number, word: number): void {
  i32[p >> 2] = id + 1;
  if ((word & PASS_ON) === 0) own[id] = p;
  else Atomics.store(passedOn, id, p);
}

/** Does what was put off and can be done by now. */
function catchUp(): void {
  while (first < last && perform(putOff[first] as number)) first++;
}

function pass(): void {
  first = 0;
  last = 0;
  for (let at = 0; at < stream.length; at++) {
    const word = stream[at] as number;
    if ((word & KIND) === IS_CHECKPOINT) {
      at++;
      catchUp();
    } else if (!perform(word)) {
      putOff[last++] = word;
    }
  }
  while (first < last) catchUp();
}

serve(() => {
  const start = performance.now();
  pass();
  const ns = (performance.now() - start) * 1e6;
  if (wrong > 0) throw new Error(`${wrong} stamps were wrong`);
  for (const p of own) heap.free(p);
  own.fill(0);
  return { ops: plan.counts[worker] as number, ns };
});
