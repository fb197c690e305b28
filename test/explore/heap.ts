/** The heap arena: pages taken and given back, split and joined, with its own tags and hash table growing under it. */
import { call, note, runSync, type Scenario } from "../../tools/explore/index.ts";
import { scenario, type Work } from "./cases.ts";
import type { Attachment, MiniWorld } from "./world.ts";

/** Takes a block and gives it back. */
const takes = (pages: number): Work =>
  function* (a) {
    const { heap, floor } = a.core;
    const block = yield* call(heap.alloc(pages, floor.me, 0));
    if (block > 0) yield* call(heap.free(block, 0));
  };

/** Takes a block and keeps it: a dead worker's is reported, and stays taken. */
const keepsBlock = (pages: number): Work =>
  function* (a) {
    const { heap, floor } = a.core;
    const block = yield* call(heap.alloc(pages, floor.me, 0));
    note(`block ${block}`);
  };

/** Gives the n-th block of the mailbox back. */
const gives = (n: number): Work =>
  function* (a) {
    yield* call(a.core.heap.free(a.world.i32[a.world.mail + n] as number, 0));
  };

const both = (first: Work, second: Work): Work =>
  function* (a) {
    yield* first(a);
    yield* second(a);
  };

/** Blocks of the given sizes, side by side, in the observer's name; their addresses in the mailbox. */
const blocks =
  (...sizes: number[]) =>
  (_all: Attachment[], observer: Attachment): void => {
    const { world, core } = observer;
    sizes.forEach((pages, n) => {
      world.i32[world.mail + n] = runSync(core.heap.alloc(pages, core.floor.me, 0));
    });
  };

/** So many blocks that the next one finds the tags low, or the hash dense. */
const crowded =
  (count: number) =>
  (_all: Attachment[], observer: Attachment): void => {
    const { heap, floor } = observer.core;
    for (let n = 0; n < count; n++) runSync(heap.alloc(1, floor.me, 0));
  };

function pagesAre({ world }: { world: MiniWorld }): void {
  const { free, inUse, total } = runSync(world.observer.core.heap.counts());
  if (free + inUse !== total || free < 0) throw new Error(`pages: ${free} free, ${inUse} taken, ${total} in all`);
}

const zones: never[] = [];

export const scenarios: Scenario[] = [
  scenario({ name: "heap: take and give, two kills", world: { zones }, works: [takes(2)], kills: 2, quick: true, check: pagesAre }),
  scenario({
    name: "heap: give between two neighbours, two kills",
    world: { zones, setUp: blocks(1, 1, 1) },
    works: [both(gives(0), both(gives(2), gives(1)))],
    kills: 2,
    check: pagesAre,
  }),
  scenario({ name: "heap: two take and give, one kill", world: { zones }, works: [takes(1), takes(2)], kills: 1, check: pagesAre }),
  scenario({
    name: "heap: two take and give, two kills",
    world: { zones },
    works: [takes(1), takes(2)],
    kills: 2,
    bounds: { preemptionBound: 2 },
    check: pagesAre,
  }),
  scenario({
    name: "heap: neighbours given back by two, two kills",
    world: { zones, setUp: blocks(1, 1) },
    works: [gives(0), gives(1)],
    kills: 2,
    check: pagesAre,
  }),
  scenario({
    name: "heap: split by one while another joins, one kill",
    world: { zones, setUp: blocks(2, 1) },
    works: [gives(0), takes(1)],
    kills: 1,
    check: pagesAre,
  }),
  scenario({
    name: "heap: three workers, one kill",
    world: { zones, setUp: blocks(1, 1) },
    works: [gives(0), gives(1), takes(1)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: pagesAre,
  }),
  scenario({
    name: "heap: a dead worker's block, two kills",
    world: { zones },
    works: [keepsBlock(1), keepsBlock(1)],
    kills: 2,
    bounds: { preemptionBound: 2 },
    check: pagesAre,
  }),
  scenario({
    name: "heap: tags and hash grow, two kills",
    world: { zones, pages: 80, setUp: crowded(24) },
    works: [takes(1)],
    kills: 2,
    check: pagesAre,
  }),
];
