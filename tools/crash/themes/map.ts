/** Shared maps: entries set, changed and deleted, full maps, sweeps; readers inside their sections. */
import { MARK_ORPHAN, ZONE_ROOT } from "../../../src/backend/memory/layout.ts";
import type * as Library from "../../../src/index.ts";
import { type Actor, type Say, type Theme, allowing } from "../theme.ts";

const CAPACITY = 12;
/** Keys of each writer. */
const KEYS = 14;
const KINDS = [
  { key: "i32", value: "f64" },
  { key: "f64", value: "u32" },
] as const;
/** In the ledger's own words, for each key of the victim in each map: the value, and the value it may have instead; 0 = no entry. */
const WORDS = 2;
/** Keys that are nobody's own. */
const COMMON = 4000;

export const mapTheme: Theme = {
  name: "map",
  steps: 110,

  definitions() {
    return [];
  },

  step(a) {
    const m = a.random(KINDS.length);
    const map = mapsOf(a)[m];
    if (map === undefined) return;
    const key = a.random(KEYS);
    const action = a.random(100);
    if (a.random(12) === 0) common(a, map);
    if (action < 55) put(a, map, m, key, 1 + a.random(1000));
    else if (action < 80) put(a, map, m, key, 0);
    else if (action < 88) check(a, map, m, key);
    else if (action < 92) for (const entry of map.entries()) if (entry[1] <= 0) throw new Error(`the map has ${String(entry)}`);
    if (action >= 92 && action < 96) map.sweep();
    if (action >= 96) a.uma.smr.poll(a.uma.smr.advance());
  },

  end(a) {
    for (const [m, map] of mapsOf(a).entries()) for (let key = 0; key < KEYS; key++) put(a, map, m, key, 0);
  },

  prepare(parent) {
    // Not always: a victim is to make the maps, too.
    parent.random(2);
    if (parent.alone && parent.random(2) === 0) return;
    for (const [m, map] of mapsOf(parent).entries()) {
      map.set(COMMON, 1);
      if (parent.alone) leaveRest(parent, parent.uma.open(definition(parent, m).nodes));
    }
  },

  account(parent, say) {
    for (const [m, map] of mapsOf(parent).entries()) judge(parent, map, m, say);
  },

  settle(parent, say) {
    for (const [m, map] of mapsOf(parent).entries()) {
      map.sweep();
      for (const problem of map.verify()) say(`map ${m}: ${problem}`);
      for (const [key] of Array.from(map.entries())) map.delete(key);
      if (map.size !== 0) say(`map ${m} is empty, and its size ${map.size}`);
      for (let key = 0; key < CAPACITY; key++) map.set(5000 + key, 7);
      for (let key = 0; key < CAPACITY; key++) if (!map.delete(5000 + key)) say(`map ${m}: lost the key ${key}`);
    }
    parent.uma.smr.synchronize(1000);
    const { uma } = parent;
    for (let m = 0; m < KINDS.length; m++) uma.open(definition(parent, m).nodes).reclaim();
    // So that a victim makes them anew; a peer has them open.
    if (!parent.alone) return;
    for (let m = 0; m < KINDS.length; m++) {
      const tables = uma.open(definition(parent, m).table).stats().used;
      if (tables !== 1) say(`lost: map ${m} has ${tables} tables`);
      uma.open(definition(parent, m).nodes).destroy({ force: true });
      uma.open(definition(parent, m).table).destroy({ force: true });
    }
    parent.memo.delete("maps");
  },

  keeps: (zone) => zone.endsWith(" table"),
};

function definition({ tree }: Actor, m: number): Library.MapDefinition {
  return tree.defineMap(`crash ${m}`, { capacity: CAPACITY, ...KINDS[m] });
}

function mapsOf(a: Actor): Library.SharedMap[] {
  let maps = a.memo.get("maps") as Library.SharedMap[] | undefined;
  if (maps === undefined) {
    maps = KINDS.map((_, m) => a.tree.openMap(a.uma, definition(a, m)));
    // Somebody who died may have written under the same keys.
    if (a.who >= 0) for (const map of maps) for (let key = 0; key < KEYS; key++) map.delete(keyOf(a, key));
    a.memo.set("maps", maps);
  }
  return maps;
}

/** Keys that everybody writes to, in no ledger; what the parent has set is there to be replaced, and taken away. */
function common(a: Actor, map: Library.SharedMap): void {
  const key = COMMON + a.random(2);
  allowing(["ERR_UMA_LIMIT", "ERR_UMA_BUSY"], () => {
    const action = a.random(4);
    if (action < 2) map.delete(key);
    else if (action === 2) map.set(key, 3);
    else if (map.getOrSet(key, 4) < 1) throw new Error(`the map has nothing under ${key}`);
  });
}

/** Leaves a count that a killed writer could have left, and a node that it had not linked. */
function leaveRest({ uma }: Actor, nodes: Library.Zone): void {
  const { floor, slabs } = uma.core;
  const { i32, u8 } = floor.cells;
  Atomics.add(i32, (i32[nodes.zone + ZONE_ROOT] >>> 2) + 1, 1);
  const node = nodes.allocSmr();
  if (node === 0) return;
  i32[(node >>> 2) + 1] = 0;
  Atomics.store(u8, slabs.markOf(node, nodes.shift), MARK_ORPHAN);
}

/** The key as the map has it: each writer has its own. */
function keyOf(a: Actor, key: number): number {
  return a.who * 100 + key;
}

function wordOf(m: number, key: number): number {
  return (m * KEYS + key) * WORDS;
}

/** Sets a key, or deletes it; the ledger knows both the old and the new value meanwhile. */
function put(a: Actor, map: Library.SharedMap, m: number, key: number, value: number): void {
  const { extra } = a.ledger;
  const at = wordOf(m, key);
  extra[at + 1] = value;
  // Marks that the second word counts, too.
  extra[at] = -1 - (extra[at] ?? 0);
  let done = false;
  allowing(["ERR_UMA_LIMIT", "ERR_UMA_BUSY"], () => {
    if (value === 0) map.delete(keyOf(a, key));
    else map.set(keyOf(a, key), value);
    done = true;
  });
  extra[at] = done ? value : -1 - (extra[at] ?? 0);
}

function check(a: Actor, map: Library.SharedMap, m: number, key: number): void {
  const value = a.ledger.extra[wordOf(m, key)] ?? 0;
  const found = map.get(keyOf(a, key)) ?? 0;
  if (found !== value) throw new Error(`map ${m} has ${found} under ${key}, it was set to ${value}`);
}

function judge(parent: Actor, map: Library.SharedMap, m: number, say: Say): void {
  for (let key = 0; key < KEYS; key++) {
    const at = wordOf(m, key);
    const word = parent.ledger.extra[at] ?? 0;
    const allowed = word >= 0 ? [word] : [-1 - word, parent.ledger.extra[at + 1] ?? 0];
    const found = map.get(key) ?? 0;
    if (!allowed.includes(found)) say(`lost: map ${m} has ${found} under ${key}, it should be ${allowed.join(" or ")}`);
  }
}
