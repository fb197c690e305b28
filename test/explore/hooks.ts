/**
 * Kills inside hooks. Hooks are generator functions here, so a worker can be cut anywhere in them; each writes into the item how
 * far it has come, and says so when it meets an item in a state that it must never see:
 *
 * ```
 * (anything) ─init→ BORN ─ctor→ MADE ─dtor→ BORN ─fini→ (gone)
 * ```
 */
import { call, note, read, runSync, write, type Scenario } from "../../tools/explore/index.ts";
import { alloc, keeps, layout, pairs, reclaims, scenario, small, warm, type End, type Work } from "./cases.ts";
import type { Attachment, Definition, MiniWorld } from "./world.ts";

const BORN = 0x0b0b;
const MADE = 0x0d0d;
const HALF = 0x0aff;

type View = Int32Array;
interface Views {
  readonly i32: View;
}

function* step(what: string, item: number, views: Views, from: number, to: number): Generator<unknown, void, unknown> {
  const at = item >> 2;
  const found = yield* read(views.i32, at);
  if (from !== 0 && found !== from) note(`bad: ${what} meets an item in state ${found.toString(16)}`);
  yield* write(views.i32, at, HALF);
  note(`${what} ${item}`);
  yield* write(views.i32, at, to);
}

/** A generator function in a hook's clothes: the explorer runs it a step at a time. */
type Hook = () => void;
const ctor = function* (item: number, _arg: unknown, views: Views) {
  yield* step("ctor", item, views, BORN, MADE);
} as unknown as Hook;
const dtor = function* (item: number, _arg: unknown, views: Views) {
  yield* step("dtor", item, views, MADE, BORN);
} as unknown as Hook;
const init = function* (item: number, views: Views) {
  yield* step("init", item, views, 0, BORN);
} as unknown as Hook;
const fini = function* (item: number, views: Views) {
  yield* step("fini", item, views, BORN, 0x0f0f);
} as unknown as Hook;
const refusing = function* (item: number, _arg: unknown, views: Views) {
  yield* write(views.i32, item >> 2, HALF);
  yield* write(views.i32, item >> 2, BORN);
  return false;
} as unknown as Hook;
const refusingInit = function* (item: number, views: Views) {
  yield* step("init", item, views, 0, BORN);
  // The first item of a slab is accepted, the second refused.
  return (item & 4095) === 0;
} as unknown as Hook;

/** Which attachment's views a hook was handed: how it gets at that worker's other zones. */
const attachments = new WeakMap<object, Attachment>();
const nesting = function* (item: number, views: Views) {
  const a = attachments.get(views);
  if (a !== undefined) {
    if ((yield* read(a.world.i32, a.core.floor.slotWord + layout.SLOT_PENDING_LOCK)) !== 0) note("bad: a hook runs while a lock is held");
    const zone = a.zones[1] as Attachment["zones"][0];
    const other = yield* call(zone.tryAlloc());
    if (other === 0) note("bad: an init hook gets no item of another zone");
    else yield* call(zone.free(other));
  }
  yield* write(views.i32, item >> 2, BORN);
} as unknown as Hook;

// Two items a slab keep the hooks' walks short.
const size = 2000;
const full: Definition = small("h", { size, ctor, dtor, init, fini });
// Hooks without steps of their own: only when they are over counts.
const nothing = (): void => undefined;
const bare: Definition = small("e", { size, bucket: 0, init: nothing, fini: nothing });
const cached: Definition = small("k", { size, init: nothing, fini: nothing });
const made: Definition = small("c", { size, ctor, dtor, init });
const freeing: Definition = small("f", { size, ctor, dtor, init, fini, onDeath: "free" });
const shy: Definition = small("r", { size, ctor: refusing, dtor, init, fini });
const barren: Definition = small("b", { size, init: refusingInit, fini });

const outer: Definition = small("n", { size: 4000, init: nesting });
const inner: Definition = small("i", { size: 4000 });

/** Makes itself known to hooks, and takes an item, for which a slab must be built. */
const nests: Work = function* (a) {
  attachments.set(a.core.views, a);
  yield* alloc(a);
};

/** A slab of its own. */
const grows: Work = function* (a) {
  yield* call(a.core.kegs.grow(a.zones[0]!, false));
};

const seesToOrphans: Work = function* (a) {
  yield* call(a.orphans.finish(a.zones[0]!));
};

/** At the end: free items are BORN, items in living hands MADE; what is called is called as often as it should be. */
function states(hasCtor: boolean): (end: End) => void {
  return ({ world, living, said }) => {
    const zone = world.observer.zones[0] as Attachment["zones"][0];
    const kegItems = itemsOf(world, zone);
    for (const { item, owner } of kegItems) {
      const found = world.i32[item >> 2] as number;
      if (owner === 0 && found !== BORN) throw new Error(`the free item ${item} is in state ${found.toString(16)}`);
      if (living.includes(item) && found !== (hasCtor ? MADE : BORN))
        throw new Error(`the item ${item} in use is in state ${found.toString(16)}`);
    }
    // Of any item: never more finis than inits (one may have been at the set-up), never more dtors than ctors.
    for (const { item } of kegItems) {
      const count = (what: string): number => said.filter((s) => s === `${what} ${item}`).length;
      if (count("fini") > count("init") + 1)
        throw new Error(`${count("fini")} calls of fini for the item ${item}, ${count("init")} of init`);
      if (count("dtor") > count("ctor")) throw new Error(`${count("dtor")} calls of dtor for the item ${item}, ${count("ctor")} of ctor`);
    }
  };
}

