/** The orders in which items are freed. Fixed permutations: every run and every peer sees the same. */

/** Numerical Recipes' linear congruential generator: the high bits of 32 are random enough for shuffling. */
export function createRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The numbers from 0 to `count` − 1, shuffled. */
export function permutation(count: number, seed: number): Int32Array {
  const random = createRandom(seed);
  const order = Int32Array.from({ length: count }, (_, n) => n);
  for (let n = count - 1; n > 0; n--) {
    const other = random(n + 1);
    const held = order[n] as number;
    order[n] = order[other] as number;
    order[other] = held;
  }
  return order;
}
