/** Items that change hands: remote frees, transfers and adoptions, against each other and against the recovery of the former owner. */
import { call, note, read, write, type Scenario } from "../../tools/explore/index.ts";
import { alloc, hold, keeps, leaves, ownerOf, pairs, scenario, small, tryFree, warm, type End, type Work } from "./cases.ts";
import type { Attachment, MiniWorld } from "./world.ts";

const z = small("z");
const itemOf = (world: MiniWorld, n = 0): number => world.i32[world.mail + n] as number;

/** Worker 0 holds `count` items, which stand in the mailbox; the others have buckets of their own. */
function owned(count: number, ...others: number[]): { zones: (typeof z)[]; setUp: (all: Attachment[]) => void } {
  return {
    zones: [z],
    setUp: (all) => {
      hold(all[0] as Attachment, count);
      warm(all, ...others);
    },
  };
}

/** What the set-up left in worker 0's hands. */
const held =
  (count: number) =>
  (world: MiniWorld, worker: number): number[] =>
    worker === 0 ? Array.from({ length: count }, (_, n) => itemOf(world, n)) : [];

const nothing: Work = function* (a) {
  yield* read(a.world.i32, a.world.mail);
};

/** Frees the n-th item of the mailbox, whoever owns it. */
const frees = (n: number): Work =>
  function* (a) {
    note(-itemOf(a.world, n));
    yield* call(a.zones[0]?.free(itemOf(a.world, n)));
    note(`freed ${itemOf(a.world, n)}`);
  };

/** Tries to free the first item of the mailbox, and tells whether it was let. */
const triesToFree: Work = function* (a) {
  note(-itemOf(a.world));
  const done = yield* tryFree(a, itemOf(a.world));
  note(done ? "freed" : "refused");
};

function mustBeFree(...items: number[]): (end: End) => void {
  return ({ world, ends }) => {
    for (const n of items) {
      const item = itemOf(world, n);
      const freer = ends.find((end) => end.notes.includes(`freed ${item}`));
      if (freer && ownerOf(world, item) !== 0)
        throw new Error(`${freer.name} freed ${item}, which belongs to slot ${ownerOf(world, item)}`);
    }
  };
}

/** How many of those who tried were let: one, unless somebody died on the way. */
function oneFreed({ world, ends }: End): void {
  const freed = ends.filter((end) => end.notes.includes("freed")).length;
  const died = ends.filter((end) => end.status === "killed").length;
  if (freed > 1) throw new Error(`${freed} workers freed the same item`);
  if (freed === 0 && died === 0) throw new Error("nobody was let free the item");
  if (freed === 1 && ownerOf(world, itemOf(world)) !== 0) throw new Error("freed, and still somebody's");
}

/** Hands the item on: mark first, then the message. */
const transfers: Work = function* (a) {
  // Out of its own hands, and adrift until the addressee takes it up.
  note(-itemOf(a.world));
  note(-itemOf(a.world));
  try {
    yield* call(a.zones[0]?.transfer(itemOf(a.world), 2));
  } catch (error) {
    // The addressee has died: the item is the sender's still, unless it died, too.
    if ((error as { code?: string }).code !== "ERR_UMA_NO_SLOT") throw error;
    note(itemOf(a.world));
    return;
  }
  yield* write(a.world.i32, a.world.mail + 4, itemOf(a.world));
};

/** Takes what has been sent, if it has, and gives it back. */
const receives: Work = function* (a) {
  const item = yield* read(a.world.i32, a.world.mail + 4);
  if (item === 0) return;
  note(item);
  note(-item);
  yield* call(a.zones[0]?.free(item));
};

/** Wants to free the item of another with something that is none: it is refused, and the item is the other's as before. */
const freesTooMuch: Work = function* (a) {
  const item = itemOf(a.world);
  note(-item);
  try {
    yield* call(a.zones[0]?.freeBulk([item, item + 16]));
  } catch (error) {
    const { code } = error as { code?: string };
    if (!["ERR_UMA_ADDRESS", "ERR_UMA_ITEM_BUSY", "ERR_UMA_DOUBLE_FREE"].includes(code ?? "")) throw error;
    return;
  }
  note("bad: a list with an address of no item was taken");
};

