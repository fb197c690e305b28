/**
 * Angles as whole numbers, 4096 to the circle, clockwise from the right (y points down), with their cosines and sines in tables.
 *
 * Whole numbers on purpose: V8 keeps them in registers wherever they go, whereas a fraction that is handed to a function which is
 * not inlined becomes an object on the heap. A game that is to make no garbage hands over whole numbers.
 */
export const CIRCLE = 4096;
const MASK = CIRCLE - 1;

const cosines = Float64Array.from({ length: CIRCLE }, (_, n) => Math.cos((2 * Math.PI * n) / CIRCLE));

export function cosine(angle: number): number {
  return cosines[angle & MASK] as number;
}

export function sine(angle: number): number {
  return cosines[(angle - CIRCLE / 4) & MASK] as number;
}

/** The nearest whole angle. */
export function angleOf(radians: number): number {
  return Math.round((radians * CIRCLE) / (2 * Math.PI)) & MASK;
}
