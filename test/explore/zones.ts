/** Secondary zones on a primary's slabs, and cache zones over items of somebody else's. */
import { add, call, note, read, runSync, type Scenario } from "../../tools/explore/index.ts";
import { alloc, free, hold, keeps, pairs, poll, scenario, small, warm, type Case, type End, type Work } from "./cases.ts";
import { defineCache, defineSecondary, type Attachment, type Definition } from "./world.ts";

const primary = small("primary", { secondaries: true });
const second = runSync(defineSecondary("second", primary as never, { bucket: 2 })) as Definition;

const both: Case["world"] = { zones: [primary, second], setUp: (all) => warm(all, 0) };

/** Frees into the one zone and allocates from the other: the same slabs. */
const turnsOver: Work = function* (a) {
  const mine = yield* alloc(a, 1);
  if (mine !== 0) yield* free(a, mine, 1);
  yield* alloc(a, 0);
};

/** Gives back what the secondary has cached, so that the slabs serve the primary again. */
const drains: Work = function* (a) {
  yield* call(a.zones[1]!.reclaim());
};

const nothing: Work = function* (a) {
  yield* read(a.world.i32, a.world.mail);
};

/** Frees the first item of the mailbox, whoever owns it. */
const freesMailed: Work = function* (a) {
  yield* free(a, a.world.i32[a.world.mail] as number, 1);
};

/** The mailbox of the world that is there: a definition is made before it. */
let mailbox: { readonly i32: Int32Array; readonly at: number } | null = null;

/** Items are numbers, each given once; who takes some says so, and so does who gives some back. */
const cached = runSync(
  defineCache("cached", {
    bucket: 2,
    import: function* (store: number[], count: number) {
      const { i32, at } = mailbox as NonNullable<typeof mailbox>;
      const first = yield* add(i32, at, count);
      for (let n = 1; n <= count; n++) store.push(first + n);
      note(`imported ${count}`);
      return count;
    } as never,
    release: (_store, count) => note(`released ${count}`),
  }),
) as Definition;

const takes = (count: number, gives: boolean): Work =>
  function* (a) {
    const zone = a.zones[0]!;
    const items: number[] = [];
    for (let n = 0; n < count; n++) {
      const item = yield* call(zone.tryAlloc());
      if (item !== 0) {
        items.push(item);
        note("took 1");
      }
    }
    for (const item of gives ? items : []) {
      note("gave 1");
      yield* call(zone.free(item));
    }
    yield* poll(a);
  };

const empties: Work = function* (a) {
  yield* call(a.zones[0]!.reclaim());
};

/** What was imported was released, is cached, or is in somebody's hands; of a dead worker's, what it had on its way may be missing. */
function areThere({ world, ends }: End): void {
  let balance = 0;
  let dead = 0;
  for (const end of ends) {
    if (end.status === "killed") dead++;
    for (const said of end.notes) {
      const [what, count] = String(said).split(" ");
      if (what === "imported" || what === "gave") balance += Number(count);
      else if (what === "released" || what === "took") balance -= Number(count);
    }
  }
  // The set-up's own.
  const { free: inCaches } = runSync((world.observer.zones[0] as Attachment["zones"][0]).stats());
  const missing = balance - inCaches;
  if (missing < -ON_THE_WAY * dead || missing > ON_THE_WAY * dead) throw new Error(`${missing} items of the cache zone are missing`);
}

/** Items that a worker may have in its hands between two of its notes: a bucket's. */
const ON_THE_WAY = 3;

const over: Case["world"] = {
  zones: [cached],
  setUp: ([first]) => {
    const { i32, mail } = (first as Attachment).world;
    mailbox = { i32, at: mail + 8 };
  },
};
const loose = { loose: true, check: areThere };

export const scenarios: Scenario[] = [
  scenario({ name: "secondary: alloc and free, two kills", world: both, works: [pairs(1, 1)], kills: 2 }),
  scenario({ name: "secondary: two zones of one worker, one kill", world: both, works: [turnsOver], kills: 1, quick: true }),
  scenario({
    name: "secondary: two zones, two workers, one kill",
    world: both,
    works: [turnsOver, keeps(1, 1)],
    kills: 1,
    bounds: { preemptionBound: 2 },
  }),
  scenario({
    name: "secondary: drained while another allocates, one kill",
    world: both,
    works: [drains, keeps(1, 0)],
    kills: 1,
    bounds: { preemptionBound: 2 },
  }),
  scenario({
    name: "secondary: a free against its owner's recovery, one kill",
    world: {
      zones: [primary, second],
      setUp: (all) => {
        hold(all[0] as Attachment, 1, 0, 1);
        warm(all, 1);
      },
    },
    works: [nothing, freesMailed],
    held: (world, worker) => (worker === 0 ? [world.i32[world.mail] as number] : []),
    kills: 1,
  }),
  scenario({ name: "cache zone: taken and given, two kills", world: over, works: [takes(2, true)], kills: 2, ...loose }),
  scenario({
    name: "cache zone: two workers, one kill",
    world: over,
    works: [takes(2, true), takes(1, false)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    ...loose,
  }),
  scenario({
    name: "cache zone: emptied while another takes, one kill",
    world: over,
    works: [empties, takes(1, true)],
    kills: 1,
    ...loose,
  }),
];
