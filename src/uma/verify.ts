/**
 * verify(): every invariant, recounted from the memory itself.
 *
 * This is the quiescent form: it assumes that nobody is at work, and sees everything. It reads only.
 */
import {
  ARENA_FIRST,
  ARENA_IN_USE,
  ARENA_OWN,
  KEG_HOOKS,
  KEG_PAGES,
  PAGE_BYTES,
  SB_CONTROL_LOCK,
  SB_HEAP_ARENA,
  SB_POOL_LOCK,
  SB_POOL_PAGES,
  SB_RECORD_PAGES,
  SLOT_INTENT_DEPTH,
  SLOT_JOURNAL_COUNT,
  SLOT_OPEN,
  SLOT_OPEN_WORDS,
  SLOT_PENDING_LOCK,
  STATE_FREE,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SIZE,
  ZONE_KEG,
  ZONE_PRIMARY,
} from "../backend/memory/layout.ts";
import { verifyArena } from "../backend/vmem/verify.ts";
import type { Core } from "./core.ts";
import { HOOK_PAGES } from "./hooks.ts";
import { verifyBlocks } from "./malloc/verify.ts";
import type { Records } from "./records.ts";
import type { Registry } from "./registry.ts";
import { verifyPools } from "./verify-pools.ts";
import { verifyAreas } from "./vmalloc/verify.ts";
import { createVerifyZone, type Uses } from "./verify-zone.ts";

export interface Verdict {
  readonly ok: boolean;
  /** What is wrong, in words; at most 100 lines. */
  readonly problems: string[];
  /** What was looked at. */
  readonly zones: number;
  readonly slabs: number;
  readonly items: number;
  readonly outstanding: number;
  readonly orphans: number;
}

const MOST_PROBLEMS = 100;

export function createVerify(core: Core, records: Records, registry: Registry): () => Verdict {
  const { floor, heap, arenas } = core;
  const { i32, f64 } = floor.cells;
  const { slots } = floor;
  const sb = floor.cells.base;
  const verifyZone = createVerifyZone(core, records, registry);

  function verify(): Verdict {
    const problems: string[] = [];
    const say = (problem: string): void => {
      if (problems.length < MOST_PROBLEMS) problems.push(problem);
    };
    const totals = { zones: 0, slabs: 0, items: 0, outstanding: 0, orphans: 0 };
    const uses: Uses = { buckets: new Set(), headers: new Map(), pages: new Set() };
    verifySlots(say);
    const found = problems.length;
    verifyArena(floor, heap.segments, heap.arena, "heap", say);
    // The walks over its segments that follow take them for what they say they are.
    const canWalk = problems.length === found;
    if (canWalk) verifyBlocks(floor, heap, say);
    for (const [name, lock] of [
      ["control", sb + SB_CONTROL_LOCK],
      ["pool", sb + SB_POOL_LOCK],
      ["heap", sb + SB_HEAP_ARENA],
    ] as const) {
      if (i32[lock] !== 0) say(`the ${name} lock is held by ${i32[lock]}`);
    }
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone !== 0) verifyZone(zone, id, totals, uses, say);
    }
    verifyPools(floor, uses, say);
    const inArenas = arenas.verify(say);
    if (canWalk) verifyPages(say, inArenas + verifyAreas(floor, heap, core.areas, say));
    return { ok: problems.length === 0, problems, ...totals };
  }

  /** Every page of the heap that is taken serves something that is known. */
  function verifyPages(say: (problem: string) => void, elsewhere: number): void {
    let known = elsewhere + i32[sb + SB_POOL_PAGES] + i32[sb + SB_RECORD_PAGES] + i32[heap.arena + ARENA_OWN];
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone === 0) continue;
      const keg = i32[zone + ZONE_KEG];
      if (i32[zone + ZONE_PRIMARY] !== 0) continue;
      // Whoever supplies pages of his own may have them from the heap, too: then nothing can be said.
      if ((i32[keg + KEG_HOOKS] & HOOK_PAGES) !== 0) return;
      known += i32[keg + KEG_PAGES];
    }
    for (let tag = i32[heap.arena + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
      if (i32[tag + TAG_KIND] === TAG_SEGMENT_BUSY && i32[tag + TAG_OWNER] !== 0) known += f64[(tag + TAG_SIZE) >> 1] / PAGE_BYTES;
    }
    const inUse = f64[(heap.arena + ARENA_IN_USE) >> 1] / PAGE_BYTES;
    if (known !== inUse) say(`pages: ${inUse} are taken, ${known} serve something (${inUse - known} lost)`);
  }

  function verifySlots(say: (problem: string) => void): void {
    for (let slot = 1; slot <= slots.count; slot++) {
      const at = slots.wordOf(slot);
      if (i32[at + SLOT_JOURNAL_COUNT] !== 0) say(`slot ${slot}: its journal has ${i32[at + SLOT_JOURNAL_COUNT]} entries`);
      if (i32[at + SLOT_PENDING_LOCK] !== 0) say(`slot ${slot}: the lock ${i32[at + SLOT_PENDING_LOCK]} is pending`);
      if (i32[at + SLOT_INTENT_DEPTH] !== 0) say(`slot ${slot}: ${i32[at + SLOT_INTENT_DEPTH]} intent frames are open`);
      if (slots.state(slot) !== STATE_FREE) continue;
      for (let word = at + SLOT_OPEN; word < at + SLOT_OPEN + SLOT_OPEN_WORDS; word++) {
        if (i32[word] !== 0) say(`slot ${slot} is free and has zones open`);
      }
    }
  }

  return verify;
}
