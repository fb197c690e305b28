/** Mapped areas: addresses taken, pages mapped one by one, taken apart by one or by two at once, killed at every step. */
import { call, note, runSync, write, type Scenario } from "../../tools/explore/index.ts";
import { scenario, type End, type Work } from "./cases.ts";
import type { Attachment, MiniWorld } from "./world.ts";

const PAGE = 4096;
const zones: never[] = [];

/** Opens the addresses, and has their first table come, so that the works begin where programs mostly are. */
const opened =
  (table: boolean, ...areas: number[]) =>
  (_all: Attachment[], { core, world }: Attachment): void => {
    // Few addresses: each look at an entry is a step.
    runSync(core.areas.open(12 * PAGE));
    if (table) runSync(core.areas.remove(runSync(core.areas.make({ pages: 1, foreign: null, mayWait: true })), false));
    areas.forEach((pages, n) => {
      // Addresses above 2³¹ fit the mailbox in pages.
      world.i32[world.mail + n] = runSync(core.areas.make({ pages, foreign: null, mayWait: true })) / PAGE;
    });
  };

/** Maps an area and takes it away. */
const maps = (pages: number): Work =>
  function* (a) {
    const p = yield* call(a.core.areas.make({ pages, foreign: null, mayWait: true }));
    if (p !== 0) yield* call(a.core.areas.remove(p, false));
  };

/** Maps one and keeps it: a dead worker's is nobody's then, and stays. */
const keeps = (pages: number): Work =>
  function* (a) {
    const p = yield* call(a.core.areas.make({ pages, foreign: null, mayWait: true }));
    if (p !== 0) note(`area ${p}`);
  };

/** Takes the n-th area of the mailbox away, which somebody else may do, too. */
const unmaps = (n: number): Work =>
  function* (a) {
    const p = (a.world.i32[a.world.mail + n] as number) * PAGE;
    try {
      yield* call(a.core.areas.remove(p, false));
      note(`removed ${n}`);
    } catch (error) {
      note(`refused ${(error as { code?: string }).code ?? String(error)}`);
    }
  };

/** Has an area from the set-up, and dies sooner or later. */
const lives: Work = function* (a) {
  yield* write(a.world.i32, a.world.mail + 8, 1);
};

/** Takes a page of the heap, and keeps it. */
const takesPage: Work = function* (a) {
  const page = yield* call(a.core.heap.alloc(1, a.core.floor.me, 0));
  if (page > 0) note(`page ${page}`);
};

/** Areas of one page that worker 0 has, one for each of the others. */
const ownedByFirst = (areas: number) =>
  function (all: Attachment[], observer: Attachment): void {
    opened(true)(all, observer);
    const { core, world } = all[0] as Attachment;
    for (let n = 0; n < areas; n++) world.i32[world.mail + n] = runSync(core.areas.make({ pages: 1, foreign: null, mayWait: true })) / PAGE;
  };

/** Whoever took a page has it yet. */
function pagesAreKept(end: End): void {
  removedOnce(end);
  const { heap } = end.world.observer.core;
  for (const what of end.said) {
    const page = Number(/^page (\d+)$/.exec(String(what))?.[1] ?? 0);
    if (page > 0 && runSync(heap.sizeOf(page)) !== 1) throw new Error(`the page ${page} was freed by somebody else`);
  }
}

/** Maps a buffer from elsewhere. */
const foreign: Work = function* (a) {
  const p = yield* call(a.core.areas.make({ pages: 2, foreign: { page: 3, first: 16, spare: 100 }, caller: 5, mayWait: true }));
  if (p !== 0) yield* call(a.core.areas.remove(p, true));
};

function pagesAre({ world }: { world: MiniWorld }): void {
  const { free, inUse, total } = runSync(world.observer.core.heap.counts());
  if (free + inUse !== total || free < 0) throw new Error(`pages: ${free} free, ${inUse} taken, ${total} in all`);
}

/** Of two who take one area away, at most one was told that it did; and the area is gone, or was the dead's to finish. */
function removedOnce({ said, world }: { said: readonly unknown[]; world: MiniWorld }): void {
  pagesAre({ world });
  const removed = said.filter((what) => what === "removed 0").length;
  const refused = said.filter((what) => String(what).startsWith("refused")).length;
  if (removed > 1) throw new Error(`one area was taken away ${removed} times`);
  if (said.some((what) => String(what).startsWith("refused") && what !== "refused ERR_UMA_ADDRESS")) throw new Error(String(said));
  if (refused > 1) throw new Error("two were refused, and nobody has taken it away");
}

const world = { zones, setUp: opened(true), pages: 40 };

export const scenarios: Scenario[] = [
  scenario({
    name: "maps: an area of a run and a page comes and goes, two kills",
    world,
    works: [maps(3)],
    kills: 2,
    quick: true,
    check: pagesAre,
  }),
  scenario({
    name: "maps: the first table, two kills",
    world: { ...world, setUp: opened(false) },
    works: [maps(1)],
    kills: 2,
    bounds: { preemptionBound: 2 },
    check: pagesAre,
  }),
  scenario({
    name: "maps: two come and go, one kill",
    world,
    works: [maps(1), maps(1)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: pagesAre,
  }),
  scenario({
    name: "maps: two take one away, one kill",
    world: { ...world, setUp: opened(true, 2) },
    works: [unmaps(0), unmaps(0)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: removedOnce,
  }),
  scenario({
    name: "maps: a dead worker's area, two kills",
    world,
    works: [keeps(1), keeps(1)],
    kills: 2,
    bounds: { preemptionBound: 1 },
    check: pagesAre,
  }),
  scenario({
    name: "maps: a dead worker's area is taken away while it is swept",
    world: { ...world, setUp: ownedByFirst(1) },
    works: [lives, unmaps(0)],
    kills: 1,
    mayKill: (worker) => worker === 0,
    bounds: { preemptionBound: 2 },
    afterRecovery: takesPage,
    check: pagesAreKept,
  }),
  scenario({
    name: "maps: a dead worker's area is taken away by one who dies at it, two kills",
    world: { ...world, setUp: ownedByFirst(1) },
    works: [lives, unmaps(0)],
    kills: 2,
    mayKill: (worker) => worker < 2,
    bounds: { preemptionBound: 2 },
    check: removedOnce,
  }),
  scenario({ name: "maps: a buffer from elsewhere, two kills", world, works: [foreign], kills: 2, check: pagesAre }),
];
