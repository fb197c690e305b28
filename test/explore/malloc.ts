/** malloc: a small allocation through the zones of the classes, a large one from the heap, and realloc between them. */
import { call, note, runSync, type Scenario } from "../../tools/explore/index.ts";
import { scenario, type Case, type Work } from "./cases.ts";
import { classZones, createMalloc, umaOf, type Attachment, type Definition } from "./world.ts";

const classes = runSync(classZones("keep"));
const small = classes.find((definition) => definition.name === "malloc-1024") as Definition;
const larger = classes.find((definition) => definition.name === "malloc-2048") as Definition;

/** One pair of each worker's, so that slabs and buckets are there. */
const warmed = (all: Attachment[]): void => {
  for (const a of all) runSync(a.zones[0]!.free(runSync(a.zones[0]!.alloc())));
};

/** Allocates and frees. */
const pair = (bytes: number): Work =>
  function* (a) {
    const malloc = yield* call(createMalloc(umaOf(a)));
    const p = yield* call(malloc.malloc(bytes));
    note(`got ${p}`);
    if (p !== 0) yield* call(malloc.free(p));
  };

/** Allocates and lets it grow; the end is freed. */
const grows = (from: number, to: number): Work =>
  function* (a) {
    const malloc = yield* call(createMalloc(umaOf(a)));
    const p = yield* call(malloc.malloc(from));
    if (p === 0) return;
    const q = yield* call(malloc.realloc(p, to));
    yield* call(malloc.free(q === 0 ? p : q));
  };

/** In a set-up: what worker 1 will free is worker 0's. */
const shared =
  (bytes: number): NonNullable<Case["world"]["setUp"]> =>
  (all) => {
    warmed(all);
    const { world } = all[0] as Attachment;
    const malloc = runSync(createMalloc(umaOf(all[0] as Attachment)));
    world.i32[world.mail] = runSync(malloc.malloc(bytes));
  };

/** Frees what stands in the mailbox; of two that do, one is refused. */
const frees: Work = function* (a) {
  const malloc = yield* call(createMalloc(umaOf(a)));
  try {
    yield* call(malloc.free(a.world.i32[a.world.mail] as number));
    note("freed");
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== "ERR_UMA_DOUBLE_FREE" && code !== "ERR_UMA_ITEM_BUSY" && code !== "ERR_UMA_ADDRESS") throw error;
  }
};

const world: Case["world"] = { zones: [small, larger], setUp: warmed, pages: 44 };

export const scenarios: Scenario[] = [
  scenario({ name: "malloc: small, two kills", world, works: [pair(1000)], kills: 2, loose: true }),
  scenario({ name: "malloc: a block, two kills", world, works: [pair(9000)], kills: 2, loose: true }),
  scenario({
    name: "malloc: a block of each of two, one kill",
    world,
    works: [pair(9000), pair(9000)],
    kills: 1,
    loose: true,
    bounds: { preemptionBound: 2 },
  }),
  scenario({ name: "malloc: realloc from class to class, one kill", world, works: [grows(1000, 2000)], kills: 1, loose: true }),
  scenario({ name: "malloc: realloc of a block, two kills", world, works: [grows(9000, 13000)], kills: 2, loose: true }),
  scenario({
    name: "malloc: two free the same block, one kill",
    world: { ...world, setUp: shared(9000) },
    works: [frees, frees],
    kills: 1,
    loose: true,
    check: ({ said, ends }) => {
      const freed = said.filter((what) => what === "freed").length;
      if (freed > 1) throw new Error("two freed the same block");
      if (freed === 0 && ends.every((end) => end.status === "done")) throw new Error("nobody was let free the block");
    },
  }),
];