/** All items of the zone's slabs, and the slots that they are marked with. */
function itemsOf(world: MiniWorld, zone: Attachment["zones"][0]): { item: number; owner: number }[] {
  const { heapStart, heapEnd } = world.observer.core.floor.geometry;
  const found: { item: number; owner: number }[] = [];
  for (let page = heapStart; page < heapEnd; page += 4096) {
    for (let item = page; item + zone.rsize <= page + 4096; item += zone.rsize) {
      try {
        found.push({ item, owner: runSync(zone.ownerOf(item)) });
      } catch {
        // Not an item.
      }
    }
  }
  return found;
}

/** An earlier death has left orphans in the zone, as far as anybody knows. */
const called = (zone: Definition): { zones: Definition[]; setUp: (all: Attachment[]) => void } => ({
  zones: [zone],
  setUp: ([first]) => {
    first!.world.i32[first!.zones[0]!.zone + layout.ZONE_ORPHANS] = 1;
  },
});

/** Worker 0 has a bucket with items that are BORN. */
const warmed = (zone: Definition): { zones: Definition[]; setUp: (all: Attachment[]) => void } => ({
  zones: [zone],
  setUp: (all) => warm(all, 0),
});

export const scenarios: Scenario[] = [
  scenario({
    name: "hooks: killed inside ctor and dtor, two kills",
    world: warmed(made),
    works: [pairs(1)],
    kills: 2,
    quick: true,
    check: states(true),
  }),
  scenario({
    name: "hooks: killed inside ctor and dtor, recoverer without the zone",
    world: warmed(made),
    works: [pairs(1)],
    kills: 2,
    recoverersOpen: false,
  }),
  scenario({
    name: "hooks: killed inside init, two kills",
    world: { zones: [full] },
    works: [keeps(1)],
    kills: 2,
    check: states(true),
  }),
  scenario({
    name: "hooks: killed inside init, recoverer without the zone",
    world: { zones: [full] },
    works: [keeps(1)],
    kills: 2,
    recoverersOpen: false,
    moreOrphans: 4,
  }),
  scenario({
    name: "hooks: killed inside fini, two kills",
    world: warmed(full),
    works: [reclaims],
    kills: 2,
    quick: true,
    check: states(true),
  }),
  scenario({
    name: "hooks: killed inside fini, recoverer without the zone",
    world: warmed(full),
    works: [reclaims],
    kills: 2,
    recoverersOpen: false,
    moreOrphans: 4,
  }),
  scenario({
    name: "hooks: a dead worker's items freed through dtor, two kills",
    world: warmed(freeing),
    works: [keeps(1)],
    kills: 2,
    check: states(true),
  }),
  scenario({
    name: "hooks: init allocates from another zone, one kill",
    world: { zones: [outer, inner] },
    works: [nests],
    kills: 1,
    quick: true,
  }),
  scenario({
    name: "hooks: ctor refuses, two kills",
    world: { zones: [shy], setUp: (_all, observer) => runSync(observer.zones[0]?.prealloc(2)) },
    works: [keeps(1)],
    kills: 2,
  }),
  scenario({
    name: "hooks: init refuses, two kills",
    world: { zones: [barren] },
    works: [keeps(1)],
    kills: 2,
    check: ({ outstanding }) => {
      if (outstanding > 0) throw new Error(`init refuses, and ${outstanding} items are outstanding`);
    },
  }),
  scenario({
    name: "hooks: orphans left without the zone, finished by a worker that has it, one kill",
    world: warmed(made),
    works: [pairs(1), pairs(2)],
    kills: 1,
    recoverersOpen: false,
    moreOrphans: 4,
    bounds: { preemptionBound: 2 },
  }),
  ...[bare, cached].map((zone) =>
    scenario({
      name: `hooks: a half-built slab is put back while another sees to orphans, ${zone === bare ? "no buckets, " : ""}two kills`,
      world: called(zone),
      works: [grows, seesToOrphans],
      kills: 2,
      mayKill: (worker) => worker !== 1,
      recoverersOpen: false,
      moreOrphans: 4,
      bounds: { preemptionBound: 2 },
    }),
  ),
  scenario({
    name: "hooks: a half-built slab is put back while two see to orphans, one kill",
    world: called(bare),
    works: [grows, seesToOrphans, seesToOrphans],
    kills: 1,
    mayKill: (worker) => worker === 0,
    recoverersOpen: false,
    moreOrphans: 4,
    bounds: { preemptionBound: 2 },
  }),
];
