/** Waiting at a limit: a waiter against the free that it waits for, another waiter, and the deaths of either. */
import { call, note, slept, type Scenario } from "../../tools/explore/index.ts";
import { hold, scenario, small, type End, type Work } from "./cases.ts";
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
  if (slept() > 0) note("napped");
  yield* call(a.zones[0]?.free(item));
  yield* call(a.zones[0]?.close());
};

/** What a recoverer has freed may lie in its cache, and it has no event loop either. */
const leaves: Work = function* (a) {
  yield* call(a.zones[0]?.close());
};

/** Naps are for wake-ups that a death has swallowed: where nobody died, none was needed. */
function isWoken({ ends, said }: End): void {
  if (said.includes("napped") && ends.every((end) => end.status === "done")) throw new Error("a waiter was not woken");
}

const keepsIt: Work = function* (a) {
  yield* call(a.zones[0]?.tryAlloc());
};

/** Waits a while, and does without if there is none. */
const waitsInVain: Work = function* (a) {
  try {
    yield* call(a.zones[0]!.allocWait({ timeout: 30 }));
    note("bad: an item although there is none");
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_UMA_TIMEOUT") throw error;
  }
};

export const scenarios: Scenario[] = [
  scenario({ name: "limit: a waiter and the free it waits for", world, held, works: [frees, waits], check: isWoken }),
  scenario({
    name: "limit: a waiter and the free it waits for, one kill",
    world,
    held,
    works: [frees, waits],
    kills: 1,
    afterRecovery: leaves,
    check: isWoken,
  }),
  scenario({ name: "limit: two waiters and a free", world, held, works: [frees, waits, waits], check: isWoken }),
  scenario({
    name: "limit: two waiters and a free, one of the two is killed",
    world,
    held,
    works: [frees, waits, waits],
    kills: 1,
    afterRecovery: leaves,
    mayKill: (worker) => worker > 0,
    bounds: { preemptionBound: 2 },
  }),
  scenario({
    name: "limit: waits in vain, one kill",
    world,
    held,
    works: [keepsIt, waitsInVain],
    kills: 1,
    mayKill: (worker) => worker > 0,
  }),
];
