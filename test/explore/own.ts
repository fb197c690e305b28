/** Tier 0: a worker's own bucket. */
import type { Scenario } from "../../tools/explore/index.ts";
import { keeps, pairs, scenario, small, warm } from "./cases.ts";

const world = { zones: [small("z")], setUp: (all: Parameters<typeof warm>[0]) => warm(all, 0) };

export const scenarios: Scenario[] = [
  scenario({ name: "own: alloc and free, one kill", world, works: [pairs()], kills: 1, quick: true }),
  scenario({ name: "own: alloc and free, two kills", world, works: [pairs()], kills: 2, quick: true }),
  scenario({ name: "own: two allocs kept, two kills", world, works: [keeps(2)], kills: 2 }),
];
