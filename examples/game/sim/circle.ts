/**
 * Angles as whole numbers, 4096 to the circle, clockwise from the right (y points down), with their cosines and sines in tables.
 *
 * Whole numbers on purpose: V8 keeps them in registers wherever they go, whereas a fraction that is handed to a function which is
 * not inlined becomes an object on the heap. A game that is to make no garbage hands over whole numbers.
 */
export const CIRCLE = 4096;

/** Cosine of an angle at `angle & MASK`, and its sine at `(angle - QUARTER) & MASK`. Read in place: a call would make a fraction an object. */
export const COSINES = Float64Array.from({ length: CIRCLE }, (_, n) => Math.cos((2 * Math.PI * n) / CIRCLE));
export const MASK = CIRCLE - 1;
export const QUARTER = CIRCLE / 4;

/** The nearest whole angle. */
export function angleOf(radians: number): number {
  return Math.round((radians * CIRCLE) / (2 * Math.PI)) & MASK;
}
