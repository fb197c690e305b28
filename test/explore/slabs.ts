/** How slabs are born and die: pages, header, page table, keg, with the intent words in between; and the pools they draw from. */
import { call, runSync, type Scenario } from "../../tools/explore/index.ts";
import { alloc, free, keeps, pairs, poll, reclaims, scenario, small, warm, type Work } from "./cases.ts";
import type { Attachment } from "./world.ts";

const z = small("z");
const other = small("other", { size: 700 });

/** A slab of its own, whatever is free. */
const grows: Work = function* (a) {
  const zone = a.zones[0] as Attachment["zones"][0];
  yield* call(a.core.kegs.grow(zone, false));
};

const growsOther: Work = function* (a) {
  yield* call(a.core.kegs.grow(a.zones[1] as Attachment["zones"][0], false));
};

const reclaimsThenAllocates: Work = function* (a) {
  yield* call(a.zones[0]?.reclaim());
  yield* alloc(a);
};

/** What a lock out of reach has cut short is finished by polling; a BUSY reclaim is none. */
const reclaimsImpatiently: Work = function* (a) {
  try {
    yield* call(a.zones[0]?.reclaim());
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_UMA_BUSY") throw error;
  }
  for (let n = 0; n < 3; n++) {
    yield* a.world.nap();
    yield* poll(a);
  }
};

const pairsImpatiently: Work = function* (a) {
  const item = yield* alloc(a);
  if (item !== 0) yield* free(a, item);
  for (let n = 0; n < 3; n++) {
    yield* a.world.nap();
    yield* poll(a);
  }
};

/** Empty slabs that wait to be given back. */
const empty = (_all: Attachment[], observer: Attachment): void => runSync(observer.zones[0]?.prealloc(8));

export const scenarios: Scenario[] = [
  scenario({ name: "slab: born from nothing, two kills", world: { zones: [z] }, works: [grows], kills: 2, quick: true }),
  scenario({ name: "slab: given back, two kills", world: { zones: [z], setUp: empty }, works: [reclaims], kills: 2 }),
  scenario({ name: "slab: two are born, one kill", world: { zones: [z, other] }, works: [grows, growsOther], kills: 1 }),
  scenario({
    name: "slab: two are born, two kills",
    world: { zones: [z, other] },
    works: [grows, growsOther],
    kills: 2,
    bounds: { preemptionBound: 1 },
  }),
  scenario({
    name: "slab: one is born while others are given back, one kill",
    world: { zones: [z], setUp: empty },
    works: [reclaims, grows],
    kills: 1,
  }),
  scenario({
    name: "slab: both give back, one kill",
    world: { zones: [z], setUp: empty },
    works: [reclaims, reclaims],
    kills: 1,
  }),
  scenario({
    name: "slab: given back while another allocates and frees, one kill",
    world: { zones: [z], setUp: (all) => warm(all, 0, 1) },
    works: [reclaimsThenAllocates, pairs(1)],
    kills: 1,
  }),
  scenario({
    name: "slab: no pages left, two kills",
    world: {
      zones: [z],
      pages: 22,
      setUp: (_all, observer) => {
        const { heap } = observer.core;
        while (runSync(heap.counts()).free > 2) runSync(heap.alloc(1, observer.core.floor.me, 0));
      },
    },
    works: [keeps(1)],
    kills: 2,
  }),
  scenario({
    name: "slab: locks out of reach, no patience, one kill",
    world: { zones: [z], setUp: empty, patienceMs: 0 },
    works: [reclaimsImpatiently, pairsImpatiently],
    kills: 1,
    bounds: { preemptionBound: 2 },
  }),
];
