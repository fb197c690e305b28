/**
 * What stands on zones and on the heap, in the same way refused at every request in turn: malloc and its types, maps, mapped areas,
 * arenas with and without caches, items by the handful and set aside. Each of them does several steps, and what an earlier one has taken
 * must not be lost when a later one is refused.
 */
import {
  createMalloc,
  defineMallocType,
  defineMap,
  defineSecondary,
  defineZone,
  openMap,
  openTypes,
  openVmalloc,
  type Uma,
  type ZoneStatistics,
} from "../../src/index.ts";
import type { Attempt } from "./denials.ts";

export interface DeniedParts {
  /** Gives everything back, when nothing is refused any more; says what is lost. */
  giveBack(): void;
  /** Whether a zone may keep what it has. */
  keeps(zone: ZoneStatistics): boolean;
}

type Arena = Uma["arenas"]["heap"];
type Say = (problem: string) => void;

/** Does a bit of all of it. */
export function startParts(uma: Uma, attempt: Attempt, say: Say): DeniedParts {
  const parts = [malloc, map, areas, arenas, handfuls].map((part) => part(uma, attempt, say));
  return {
    giveBack: () => {
      for (const part of parts) part();
    },
    // Types stay for good.
    keeps: ({ name, used }) => name === "malloc types" && used <= 1,
  };
}

type Part = (uma: Uma, attempt: Attempt, say: Say) => () => void;

const malloc: Part = (uma, attempt, say) => {
  const m = createMalloc(uma);
  const held: number[] = [];
  for (const size of [10, 100, 5000, 9000]) {
    const p = attempt(() => m.malloc(size)) ?? 0;
    if (p === 0) continue;
    held.push(p);
    const moved = attempt(() => m.realloc(p, size * 3)) ?? 0;
    if (moved !== 0) held[held.length - 1] = moved;
  }
  for (const p of [attempt(() => m.alignedAlloc(512, 300)), attempt(() => m.calloc(3, 50))]) if (p !== undefined && p !== 0) held.push(p);
  const types = attempt(() => openTypes(uma));
  attempt(() => types?.counters(defineMallocType("denied")).allocated(64, 50));
  m.free(held.pop() ?? 0);
  return () => {
    for (const p of held) m.free(p);
    m.trim();
    const { used, usedBytes } = m.stats();
    if (used !== 0) say(`malloc keeps ${used} allocations, ${usedBytes} bytes`);
  };
};

const map: Part = (uma, attempt, say) => {
  const definition = defineMap("denied", { capacity: 6 });
  const opened = attempt(() => openMap(uma, definition)) ?? attempt(() => openMap(uma, definition));
  for (let key = 0; key < 8; key++) attempt(() => opened?.set(key % 6, key));
  attempt(() => opened?.delete(2));
  return () => {
    const all = openMap(uma, definition);
    // What was replaced may be on its way still, where there was no memory for a bucket: all is compared when all has come back.
    for (const [key] of Array.from(all.entries())) all.delete(key);
    uma.smr.synchronize(1000);
    for (const problem of all.verify()) say(problem);
    const tables = uma.open(definition.table);
    if (tables.stats().used !== 1) say(`the map has ${tables.stats().used} tables`);
    uma.open(definition.nodes).destroy({ force: true });
    tables.destroy({ force: true });
  };
};

const areas: Part = (uma, attempt, say) => {
  const open = () => openVmalloc(uma, { bytes: 2 ** 21, warnBytes: 0 });
  const vm = attempt(open) ?? attempt(open);
  const held: number[] = [];
  for (const pages of [1, 4]) {
    const p = attempt(() => vm?.alloc(pages * 4096)) ?? 0;
    if (p !== 0) held.push(p);
  }
  const gone = held.shift();
  if (gone !== undefined) vm?.free(gone);
  return () => {
    const all = open();
    for (const p of held) all.free(p);
    const { areas: left, bytes } = all.stats();
    if (left !== 0) say(`${left} mapped areas are left, ${bytes} bytes`);
  };
};

const arenas: Part = (uma, attempt, say) => {
  const source = () => uma.arenas.create("denied source", { quantum: 4096, source: uma.arenas.heap });
  const leaf = () => uma.arenas.create("denied leaf", { quantum: 64, source: source(), qcacheMax: 256 });
  const ids = () => uma.arenas.create("denied ids", { span: { start: 1, size: 50 }, identifiers: true });
  const held: { arena: Arena; start: number; size: number }[] = [];
  for (const make of [leaf, ids]) {
    const arena = attempt(make) ?? attempt(make);
    for (const units of [1, 3, 20]) {
      if (arena === undefined) continue;
      const size = arena.quantum * units;
      const start = attempt(() => arena.alloc(size));
      if (start !== undefined) held.push({ arena, start, size });
    }
  }
  const gone = held.pop();
  // Refused, it is as it was.
  if (gone !== undefined && attempt(() => (gone.arena.free(gone.start, gone.size), true)) === undefined) held.push(gone);
  return () => {
    for (const { arena, start, size } of held) arena.free(start, size);
    for (const make of [leaf, source, ids]) {
      const arena = make();
      arena.reap();
      if (arena.size("alloc") !== 0) say(`arena "${arena.name}" keeps ${arena.size("alloc")}`);
      if (arena.source !== null && arena.size("total") !== 0) say(`arena "${arena.name}" keeps ${arena.size("total")} imported`);
      for (const problem of arena.verify()) say(problem);
    }
    for (const make of [leaf, source, ids]) make().destroy();
  };
};

const handfuls: Part = (uma, attempt) => {
  const primary = defineZone("denied primary", { size: 120, bucket: 4, secondaries: true });
  const definitions = [
    primary,
    defineSecondary("denied secondary", primary, { bucket: 3, zoneInit() {}, zoneFini() {} }),
    defineZone("denied reserve", { size: 300, bucket: 3 }),
  ];
  const held = definitions.map((definition) => {
    const zone = attempt(() => uma.open(definition)) ?? attempt(() => uma.open(definition));
    const into = new Array<number>(30).fill(0);
    if (attempt(() => zone?.allocBulk(into)) !== true) into.length = 0;
    attempt(() => zone?.prefill(9));
    attempt(() => zone?.reserve(20));
    const one = attempt(() => zone?.allocReserved()) ?? 0;
    if (one !== 0) into.push(one);
    return into;
  });
  return () => {
    for (const [n, definition] of definitions.entries()) {
      const zone = uma.open(definition);
      zone.freeBulk(held[n] ?? []);
      zone.prefill(0);
      zone.reserve(0);
    }
    for (const definition of definitions.toReversed()) uma.open(definition).reclaim();
  };
};
