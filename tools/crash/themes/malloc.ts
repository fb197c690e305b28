/** malloc: small and large, aligned, cleared, given another size, trimmed; freed by others. */
import type * as Library from "../../../src/index.ts";
import { classZones } from "../../../src/uma/malloc/classes.ts";
import { orphanBlocks } from "../blocks.ts";
import { type Actor, type Say, type Theme, allowing } from "../theme.ts";

const CLASSES = classZones("keep");
const PLACES = 30;
const PAGE = 4096;
const MAIL = 12;
/** In the ledger's own words: what may be coming; then addresses, −address while it is being freed or moved; then the mail. */
const OPEN = 0;
const FIRST = 1;
const MAIL_FIRST = FIRST + PLACES;

export const mallocTheme: Theme = {
  name: "malloc",
  steps: 120,

  definitions() {
    return [];
  },

  step(a) {
    const { extra } = a.ledger;
    const at = FIRST + a.random(PLACES);
    const action = a.random(100);
    if (action < 2) countType(a);
    else if (action < 5) mallocOf(a).trim();
    else if (action < 12) free(a, MAIL_FIRST + a.random(MAIL));
    else if (action < 15) wave(a);
    else if (action < 17) {
      if (a.alone) fill(a);
      if (a.alone && a.random(2) === 0) waits(a);
    } else if (extra[at] === 0) take(a, at);
    else if (action < 55) resize(a, at);
    else free(a, at);
  },

  end(a) {
    for (let n = 0; n < PLACES; n++) free(a, FIRST + n);
  },

  prepare(parent) {
    const malloc = mallocOf(parent);
    // Now, while there is memory for their records: the victim may have filled it when its classes are looked at.
    malloc.openClasses();
    for (let n = 0; n < MAIL; n++) parent.ledger.extra[MAIL_FIRST + n] = malloc.malloc(n % 3 === 2 ? 20_000 : 40 << (n % 5));
  },

  account(parent, say) {
    judge(parent, say);
  },

  settle(parent, say) {
    const malloc = mallocOf(parent);
    for (let n = 0; n < MAIL; n++) {
      const p = Math.abs(parent.ledger.extra[MAIL_FIRST + n] ?? 0);
      if (p !== 0 && isAllocated(malloc, p)) malloc.free(p);
    }
    for (const zone of zonesOf(parent)) for (const item of Array.from(zone.ownedBy(127))) zone.free(item);
    malloc.trim();
    for (const zone of zonesOf(parent)) zone.reclaim();
    judgeTypes(parent, say);
  },

  keeps: (zone) => zone === "malloc types",
};

function mallocOf(a: Actor): Library.Malloc {
  let malloc = a.memo.get("malloc") as Library.Malloc | undefined;
  if (malloc === undefined) a.memo.set("malloc", (malloc = a.tree.createMalloc(a.uma)));
  return malloc;
}

/** What a type has in use is counted; its record is made by whoever comes first, and stays. */
function countType(a: Actor): void {
  let types = a.memo.get("types") as Library.MallocTypes | undefined;
  if (types === undefined) {
    // Memory may be full, with nothing left for the records.
    types = allowing(["ERR_UMA_EMPTY"], () => a.tree.openTypes(a.uma));
    if (types === undefined) return;
    a.memo.set("types", types);
  }
  const all = types;
  const counters = allowing(["ERR_UMA_EMPTY"], () => all.counters(a.tree.defineMallocType(`crash ${a.random(3)}`, "of the crash runs")));
  if (counters === undefined) return;
  counters.allocated(64, 50);
  counters.freed(64);
  counters.failed();
}

/** Mostly small; now and then pages. */
function sizeOf(a: Actor): number {
  const kind = a.random(10);
  if (kind < 5) return a.random(200);
  if (kind < 7) return a.random(3000);
  return 8000 + a.random(40_000);
}

function take(a: Actor, at: number): void {
  const malloc = mallocOf(a);
  const { extra } = a.ledger;
  const kind = a.random(6);
  extra[OPEN] = 1;
  // More than there is: with what the mail holds, no memory has so much in one piece.
  if (a.random(40) === 0 && malloc.malloc(wholeHeap(a)) !== 0) throw new Error("more was allocated than there is");
  if (kind === 0) extra[at] = malloc.calloc(1 + a.random(5), a.random(2000));
  else if (kind === 1) extra[at] = malloc.alignedAlloc(16 << a.random(9), sizeOf(a));
  else extra[at] = malloc.malloc(sizeOf(a));
  extra[OPEN] = 0;
}