/** Adopts the orphan, if it is one, and keeps it. */
const adopts: Work = function* (a) {
  const item = itemOf(a.world);
  if (yield* call(a.zones[0]?.adopt(item) as boolean)) note(item);
};

const swapsHands: Work = function* (a) {
  note(-itemOf(a.world));
  yield* call(a.zones[0]?.free(itemOf(a.world)));
  yield* alloc(a);
};

export const scenarios: Scenario[] = [
  scenario({
    name: "remote: a free against its owner's recovery, one kill",
    world: owned(1, 1),
    works: [nothing, frees(0)],
    held: held(1),
    kills: 1,
    quick: true,
    check: mustBeFree(0),
  }),
  scenario({
    name: "remote: a free against its owner's recovery, two kills",
    world: owned(1, 1),
    works: [nothing, frees(0)],
    held: held(1),
    kills: 2,
    quick: true,
    check: mustBeFree(0),
  }),
  scenario({
    name: "remote: two frees of two items, one kill",
    world: owned(2, 1, 2),
    works: [pairs(), frees(0), frees(1)],
    held: held(2),
    kills: 1,
    check: mustBeFree(0, 1),
  }),
  scenario({
    name: "remote: two frees of two items, two kills",
    world: owned(2, 1, 2),
    works: [nothing, frees(0), frees(1)],
    held: held(2),
    kills: 2,
    check: mustBeFree(0, 1),
  }),
  scenario({
    name: "remote: two frees of the same item, one kill",
    world: owned(1, 1, 2),
    works: [nothing, triesToFree, triesToFree],
    held: held(1),
    kills: 1,
    quick: true,
    check: oneFreed,
  }),
  scenario({
    name: "remote: two frees of the same item, two kills",
    world: owned(1, 1, 2),
    works: [nothing, triesToFree, triesToFree],
    held: held(1),
    kills: 2,
    check: oneFreed,
  }),
  scenario({
    name: "remote: free and alloc while the owner allocates, two kills",
    world: owned(1, 1),
    works: [keeps(1), swapsHands],
    held: held(1),
    kills: 2,
  }),
  scenario({
    name: "remote: dead worker's items freed by policy, against a free",
    world: {
      zones: [small("f", { onDeath: "free" })],
      setUp: (all) => {
        hold(all[0] as Attachment, 1);
        warm(all, 1);
      },
    },
    works: [nothing, triesToFree],
    held: held(1),
    kills: 2,
    check: ({ orphans, ends }) => {
      if (orphans > 0) throw new Error("recovered by a worker with the zone open, and orphans are left");
      if (ends.filter((end) => end.notes.includes("freed")).length > 1) throw new Error("freed twice");
    },
  }),
  scenario({
    name: "transfer: to a worker that takes it, two kills",
    world: owned(1, 1),
    works: [transfers, receives],
    held: held(1),
    kills: 2,
    quick: true,
  }),
  scenario({
    name: "transfer: to a worker that leaves, one kill",
    world: owned(1, 1),
    works: [transfers, leaves],
    held: held(1),
    kills: 1,
    quick: true,
    loose: true,
  }),
  scenario({
    name: "bulk: a list that is refused holds another's item, two kills",
    world: owned(1, 1),
    works: [nothing, freesTooMuch],
    held: held(1),
    kills: 2,
    quick: true,
  }),
  scenario({
    name: "adoption: two adopt the orphan, two kills",
    world: owned(1, 1, 2),
    works: [nothing, adopts, adopts],
    held: held(1),
    kills: 2,
    check: ({ ends, world }) => {
      const hands = ends.filter((end) => end.notes.includes(itemOf(world)));
      if (hands.filter((end) => end.status === "done").length > 1) throw new Error("two have adopted it");
    },
  }),
  scenario({
    name: "remote: the freer goes on with the item, three workers, one kill",
    world: owned(1, 1, 2),
    works: [pairs(), swapsHands, pairs()],
    held: held(1),
    kills: 1,
  }),
];
