/** Which kills a campaign makes: every point that a history passes, at several of its occurrences. */
import type { Kill } from "./campaign.ts";

/** A small generator, so that a plan is the same for the same seed. */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/**
 * @param counts - how often the history of `seed` passes each point.
 * @param perPoint - occurrences of each point to be killed at: the first, the last, and some in between.
 */
export function planKills(counts: Int32Array, seed: number, perPoint: number): Kill[] {
  const random = generator(seed ^ 0x5eed);
  const kills: Kill[] = [];
  for (let point = 0; point < counts.length; point++) {
    const hits = counts[point] ?? 0;
    const chosen = new Set<number>();
    for (let n = 0; n < Math.min(perPoint, hits); n++) chosen.add(n === 0 ? 1 : n === 1 ? hits : 1 + random(hits));
    for (const occurrence of chosen) kills.push({ point, occurrence, seed });
  }
  return kills;
}

/** Takes `count` of the kills, spread evenly. */
export function thin(kills: readonly Kill[], count: number): Kill[] {
  if (kills.length <= count) return [...kills];
  return Array.from({ length: count }, (_, n) => kills[Math.floor((n * kills.length) / count)] as Kill);
}