function wholeHeap({ uma }: Actor): number {
  const { heapStart, heapEnd } = uma.core.floor.geometry;
  return heapEnd - heapStart;
}

/** Takes all that there is, in ever smaller blocks: whatever comes next meets a full memory. */
function fill(a: Actor): void {
  const { extra } = a.ledger;
  let size = wholeHeap(a);
  for (let at = FIRST; at < FIRST + PLACES && size >= PAGE; ) {
    if (extra[at] !== 0) {
      at++;
      continue;
    }
    extra[OPEN] = 1;
    const p = mallocOf(a).malloc(size);
    extra[at] = p;
    extra[OPEN] = 0;
    if (p === 0) size = Math.floor(size / (2 * PAGE)) * PAGE;
  }
}

/** Waits for a block that does not come. */
function waits(a: Actor): void {
  const { extra } = a.ledger;
  extra[OPEN] = 1;
  allowing(["ERR_UMA_TIMEOUT", "ERR_UMA_EMPTY"], () => mallocOf(a).free(mallocOf(a).allocWait(PAGE * 30, { timeout: 2 })));
  extra[OPEN] = 0;
}

/** While it moves there may be two of it, or the old one alone. */
function resize(a: Actor, at: number): void {
  const { extra } = a.ledger;
  const p = extra[at] ?? 0;
  if (p <= 0) return;
  extra[OPEN] = 1;
  extra[at] = -p;
  extra[at] = mallocOf(a).realloc(p, sizeOf(a)) || p;
  extra[OPEN] = 0;
}

function free(a: Actor, at: number): void {
  const { extra } = a.ledger;
  const p = extra[at] ?? 0;
  if (p <= 0) return;
  extra[at] = -p;
  // Of somebody else's, its class may not be open here yet, and memory be too full for the records of that.
  const freed = allowing(["ERR_UMA_EMPTY"], () => {
    mallocOf(a).free(p);
    return true;
  });
  // A block whose lock was out of reach is there until the next call, and kept if its owner dies before that.
  if (freed === true && mallocOf(a).blockPages(p) > 0) return;
  extra[at] = freed === true ? 0 : p;
}

/** So many of one size that the class's slabs and its share of the caches grow, and all of it back. */
function wave(a: Actor): void {
  for (let n = 0; n < PLACES; n++) if (a.ledger.extra[FIRST + n] === 0) take(a, FIRST + n);
  for (let n = 0; n < PLACES; n++) free(a, FIRST + n);
}

/** Whoever opens the types frees the records that dead workers had made and not linked. */
function judgeTypes(parent: Actor, say: Say): void {
  if (!parent.alone || !parent.uma.stats().zones.some((zone) => zone.name === "malloc types")) return;
  const listed = parent.tree.openTypes(parent.uma).stats().length;
  const made = parent.uma.stats().zones.find((zone) => zone.name === "malloc types")?.used ?? 0;
  if (made !== listed) say(`lost: ${made} records of types, of which ${listed} are in the list`);
}

/** The classes that anybody has used. */
function zonesOf({ uma }: Actor): Library.Zone[] {
  const names = new Set(uma.stats().zones.map((zone) => zone.name));
  return CLASSES.filter((definition) => names.has(definition.name)).map((definition) => uma.open(definition));
}

function isAllocated(malloc: Library.Malloc, p: number): boolean {
  try {
    return malloc.usableSize(p) > 0;
  } catch {
    return false;
  }
}

function judge(parent: Actor, say: Say): void {
  const { extra } = parent.ledger;
  const orphans = new Set<number>(orphanBlocks(parent.uma.core).map((block) => block.start));
  for (const zone of zonesOf(parent)) for (const item of zone.ownedBy(127)) orphans.add(item);
  const words = Array.from(extra.subarray(FIRST, FIRST + PLACES));
  for (const p of words) if (p > 0 && !orphans.has(p)) say(`lost: the allocation ${p} was the victim's and is nobody's`);
  const known = new Set([...words, ...extra.subarray(MAIL_FIRST, MAIL_FIRST + MAIL)].map((p) => Math.abs(p)));
  const strange = [...orphans].filter((p) => !known.has(p));
  if (strange.length > (extra[OPEN] ?? 0)) say(`lost: ${strange.length} allocations that the ledger does not know`);
  const malloc = mallocOf(parent);
  for (const p of extra.subarray(MAIL_FIRST, MAIL_FIRST + MAIL)) {
    if (p > 0 && !isAllocated(malloc, p)) say(`lost: the allocation ${p} was in the mail and is free`);
  }
}
