/** Items with fields, handles that go stale, debug zones, call sites, per-worker zones. */
import type * as Library from "../../../src/index.ts";
import { burst, freeMail, giveAll, reopen, work } from "../basics.ts";
import { SLOTS } from "../ledger.ts";
import { type Actor, type Makers, type Say, type Theme } from "../theme.ts";

/** Zones whose items have handles, and those with fields, by their place among the definitions. */
const HANDLED = [0, 1, 2] as const;
const FIELDS = 2;
const SITES = 4;
/** In the ledger's own words: the last few handles of items that were freed, as doubles. */
const STALE = 20;

type Handled = Library.Zone & Library.Handles<string, unknown, unknown>;

export const typedTheme: Theme = {
  name: "typed",
  steps: 90,

  definitions({ tree, point }: Makers) {
    const { defineZone, struct } = tree;
    const type = struct({
      a: tree.i32,
      b: tree.f64,
      c: tree.i64,
      flag: tree.bool,
      kind: tree.enumOf("red", "green", "blue"),
      next: tree.ref("typed counting"),
      short: tree.u16,
      byte: tree.u8,
      tiny: tree.i8,
      word: tree.u32,
      real: tree.f32,
      big: tree.u64,
      name: tree.text(12, { overflow: "truncate" }),
      row: tree.array(tree.i16, 3),
    });
    return [
      defineZone("typed counting", { size: 40, bucket: 4, handles: true }),
      defineZone("typed dtor", { size: 72, bucket: 3, handles: true, dtor: () => point("dtor") }),
      defineZone("typed fields", { type, bucket: 4, handles: true, zero: true }),
      defineZone("typed debug", {
        type,
        bucket: 3,
        debug: true,
        onDeath: "free",
        ctor: (p) => void (p.a = 3),
        dtor: (p) => void (p.b = 1),
      }),
      defineZone("typed sites", { size: 56, bucket: 3, sites: true }),
      defineZone("typed debug zero", { size: 60, bucket: 3, debug: true, zero: true }),
    ] as unknown as Library.ZoneDefinition[];
  },

  step(a) {
    const z = a.random(a.zones.length);
    const action = a.random(100);
    if (action < 30) work(a, z);
    else if (action < 38) freeMail(a, z);
    else if (action < 60) handled(a, HANDLED[a.random(3)] ?? 0);
    else if (action < 72) fields(a);
    else if (action < 77) wear(a);
    else if (action < 84) callSites(a);
    else if (action < 88) percpu(a);
    else if (action < 91) a.zones[z]?.reclaim();
    else if (action < 94) reopen(a, z);
    else burst(a, z);
  },

  account(parent, say) {
    judgeHandles(parent, say);
    const zone = parent.zones[SITES];
    if (zone === undefined) return;
    const sites = parent.uma.sites(zone).reduce((sum, site) => sum + site.items, 0);
    if (sites !== zone.stats().used) say(`lost: the call sites name ${sites} items, ${zone.stats().used} are outstanding`);
  },

  settle(parent) {
    for (const who of parent.crowd) {
      percpuOf(parent, who).zone.destroy({ force: true });
      parent.memo.delete("percpu");
    }
  },
};

function stale(a: Actor): Float64Array {
  const { extra } = a.ledger;
  const from = (extra.byteOffset + 7) & ~7;
  return new Float64Array(extra.buffer, from, STALE);
}

/** Allocates and frees by handle; a handle that was freed is stale for good. */
function handled(a: Actor, z: number): void {
  const zone = a.zones[z] as Handled;
  const k = a.random(SLOTS);
  const index = a.ledger.at(z, k);
  if (a.ledger.words[index] === 0) {
    a.ledger.take(z, k, () => zone.get(zone.tryAllocHandle()));
    return;
  }
  const item = a.ledger.words[index] ?? 0;
  if (item <= 0) return;
  const handle = zone.handleOf(item as Library.Item<string>);
  if (zone.get(handle) !== item) throw new Error("a handle does not name its item");
  a.ledger.give(z, index, () => zone.freeHandle(handle));
  if (zone.get(handle) === item) throw new Error("a freed item's handle still names it");
  stale(a)[a.random(STALE)] = handle;
}

function judgeHandles(parent: Actor, say: Say): void {
  for (const z of HANDLED) {
    const zone = parent.zones[z] as Handled;
    for (const handle of stale(parent)) {
      if (handle !== 0 && zone.get(handle as Library.Handle<string>) !== 0) say(`duplicated: the stale handle ${handle} names an item`);
    }
  }
}

function fields(a: Actor): void {
  const zone = a.zones[FIELDS] as unknown as Library.TypedZone<string, Library.Fields, unknown, unknown>;
  const { sure } = a.ledger.entries(FIELDS);
  const item = sure[a.random(Math.max(1, sure.length))];
  if (item === undefined) return;
  const view = zone.at(item) as unknown as Record<string, unknown>;
  Object.assign(view, {
    a: 7,
    b: 1.5,
    c: 9n,
    flag: true,
    kind: "green",
    short: 3,
    byte: 9,
    tiny: -2,
    word: 77,
    real: 0.5,
    big: 12n,
    name: "größe und mehr",
    next: 0,
  });
  (view["row"] as number[])[1] = 4;
  if (view["name"] !== "größe und m" && view["a"] !== 7) throw new Error("a field does not hold what was put there");
}

/** One item often enough that its generation reaches the ceiling. */
function wear(a: Actor): void {
  const z = HANDLED[a.random(2)] ?? 0;
  const zone = a.zones[z];
  const k = a.ledger.emptyPlace(z, 0);
  if (zone === undefined || k < 0) return;
  for (let n = 0; n < 80; n++) {
    a.ledger.take(z, k, () => zone.tryAlloc());
    a.ledger.give(z, a.ledger.at(z, k), (item) => zone.free(item));
  }
}

/** Allocations from many places: each is a site. */
function callSites(a: Actor): void {
  const zone = a.zones[SITES];
  if (zone === undefined) return;
  const places = [() => zone.tryAlloc(), () => zone.tryAlloc(), () => zone.tryAlloc(), () => zone.tryAlloc()];
  for (const alloc of places) {
    const k = a.ledger.emptyPlace(SITES, a.random(SLOTS));
    if (k >= 0) a.ledger.take(SITES, k, alloc);
  }
  if (a.random(3) === 0) giveAll(a, SITES);
}

/** Each worker has one of its own, so that the parent may end it. */
function percpuOf(a: Actor, who: number = a.who): Library.PcpuZone {
  let zone = a.memo.get("percpu") as Library.PcpuZone | undefined;
  if (zone === undefined || zone.zone.closed) a.memo.set("percpu", (zone = a.tree.openPcpu(a.uma, `typed percpu ${who}`, { size: 8 })));
  return zone;
}

function percpu(a: Actor): void {
  const zone = percpuOf(a);
  const item = zone.alloc();
  if (item === 0) return;
  a.uma.views.i32[zone.mine(item) >> 2]++;
  zone.free(item);
}
