/** Zones of every kind: items, buckets, slabs, hooks; opened, closed, made and destroyed. */
import { LINE_ALLOCS } from "../../../src/backend/memory/layout.ts";
import type * as Library from "../../../src/index.ts";
import { burst, freeMail, leaveOrphans, reopen, work } from "../basics.ts";
import { watchedHooks } from "../hooks.ts";
import { type Actor, type Makers, type Theme, allowing } from "../theme.ts";

/** When init of the moody zone refuses: at the so-manieth item from now; 0 = never. */
interface Mood {
  left: number;
}
const MOODS = new WeakMap<Library.ZoneDefinition, Mood>();
const MOODY = 11;
/** Zones in which the parent leaves orphans: to be freed, half built, and to be adopted. */
const FREED = 1;
const HOOKED = 2;
const ADOPTED = 0;

export const zonesTheme: Theme = {
  name: "zones",
  steps: 100,

  definitions(makers: Makers) {
    const { defineZone } = makers.tree;
    const hooks = watchedHooks(makers);
    const mood: Mood = { left: 0 };
    const refuse = (): boolean => mood.left === 0 || --mood.left > 0;
    const definitions = [
      defineZone("plain", { size: 64, bucket: 6 }),
      defineZone("freed on death", { size: 100, bucket: 4, onDeath: "free", ...hooks }),
      defineZone("kept with hooks", { size: 200, bucket: 3, ...hooks }),
      defineZone("no buckets", { size: 256, bucket: 0 }),
      defineZone("larger than a page", { size: 6000, bucket: 2, onDeath: "free", ...hooks }),
      defineZone("one a slab", { size: 9000, bucket: 1, zinit: true }),
      defineZone("limited", { size: 48, bucket: 5, limit: 80, zero: true }),
      defineZone("refusing", { size: 72, bucket: 3, onDeath: "free", ctor: (_item: number, arg: unknown) => arg !== "refuse" }),
      defineZone("unchecked", { size: 64, bucket: 4, checks: false }),
      defineZone("with sites", { size: 40, bucket: 3, sites: { sample: 3 } }),
      defineZone("unchecked hooked", { size: 80, bucket: 3, checks: false, zero: true, ctor() {}, dtor() {} }),
      defineZone("refusing init", { size: 700, bucket: 2, init: refuse }),
    ];
    MOODS.set(definitions[MOODY] as Library.ZoneDefinition, mood);
    return definitions;
  },

  step(a) {
    const z = a.random(a.zones.length);
    const action = a.random(100);
    if (action < 68) work(a, z);
    else if (action < 84) freeMail(a, z);
    else if (action < 87) a.zones[z]?.prealloc(a.random(40));
    else if (action < 91) a.zones[z]?.reclaim();
    else if (action < 94) reopen(a, z);
    else if (action < 96) passing(a);
    else if (action < 97) blocks(a);
    else if (action < 98) others(a);
    else burst(a, z);
  },

  prepare(parent) {
    leaveOrphans(parent, FREED, 2, false);
    leaveOrphans(parent, HOOKED, 2, true);
    // For all that the ledger knows they may or may not be anybody's.
    for (const [n, item] of leaveOrphans(parent, ADOPTED, 3, false).entries()) parent.ledger.words[parent.ledger.at(ADOPTED, n)] = -item;
  },

  settle(parent) {
    destroyPassing(parent, 3);
  },
};

/** A zone that lives for a moment. */
function passing(a: Actor): void {
  const n = a.random(3);
  const zone = a.uma.open(a.tree.defineZone(`passing ${n}`, { size: 80 + 16 * n, init() {}, fini() {} }));
  // Whoever has it open at the same time may destroy it at any moment.
  allowing(["ERR_UMA_ZONE_CLOSED"], () => {
    const items: number[] = [];
    for (let k = 0; k < 20; k++) items.push(zone.tryAlloc());
    for (const item of items.slice(0, 15)) zone.free(item);
    zone.destroy({ force: true });
  });
}

/** What a victim may have left of the zones that live for a moment. */
export function destroyPassing({ uma, tree }: Actor, count: number): void {
  for (let n = 0; n < count; n++) {
    uma.open(tree.defineZone(`passing ${n}`, { size: 80 + 16 * n, init() {}, fini() {} })).destroy({ force: true });
  }
}

/** Blocks straight from the arena: now and then enough of them for a page of tags and for the hash to grow. */
function blocks(a: Actor): void {
  const { heap, floor } = a.uma.core;
  const held: number[] = [];
  // The last of them takes every page, so that there is none for tags.
  const count = [6, 90, 330, a.alone ? 2000 : 6][a.random(4)] ?? 6;
  for (let n = 1; n < count; n++) held.push(heap.alloc(count === 2000 ? 1 : 1 + (n % 3), floor.me, 0));
  for (const address of held.filter((_, n) => n % 2 === 0)) if (address > 0) heap.free(address, 0);
  for (const address of held.filter((_, n) => n % 2 === 1)) if (address > 0) heap.free(address, 0);
}

/** A reservation that nobody takes up, a refused construction, an item handed to oneself. */
function others(a: Actor): void {
  a.uma.reap(a.uma.ticket());
  a.zones[7]?.tryAlloc("refuse");
  const zone = a.zones[0];
  const k = a.ledger.emptyPlace(0, 0);
  if (zone === undefined || k < 0) return;
  const item = a.ledger.take(0, k, () => zone.tryAlloc());
  if (item !== 0) zone.transfer(item, a.uma.slot);
  adopt(a, zone);
  moody(a);
  // The counter of allocations comes to the end of its 31 bits.
  for (const one of [zone, a.zones[7] as Library.Zone]) a.uma.core.floor.cells.i32[one.line + LINE_ALLOCS] = 0x7fffffff;
  a.zones[7]?.tryAlloc("refuse");
  allowing(["ERR_UMA_HOOK"], () => a.zones[7]?.alloc("refuse"));
  // Where the carry comes with an allocation that is refused.
  a.zones[7]?.reclaim("drain-cpu");
  a.uma.core.floor.cells.i32[(a.zones[7] as Library.Zone).line + LINE_ALLOCS] = 0x7fffffff;
  a.zones[7]?.tryAlloc("refuse");
  // More pages than there are.
  a.uma.core.heap.alloc(100_000, a.uma.core.floor.me, 0);
  a.ledger.give(0, a.ledger.at(0, k), (p) => zone.free(p));
}

/** Takes over what the parent has left. */
function adopt(a: Actor, zone: Library.Zone): void {
  if (!a.alone) return;
  for (let k = 0; k < 3; k++) {
    const index = a.ledger.at(ADOPTED, k);
    const item = a.ledger.words[index] ?? 0;
    if (item < 0 && zone.adopt(-item)) a.ledger.words[index] = -item;
  }
}

/** A slab is not born: one of its items is refused. */
function moody(a: Actor): void {
  const mood = MOODS.get(a.definitions[MOODY] as Library.ZoneDefinition);
  if (mood === undefined) return;
  mood.left = 3;
  try {
    allowing(["ERR_UMA_HOOK"], () => a.zones[MOODY]?.prealloc(30));
  } finally {
    // Also where a lock out of reach ends the step.
    mood.left = 0;
  }
}
