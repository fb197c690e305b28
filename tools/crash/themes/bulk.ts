/** Many items at once, items set aside (prefill, reserve, reserveKva), and zones on pages of the user's own. */
import type * as Library from "../../../src/index.ts";
import { burst, freeMail, giveAll, leaveOrphans, reopen, work } from "../basics.ts";
import { watchedHooks } from "../hooks.ts";
import { MAIL, SLOTS } from "../ledger.ts";
import { type Actor, type Makers, type Theme, allowing } from "../theme.ts";

const SHORT = ["ERR_UMA_LIMIT", "ERR_UMA_EMPTY"];
/** Zone of the definitions that is on pages of an arena. */
const SUPPLY = "bulk supply";
/** The arena that a thread's supplied zone is on. What dies inside a supplier is its own to find, so it is not compared. */
interface Supplies {
  arena: Library.Uma["arenas"]["heap"] | null;
}
const SUPPLIES = new WeakMap<Library.ZoneDefinition, Supplies>();
/** Places among the definitions: of the zone in which the parent leaves orphans, of the one with large buckets, of the supplied one. */
const PLAIN = 0;
const SMALL = 1;
const SUPPLIED = 6;
/** The mark of items whose owner is dead. */
const ORPHAN = 127;

export const bulkTheme: Theme = {
  name: "bulk",
  steps: 80,

  definitions(makers: Makers) {
    const { defineZone } = makers.tree;
    const hooks = watchedHooks(makers);
    const supplies: Supplies = { arena: null };
    const definitions = [
      defineZone("bulk plain", { size: 64, bucket: 9 }),
      defineZone("bulk small", { size: 32, bucket: 40 }),
      defineZone("bulk hooked", { size: 200, bucket: 5, ...hooks }),
      defineZone("bulk freed on death", { size: 96, bucket: 5, onDeath: "free", ...hooks }),
      defineZone("bulk no buckets", { size: 256, bucket: 0 }),
      defineZone("bulk limited", { size: 48, bucket: 5, limit: 40, zinit: true }),
      defineZone("bulk supplied", {
        size: 900,
        bucket: 4,
        allocPages: ({ bytes }) => Math.max(0, supplies.arena?.tryAlloc(bytes) ?? 0),
        freePages: (address, bytes) => supplies.arena?.free(address, bytes),
      }),
    ];
    SUPPLIES.set(definitions[SUPPLIED] as Library.ZoneDefinition, supplies);
    return definitions;
  },

  step(a) {
    supply(a);
    const z = a.random(a.zones.length);
    const zone = a.zones[z];
    const action = a.random(100);
    if (zone === undefined) return;
    if (action < 30) takeMany(a, z);
    else if (action < 52) giveMany(a, z);
    else if (action < 62) work(a, z);
    else if (action < 70) freeMail(a, z);
    else if (action < 78) allowing(SHORT, () => zone.prefill(a.random(9)));
    else if (action < 83) allowing(SHORT, () => zone.reserve(a.random(12)));
    else if (action < 86) reserved(a, z);
    else if (action < 90) refused(a, a.random(3) === 0 ? PLAIN : z);
    else if (action < 92) kva(a);
    else if (action < 95) (a.random(2) === 0 ? zone : a.zones[SUPPLIED])?.reclaim();
    else if (action < 98) reopen(a, z);
    else if (action < 99) burst(a, z);
    else neighbours(a);
  },

  end(a) {
    for (const zone of a.zones) zone.prefill(0);
  },

  prepare(parent) {
    supply(parent);
    for (const zone of parent.zones) zone.reserve(0);
    // Nobody's: for all that the ledger knows somebody may have freed them.
    for (const [n, item] of leaveOrphans(parent, PLAIN, 2, false).entries()) parent.ledger.words[parent.ledger.at(PLAIN, n)] = -item;
  },

  settle(parent) {
    supply(parent);
    for (const zone of parent.zones) zone.reserve(0);
    for (const who of parent.crowd) parent.uma.open(kvaZone({ tree: parent.tree, who })).destroy({ force: true });
  },
};

function supply({ uma, definitions }: Actor): void {
  const supplies = SUPPLIES.get(definitions[SUPPLIED] as Library.ZoneDefinition);
  if (supplies === undefined || supplies.arena !== null) return;
  supplies.arena = uma.arenas.create(SUPPLY, { quantum: 4096, source: uma.arenas.heap, importMin: 4 * 4096 });
}

