/** Tiers 1 and 2 from above: the spare, the depot, refills from slabs, and calls for attention. */
import { call, runSync, type Scenario } from "../../tools/explore/index.ts";
import { alloc, free, hold, keeps, layout, pairs, reclaims, scenario, small, type Work } from "./cases.ts";
import type { Attachment, MiniWorld } from "./world.ts";

const z = small("z");
const heldBy =
  (...counts: number[]) =>
  (world: MiniWorld, worker: number): number[] => {
    const from = counts.slice(0, worker).reduce((sum, count) => sum + count, 0);
    return Array.from({ length: counts[worker] ?? 0 }, (_, n) => world.i32[world.mail + from + n] as number);
  };

/** In a set-up: the workers hold as many items as the counts say. */
const holding =
  (...counts: number[]) =>
  (all: Attachment[]): void => {
    let at = 0;
    counts.forEach((count, n) => {
      hold(all[n] as Attachment, count, at);
      at += count;
    });
  };

/** Frees `count` of the items that the set-up left in its hands. */
const freesHeld = (at: number, count: number): Work =>
  function* (a) {
    for (let n = 0; n < count; n++) yield* free(a, a.world.i32[a.world.mail + at + n] as number);
  };

/** Frees what it holds, then allocates again. */
const turnsOver = (at: number, count: number): Work =>
  function* (a) {
    yield* freesHeld(at, count)(a);
    yield* alloc(a);
  };

/** From both buckets empty: the depot's full one comes, and goes back. */
const takesAndFrees: Work = function* (a) {
  yield* alloc(a);
  yield* freesHeld(0, 4)(a);
};

/** Asks every other worker to hand its buckets to the depot. */
const callsForDrain: Work = function* (a) {
  const zone = a.zones[0] as Attachment["zones"][0];
  yield* call(a.closing.call(zone.zone, layout.REASON_DRAIN));
};

/** A full bucket and a spare for worker 0, full buckets in the depot for the others. */
function stocked(items: number): (all: Attachment[], observer: Attachment) => void {
  return (_all, observer) => {
    const zone = observer.zones[0] as Attachment["zones"][0];
    const held = Array.from({ length: items }, () => runSync(zone.alloc()));
    for (const item of held) runSync(zone.free(item));
    runSync(observer.core.caches.drainLine(zone.zone, zone.keg, zone.line));
  };
}

/** Worker 0 has filled its two buckets, and `more` of the depot's, and has emptied its two again: it holds four items. */
const bothEmpty =
  (more: number) =>
  (all: Attachment[]): void => {
    const a = all[0] as Attachment;
    const zone = a.zones[0] as Attachment["zones"][0];
    const items = Array.from({ length: 4 + 2 * more }, () => runSync(zone.alloc()));
    for (const item of items) runSync(zone.free(item));
    hold(a, 4);
  };

export const scenarios: Scenario[] = [
  scenario({
    name: "bucket: swap with the spare, two kills",
    world: { zones: [z], setUp: bothEmpty(0) },
    works: [
      function* (a) {
        yield* freesHeld(0, 3)(a);
        yield* alloc(a);
        yield* alloc(a);
      },
    ],
    held: heldBy(4),
    kills: 2,
    quick: true,
  }),
  scenario({
    name: "bucket: exchanged with the depot at once, two kills",
    world: { zones: [z], setUp: bothEmpty(2) },
    works: [takesAndFrees],
    held: heldBy(4),
    kills: 2,
  }),
  scenario({
    name: "bucket: exchanged with the depot at once, two workers, one kill",
    world: { zones: [z], setUp: bothEmpty(2) },
    works: [takesAndFrees, keeps(1)],
    held: heldBy(4),
    kills: 1,
  }),
  scenario({
    name: "bucket: refill from slabs, two workers, one kill",
    world: { zones: [z] },
    works: [keeps(1), keeps(1)],
    kills: 1,
    quick: true,
  }),
  scenario({
    name: "bucket: refill from slabs, two workers, two kills",
    world: { zones: [z], setUp: (_all, observer) => runSync(observer.zones[0]?.prealloc(4)) },
    works: [keeps(1), keeps(1)],
    kills: 2,
  }),
  scenario({
    name: "bucket: refill from a stocked depot, two workers, two kills",
    world: { zones: [z], setUp: stocked(4) },
    works: [keeps(3), keeps(1)],
    kills: 2,
  }),
  scenario({
    name: "bucket: refill from a stocked depot, three workers, one kill",
    world: { zones: [z], setUp: stocked(4) },
    works: [keeps(1), keeps(1), keeps(1)],
    kills: 1,
  }),
  scenario({
    name: "bucket: exchange through the depot, two workers, one kill",
    world: { zones: [z], setUp: holding(6) },
    works: [freesHeld(0, 6), keeps(2)],
    held: heldBy(6),
    kills: 1,
  }),
  scenario({
    name: "bucket: both give and take, two kills",
    world: { zones: [z], setUp: holding(5, 5) },
    works: [turnsOver(0, 5), turnsOver(5, 5)],
    held: heldBy(5, 5),
    kills: 2,
    bounds: { preemptionBound: 2 },
  }),
  scenario({
    name: "bucket: no buckets at all, three workers, one kill",
    world: { zones: [small("n", { bucket: 0 })], setUp: (_all, observer) => runSync(observer.zones[0]?.prealloc(4)) },
    works: [pairs(), pairs(), pairs()],
    kills: 1,
    bounds: { preemptionBound: 2 },
  }),
  scenario({
    name: "bucket: at the limit, two workers, one kill",
    world: { zones: [small("l", { limit: 2 })] },
    works: [pairs(2), pairs(1)],
    kills: 1,
  }),
  scenario({
    name: "attention: asked to drain while it frees, two kills",
    world: { zones: [z], setUp: holding(3) },
    works: [turnsOver(0, 3), callsForDrain],
    held: heldBy(3),
    kills: 2,
  }),
  scenario({
    name: "attention: two ask, one frees, one kill",
    world: { zones: [z], setUp: holding(3) },
    works: [turnsOver(0, 3), callsForDrain, callsForDrain],
    held: heldBy(3),
    kills: 1,
    quick: true,
  }),
  scenario({
    name: "reclaim: drains and shrinks while another allocates, one kill",
    world: { zones: [z], setUp: stocked(4) },
    works: [reclaims, keeps(2)],
    kills: 1,
  }),
  scenario({
    name: "reclaim: drains and shrinks while another allocates, two kills",
    world: { zones: [z], setUp: stocked(4) },
    works: [reclaims, pairs(1)],
    kills: 2,
    bounds: { preemptionBound: 2 },
  }),
];
