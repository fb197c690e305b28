/**
 * A hundred thousand bodies that move, each in the form that its users would give it: the same arithmetic, the same order.
 *
 * Each body has eight floats; a move reads four and writes two.
 */
import { defineZone, f32, struct, Uma } from "../../src/index.ts";
import type { BatchProgram } from "../harness/suite.ts";
import { permutation } from "./orders.ts";

export const BODIES = 100_000;
/** Bodies in a batch: short enough that V8 compiles the loop as a whole, long enough to reach all of them in turn. */
const BATCH = 1000;
const STEP = 0.01;

const Body = defineZone("body", { type: struct({ x: f32, y: f32, vx: f32, vy: f32, mass: f32, life: f32, hue: f32, size: f32 }) });

/** Indices of all bodies in the order in which they are moved. */
function indices(random: boolean): Int32Array {
  return random ? permutation(BODIES, 4) : Int32Array.from({ length: BODIES }, (_, n) => n);
}

function memory() {
  const uma = Uma.create({ bytes: 16 * 2 ** 20 });
  const zone = uma.open(Body);
  const made = Array.from({ length: BODIES }, () => zone.alloc()).sort((a, b) => a - b);
  for (const [n, item] of made.entries()) zone.at(item).set({ x: n, y: n, vx: 1, vy: 1 });
  return { uma, zone, made };
}

/** Goes through all items in batches. */
function batches(items: Int32Array, move: (from: number, to: number, items: Int32Array) => void): BatchProgram {
  let at = 0;
  return {
    batch: () => {
      move(at, at + BATCH, items);
      at = (at + BATCH) % BODIES;
      return BATCH;
    },
  };
}

function inZone(random: boolean) {
  const { uma, zone, made } = memory();
  return { uma, zone, items: indices(random).map((n) => made[n] as number) };
}

/** Typed arrays, indexed by hand. */
export function direct(random: boolean): BatchProgram {
  const { uma, items } = inZone(random);
  const { f32: floats } = uma.views;
  return batches(items, (from, to, all) => {
    for (let n = from; n < to; n++) {
      const p = (all[n] as number) >> 2;
      floats[p] = (floats[p] as number) + (floats[p + 2] as number) * STEP;
      floats[p + 1] = (floats[p + 1] as number) + (floats[p + 3] as number) * STEP;
    }
  });
}

/** `zone.at(item)`. */
export function at(random: boolean): BatchProgram {
  const { zone, items } = inZone(random);
  return batches(items, (from, to, all) => {
    for (let n = from; n < to; n++) {
      const p = zone.at(all[n] as number);
      p.x += p.vx * STEP;
      p.y += p.vy * STEP;
    }
  });
}

/** A view of one's own, moved. */
export function view(random: boolean): BatchProgram {
  const { zone, items } = inZone(random);
  const p = zone.view();
  return batches(items, (from, to, all) => {
    for (let n = from; n < to; n++) {
      p.item = all[n] as number;
      p.x += p.vx * STEP;
      p.y += p.vy * STEP;
    }
  });
}

/** Columns. */
export function columns(random: boolean): BatchProgram {
  const { zone, items } = inZone(random);
  const { x, y, vx, vy } = zone.columns;
  const { view: floats } = x;
  const [atX, atY, atVx, atVy] = [x.offset, y.offset, vx.offset, vy.offset];
  return batches(items, (from, to, all) => {
    for (let n = from; n < to; n++) {
      const p = (all[n] as number) >> 2;
      floats[p + atX] = (floats[p + atX] as number) + (floats[p + atVx] as number) * STEP;
      floats[p + atY] = (floats[p + atY] as number) + (floats[p + atVy] as number) * STEP;
    }
  });
}

/** Every field is a double from its definition on: the form in which V8 keeps doubles without boxing them anew at every store. */
class PlainBody {
  x = 0.5;
  y = 0.5;
  vx = 1.5;
  vy = 1.5;
  mass = 0.5;
  life = 0.5;
  hue = 0.5;
  size = 0.5;
}

/** Plain objects. */
export function objects(random: boolean): BatchProgram {
  const made = Array.from({ length: BODIES }, () => new PlainBody());
  for (const [n, body] of made.entries()) body.x = body.y = n + 0.5;
  const bodies = Array.from(indices(random), (n) => made[n] as PlainBody);
  let start = 0;
  return {
    batch: () => {
      for (let n = start; n < start + BATCH; n++) {
        const p = bodies[n] as PlainBody;
        p.x += p.vx * STEP;
        p.y += p.vy * STEP;
      }
      start = (start + BATCH) % BODIES;
      return BATCH;
    },
  };
}