function takeMany(a: Actor, z: number): void {
  const zone = a.zones[z];
  if (zone === undefined) return;
  a.ledger.takeMany(z, 1 + a.random(SLOTS), (into) => {
    if (a.random(2) === 0) return zone.allocBulk(into);
    const list = new Int32Array(into.length);
    const got = zone.allocBulk(list);
    for (const [n, item] of list.entries()) into[n] = item;
    return got;
  });
}

function giveMany(a: Actor, z: number): void {
  a.ledger.giveMany(z, 1 + a.random(SLOTS), (items) => a.zones[z]?.freeBulk(a.random(2) === 0 ? items : Int32Array.from(items)));
}

/** As a slab gives them out, all places full, and back at once: sixteen neighbours go in one piece. */
function neighbours(a: Actor): void {
  const zone = a.zones[SMALL];
  if (zone === undefined) return;
  giveAll(a, SMALL);
  zone.reclaim();
  zone.prealloc(100);
  // From now on there is a bucket of them.
  const k = a.ledger.emptyPlace(SMALL, 0);
  if (k >= 0 && a.ledger.take(SMALL, k, () => zone.tryAlloc()) !== 0)
    a.ledger.give(SMALL, a.ledger.at(SMALL, k), (item) => zone.free(item));
  for (let n = 0; n < 2; n++) {
    a.ledger.takeMany(SMALL, SLOTS, (into) => {
      const list = new Int32Array(into.length);
      const got = zone.allocBulk(list);
      for (const [at, item] of list.entries()) into[at] = item;
      return got;
    });
    a.ledger.giveMany(SMALL, SLOTS, (items) => zone.freeBulk(Int32Array.from(items)));
  }
}

function reserved(a: Actor, z: number): void {
  const k = a.ledger.emptyPlace(z, a.random(SLOTS));
  if (k >= 0) a.ledger.take(z, k, () => a.zones[z]?.allocReserved() ?? 0);
}

/** Frees of many that are refused as a whole, and takes that find too few. */
function refused(a: Actor, z: number): void {
  const zone = a.zones[z];
  const { sure } = a.ledger.entries(z);
  if (zone === undefined) return;
  if (sure.length > 1) {
    const wrong = ["ERR_UMA_DOUBLE_FREE", "ERR_UMA_ADDRESS", "ERR_UMA_WRONG_ZONE", "ERR_UMA_ITEM_BUSY"];
    const first = sure[0] as number;
    const mail = Array.from({ length: MAIL }, (_, n) => a.ledger.mailAt(z, n)).filter((at) => (a.ledger.words[at] as number) > 0);
    const others = mail.map((at) => a.ledger.words[at] as number);
    for (const [n, at] of mail.entries()) a.ledger.words[at] = -(others[n] as number);
    // Meanwhile they are being freed: whoever dies in it has asked for that.
    a.ledger.doubt(z, () => {
      allowing(wrong, () => zone.freeBulk([...sure, first]));
      allowing(wrong, () => zone.freeBulk([...sure, first + 8]));
      allowing(wrong, () => zone.freeBulk([...sure, 12]));
      allowing(wrong, () => zone.freeBulk(Int32Array.of(first, 12)));
      // Others' items that are claimed and then are not freed.
      if (zone.plain) allowing(wrong, () => zone.freeBulk([...others, 12]));
      if (z === PLAIN) for (const orphan of zone.ownedBy(ORPHAN)) allowing(wrong, () => zone.freeBulk([orphan, 12]));
    });
    for (const [n, at] of mail.entries()) a.ledger.words[at] = others[n] as number;
  }
  const limited = a.zones[5];
  // More than the limit lets out: what was taken on the way goes back.
  if (limited !== undefined) {
    a.ledger.expect(5, 60);
    const into = new Array<number>(60).fill(0);
    if (limited.allocBulk(into)) limited.freeBulk(into);
    a.ledger.expect(5, -60);
  }
}

function kvaZone({ tree, who }: Pick<Actor, "tree" | "who">): Library.ZoneDefinition {
  return tree.defineZone(`bulk kva ${who}`, { size: 500, bucket: 4 });
}

/** A zone whose memory is set aside for good, until the zone ends. */
function kva(a: Actor): void {
  const zone = a.uma.open(kvaZone(a));
  zone.reserveKva(20);
  const items: number[] = [];
  for (let n = 0; n < 6; n++) items.push(zone.tryAlloc());
  for (const item of items) zone.free(item);
  zone.destroy({ force: true });
}
