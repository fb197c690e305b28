/** Waiting at a limit: a waiter against the free that it waits for, another waiter, and the deaths of either. */
import { call, note, type Scenario } from "../../tools/explore/index.ts";
import { hold, scenario, small, type Work } from "./cases.ts";
import type { Attachment, MiniWorld } from "./world.ts";

const one = small("one", { limit: 1, onDeath: "free" });

/** Worker 0 holds the only item that the limit allows. */
const world = { zones: [one], setUp: (all: Attachment[]) => hold(all[0] as Attachment, 1) };
const held = (w: MiniWorld, worker: number): number[] => (worker === 0 ? [w.i32[w.mail] as number] : []);

/** Frees the item and leaves the zone: an idle event loop would give its cache up when it is asked; there is none here. */
const frees: Work = function* (a) {
  const item = a.world.i32[a.world.mail] as number;
  note(-item);
  yield* call(a.zones[0]?.free(item));
  yield* call(a.zones[0]?.close());
};

/** Waits for the item and gives it back. */
const waits: Work = function* (a) {
  const item: number = yield* call(a.zones[0]!.allocWait());
  note(item);
  note(-item);
  yield* call(a.zones[0]?.free(item));
};

export const scenarios: Scenario[] = [
  scenario({ name: "limit: a waiter and the free it waits for", world, held, works: [frees, waits], bounds: { maxSeconds: 30 } }),
  scenario({
    name: "limit: a waiter and the free it waits for, one kill",
    world,
    held,
    works: [frees, waits],
    kills: 1,
    bounds: { maxSeconds: 60 },
  }),
];
