/** Many items at once, items set aside, and cached items called for: bulk, prefill, reserve, and a drain of all workers. */
import { call, note, runSync, type Scenario } from "../../tools/explore/index.ts";
import { alloc, free, poll, scenario, small, warm, type Case, type Work } from "./cases.ts";
import { type Attachment, type Definition, defineZone } from "./world.ts";

const z = small("z");

/** Allocates a list, tells of it, and keeps or frees it. */
const bulk = (count: number, frees: boolean): Work =>
  function* (a) {
    const list: number[] = Array.from({ length: count }, () => 0);
    if (!(yield* call(a.zones[0]!.allocBulk(list)))) return;
    for (const item of list) note(item);
    if (!frees) return;
    for (const item of list) note(-item);
    yield* call(a.zones[0]!.freeBulk(list));
  };

/** The same with a typed array, sixteen neighbours and a few: the way of whole words of marks. */
const run = (count: number, frees: boolean): Work =>
  function* (a) {
    const list = new Int32Array(count);
    if (!(yield* call(a.zones[0]!.allocBulk(list)))) return;
    for (const item of list) note(item);
    if (!frees) return;
    for (const item of list) note(-item);
    yield* call(a.zones[0]!.freeBulk(list));
  };

/** Sets items aside and takes them. */
const prefills = (count: number): Work =>
  function* (a) {
    yield* call(a.zones[0]!.prefill(count));
    for (let n = 0; n < count; n++) yield* alloc(a);
  };

/** Sets items aside, and then does not want them. */
const changesItsMind: Work = function* (a) {
  yield* call(a.zones[0]!.prefill(2));
  yield* call(a.zones[0]!.prefill(0));
};

/** Items of 64 bytes, a page of them in a bucket. */
const neighbours: Definition = runSync(defineZone("n", { size: 64, bucket: 64 }));

/** Calls on everybody for what is cached. */
const drainsAll: Work = function* (a) {
  yield* call(a.zones[0]!.reclaim("drain-cpu"));
};

/** Uses its cache, and looks whether it was called. */
const usesAndPolls: Work = function* (a) {
  const item = yield* alloc(a);
  if (item !== 0) yield* free(a, item);
  yield* poll(a);
};

/** Takes from the reserve. */
const reserved: Work = function* (a) {
  const item = yield* call(a.zones[0]!.allocReserved());
  if (item !== 0) note(item);
};

/** Whole slabs for everybody, one bucket with items for each worker. */
const stocked: NonNullable<Case["world"]["setUp"]> = (all, observer) => {
  runSync(observer.zones[0]!.prealloc(4));
  warm(all, ...all.keys());
};

const withReserve: NonNullable<Case["world"]["setUp"]> = (_all: Attachment[], observer) => {
  runSync(observer.zones[0]!.reserve(2));
};

export const scenarios: Scenario[] = [
  scenario({
    name: "bulk: three at once and back, two kills",
    world: { zones: [z], setUp: stocked },
    works: [bulk(3, true)],
    kills: 2,
    quick: true,
    moreOrphans: 6,
  }),
  scenario({
    name: "bulk: three at once, kept, two kills",
    world: { zones: [z], setUp: stocked },
    works: [bulk(3, false)],
    kills: 2,
    moreOrphans: 6,
  }),
  scenario({
    name: "bulk: two workers, one kill",
    world: { zones: [z], setUp: stocked },
    works: [bulk(2, true), bulk(2, false)],
    kills: 1,
    moreOrphans: 4,
  }),
  scenario({
    name: "bulk: seventeen neighbours and back, one kill",
    world: { zones: [neighbours], setUp: (all) => warm(all, 0) },
    works: [run(17, true)],
    kills: 1,
    moreOrphans: 17,
  }),
  scenario({
    name: "bulk: seventeen neighbours, kept, one kill",
    world: { zones: [neighbours], setUp: (all) => warm(all, 0) },
    works: [run(17, false)],
    kills: 1,
    moreOrphans: 17,
  }),
  scenario({ name: "prefill: set aside and taken, two kills", world: { zones: [z] }, works: [prefills(2)], kills: 2 }),
  scenario({
    name: "prefill: set aside and given back, two kills",
    world: { zones: [z], setUp: stocked },
    works: [changesItsMind],
    kills: 2,
  }),
  scenario({
    name: "prefill: while another allocates, one kill",
    world: { zones: [z], setUp: stocked },
    works: [prefills(1), usesAndPolls],
    kills: 1,
  }),
  scenario({ name: "reserve: taken by two, one kill", world: { zones: [z], setUp: withReserve }, works: [reserved, reserved], kills: 1 }),
  scenario({
    name: "reclaim: a call to all while another uses its cache, one kill",
    world: { zones: [z], setUp: stocked },
    works: [drainsAll, usesAndPolls],
    kills: 1,
  }),
  scenario({
    name: "reclaim: a call to all while another uses its cache, two kills",
    world: { zones: [z], setUp: stocked },
    works: [drainsAll, usesAndPolls],
    kills: 2,
    bounds: { preemptionBound: 2 },
  }),
];
