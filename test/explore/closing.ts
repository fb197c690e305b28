/** Zones that are opened, closed and destroyed at the same time, and by workers that die on the way. */
import { call, note, runSync, type Scenario } from "../../tools/explore/index.ts";
import { alloc, poll, scenario, small, warm, type End, type Work } from "./cases.ts";
import type { Attachment } from "./world.ts";

const z = small("z");
const late = small("late", { size: 700 });
type Zone = Attachment["zones"][0];

/** Whether the error says that the zone is gone, or going. */
function isGone(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "ERR_UMA_ZONE_CLOSED" || code === "ERR_UMA_BUSY";
}

function* orGone(work: Generator<unknown, unknown, unknown>): Generator<unknown, void, unknown> {
  try {
    yield* work;
  } catch (error) {
    if (!isGone(error)) throw error;
    note("gone");
  }
}

const destroys: Work = (a) =>
  orGone(
    (function* () {
      yield* call((a.zones[0] as Zone).destroy({ force: true }));
    })(),
  );

const closes: Work = function* (a) {
  yield* call((a.zones[0] as Zone).close());
};

/** Uses the zone until it is told that it is gone. */
const uses: Work = (a) =>
  orGone(
    (function* () {
      const zone = a.zones[0] as Zone;
      const item = yield* call(zone.tryAlloc());
      if (item !== 0) yield* call(zone.free(item));
      yield* poll(a);
    })(),
  );

/** Opens a zone that may not exist yet, and uses it. */
const opens: Work = function* (a) {
  const zone = yield* call(a.registry.open(late));
  const item = yield* call(zone.tryAlloc());
  note(item);
  note(-item);
  yield* call(zone.free(item));
};

/** Opens it, and takes it apart. */
const opensAndDestroys: Work = function* (a) {
  const zone = yield* call(a.registry.open(late));
  yield* orGone(
    (function* () {
      yield* call(zone.destroy({ force: true }));
    })(),
  );
};

const allocates: Work = (a) =>
  orGone(
    (function* () {
      yield* alloc(a);
      yield* poll(a);
    })(),
  );

/** Looks whether anybody has called once all others have come to their ends, and recoveries, too. */
const looksAtLast: Work = function* (a) {
  yield* a.world.nap();
  yield* poll(a);
};

/** Whoever has it open was told, and has closed it: nothing is dying any more. */
function nothingDies({ world }: End): void {
  const { registry } = world.observer;
  for (let id = runSync(registry.highest()); id > 0; id--) {
    const zone = runSync(registry.recordOf(id));
    if (zone !== 0 && world.i32[zone + 1] === DYING) throw new Error(`zone ${id} is dying, and who has it open does not know`);
  }
}

/** A zone that is dying and that nobody has open is gone, and nobody is left to take it apart. */
function takenApart({ world }: End): void {
  const { registry, core } = world.observer;
  const { slots } = core.floor;
  for (let id = runSync(registry.highest()); id > 0; id--) {
    const zone = runSync(registry.recordOf(id));
    if (zone === 0 || world.i32[zone + 1] !== DYING) continue;
    let openers = 0;
    for (let slot = 1; slot <= slots.count; slot++) if (runSync(registry.isOpenBy(slots.wordOf(slot), id))) openers++;
    if (openers === 0) throw new Error(`zone ${id} is dying, nobody has it open, and it is still there`);
  }
}

/** ZONE_STATE_DYING. */
const DYING = 3;

const world = { zones: [z], observed: false, setUp: (all: Attachment[]) => warm(all, 0) };
const shared = { loose: true, recoverersOpen: false, check: takenApart };

export const scenarios: Scenario[] = [
  scenario({ name: "zone: destroyed, two kills", world, works: [destroys], kills: 2, quick: true, ...shared }),
  scenario({ name: "zone: destroyed while another uses it, one kill", world, works: [destroys, uses], kills: 1, ...shared }),
  scenario({
    name: "zone: destroyed while another uses it, two kills",
    world,
    works: [destroys, uses],
    kills: 2,
    bounds: { preemptionBound: 1 },
    ...shared,
  }),
  scenario({
    name: "zone: destroyed while another has it open, destroyer killed",
    world,
    works: [destroys, looksAtLast],
    kills: 1,
    mayKill: (worker) => worker === 0,
    ...shared,
    check: nothingDies,
  }),
  scenario({ name: "zone: destroyed by two, one kill", world, works: [destroys, destroys], kills: 1, ...shared }),
  scenario({ name: "zone: destroyed while another closes it, two kills", world, works: [destroys, closes], kills: 2, ...shared }),
  scenario({
    name: "zone: destroyed while two use it, one kill",
    world,
    works: [destroys, allocates, closes],
    kills: 1,
    bounds: { preemptionBound: 2 },
    ...shared,
  }),
  scenario({
    name: "zone: made by two, one kill",
    world: { zones: [z], pages: 40 },
    works: [opens, opens],
    kills: 1,
    bounds: { preemptionBound: 2 },
    loose: true,
    check: takenApart,
  }),
  scenario({
    name: "zone: made, opened and destroyed, one kill",
    world: { zones: [z], pages: 40 },
    works: [opensAndDestroys, opensAndDestroys],
    kills: 1,
    bounds: { preemptionBound: 2 },
    loose: true,
    recoverersOpen: false,
    check: takenApart,
  }),
];
