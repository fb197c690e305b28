/** Handles: a free raises the item's generation before the item is in a bucket, so a handle never comes again. */
import { call, note, read, runSync, type Scenario } from "../../tools/explore/index.ts";
import { scenario, type Case, type End, type Work } from "./cases.ts";
import { defineTypedZone, type Attachment, type Definition } from "./world.ts";

const h = runSync(defineTypedZone("h", { size: 1000, bucket: 2, handles: true })) as unknown as Definition;

interface Handled {
  tryAllocHandle(): number;
  freeHandle(handle: number): void;
  get(handle: number): number;
  free(item: number): void;
}
const handled = (a: Attachment): Handled => a.zones[0] as unknown as Handled;

/** As many as two slabs have items. */
const MANY = 8;
/** Where a handle stands in the mailbox. */
const HANDLES = 1;
const mailed = (a: Attachment): number => new Float64Array(a.world.buffer)[(a.world.mail >> 1) + HANDLES] as number;

/** Worker 0 has a handle, which everybody knows; the others have buckets with items. */
const given = (all: Attachment[]): void => {
  const [first, ...others] = all as [Attachment, ...Attachment[]];
  new Float64Array(first.world.buffer)[(first.world.mail >> 1) + HANDLES] = runSync(handled(first).tryAllocHandle());
  for (const a of others) runSync(handled(a).freeHandle(runSync(handled(a).tryAllocHandle())));
};

/** Takes a handle, `times` times, and gives each back: by handle, then by address, in turn. */
const turnsOver = (times: number): Work =>
  function* (a) {
    for (let n = 0; n < times; n++) {
      const handle = yield* call(handled(a).tryAllocHandle());
      if (handle === 0) continue;
      note(`handle ${handle}`);
      if (n % 2 === 0) yield* call(handled(a).freeHandle(handle));
      else yield* call(handled(a).free(yield* call(handled(a).get(handle))));
      if ((yield* call(handled(a).get(handle))) !== 0) note("bad: a handle that was freed still finds an item");
    }
  };

const nothing: Work = function* (a) {
  yield* read(a.world.i32, a.world.mail);
};

/** Frees everybody's handle. */
const tries: Work = function* (a) {
  try {
    yield* call(handled(a).freeHandle(mailed(a)));
    note("freed");
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== "ERR_UMA_STALE" && code !== "ERR_UMA_DOUBLE_FREE" && code !== "ERR_UMA_ITEM_BUSY") throw error;
  }
};

/** Frees it, and takes one of its own. */
const freesMailed: Work = function* (a) {
  yield* call(handled(a).freeHandle(mailed(a)));
  const handle = yield* call(handled(a).tryAllocHandle());
  if (handle !== 0) note(`handle ${handle}`);
};

/** Takes so many that an item which a dead worker had freed is among them. */
const takesMany: Work = function* (a) {
  for (let n = 0; n < MANY; n++) {
    const handle = yield* call(handled(a).tryAllocHandle());
    if (handle !== 0) note(`handle ${handle}`);
  }
};

/** No handle is given out twice, whatever died meanwhile: not even the one from before. */
function areDifferent({ world, said }: End): void {
  const seen = said.filter((what): what is string => typeof what === "string" && what.startsWith("handle "));
  const first = `handle ${new Float64Array(world.buffer)[(world.mail >> 1) + HANDLES]}`;
  const all = [first, ...seen];
  const twice = all.find((what, n) => all.indexOf(what) !== n);
  if (twice !== undefined) throw new Error(`${twice} was given out twice`);
  if (said.filter((what) => what === "freed").length > 1) throw new Error("two were let free the same handle");
}

const world: Case["world"] = { zones: [h], setUp: given };
const shared = { loose: true, check: areDifferent };

export const scenarios: Scenario[] = [
  scenario({ name: "handles: taken and freed twice, two kills", world, works: [turnsOver(2)], kills: 2, quick: true, ...shared }),
  scenario({
    name: "handles: freed as its owner dies, and taken by others, one kill",
    world,
    // The first free of a thread looks at the ceiling; only those after it take the hot paths, by address and by handle.
    works: [turnsOver(3)],
    kills: 1,
    afterRecovery: takesMany,
    ...shared,
  }),
  scenario({ name: "handles: freed by another, one kill", world, works: [turnsOver(1), freesMailed], kills: 1, ...shared }),
  scenario({
    name: "handles: two free the same, one kill",
    world,
    works: [nothing, tries, tries],
    kills: 1,
    bounds: { preemptionBound: 2 },
    ...shared,
  }),
];
