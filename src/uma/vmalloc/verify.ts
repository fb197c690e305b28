/** The invariants of mapped areas: page table, arena of the addresses and heap say the same. */
import type { Floor } from "../../backend/memory/floor.ts";
import {
  ARENA_FIRST,
  MAP_AREA,
  MAP_COUNT_SHIFT,
  MAP_ENTRY_WORDS,
  MAP_FOLLOWS,
  MAP_FOREIGN,
  MAP_IO,
  MAP_LIVE,
  MAP_NOTE,
  MAP_TABLE_ENTRIES,
  MAP_TABLE_SPAN,
  MAP_WHAT,
  MARK_ORPHAN,
  PAGE_BYTES,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_XBUSY,
  TAG_SIZE,
  TAG_START,
  VMAP_ARENA,
  VMAP_START,
  VMAP_TABLES,
} from "../../backend/memory/layout.ts";
import type { Heap } from "../../backend/vmem/heap.ts";
import type { Areas } from "./areas.ts";

/**
 * Recounts the mapped areas; problems go to `say`. The caller sees to it that nobody is at work.
 * @returns pages of the heap that are mapped.
 */
export function verifyAreas(floor: Floor, heap: Heap, areas: Areas, say: (problem: string) => void): number {
  const { i32, f64 } = floor.cells;
  const { slots } = floor;
  const { table } = areas;
  const record = table.record();
  if (record === 0) return 0;

  /** Sizes of the segments of an arena, by start. */
  function segmentsOf(a: number, kind: number): Map<number, number> {
    const found = new Map<number, number>();
    for (let tag = i32[a + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
      if (i32[tag + TAG_KIND] === kind && i32[tag + TAG_OWNER] === 0) found.set(f64[(tag + TAG_START) >> 1], f64[(tag + TAG_SIZE) >> 1]);
    }
    return found;
  }

  const blocks = segmentsOf(heap.arena, TAG_SEGMENT_BUSY);
  const ranges = segmentsOf(i32[record + VMAP_ARENA], TAG_SEGMENT_XBUSY);
  const mapped = new Map<number, number>();
  /** First address behind the area that the walk is in. */
  let areaEnd = 0;
  let inIo = false;
  let isLive = false;
  /** What the run that the walk is in must go on with, and for how many pages yet. */
  let follows = 0;
  let missing = 0;
  let pages = 0;

  function lookAt(p: number, entry: number): void {
    const what = i32[entry + MAP_WHAT];
    if (p >= areaEnd) endRun(p);
    if (p < areaEnd) lookInside(p, what, i32[entry + MAP_NOTE] === MAP_FOLLOWS);
    else if ((what & MAP_AREA) !== 0) enterArea(p, what, i32[entry + MAP_NOTE]);
    else if (what !== 0 || i32[entry + MAP_NOTE] !== 0) say(`mapped addresses: the page at ${p} has an entry and lies in no area`);
  }

  function enterArea(guard: number, what: number, owner: number): void {
    const bytes = (what >>> MAP_COUNT_SHIFT) * PAGE_BYTES;
    const p = guard + PAGE_BYTES;
    areaEnd = p + bytes;
    inIo = (what & MAP_IO) !== 0;
    isLive = (what & MAP_LIVE) !== 0;
    if (ranges.get(guard) !== bytes + PAGE_BYTES) say(`mapped addresses: the area at ${p} is not taken as ${bytes} bytes and a guard page`);
    ranges.delete(guard);
    if (owner !== MARK_ORPHAN && !slots.isLive(owner)) say(`mapped addresses: the area at ${p} is of ${owner}, who is gone`);
    if (!isLive && owner === MARK_ORPHAN) say(`mapped addresses: the area at ${p} is half built or half taken apart, and nobody's`);
  }

  /** Only of an area that is half taken apart may the end of a run be gone before its beginning. */
  function endRun(p: number): void {
    if (isLive && missing > 0) say(`mapped addresses: of the run of pages in front of ${p}, ${missing} are not mapped`);
    missing = 0;
  }

  function lookInside(p: number, what: number, inRun: boolean): void {
    if (inIo) {
      if (what !== 0 && (what & MAP_FOREIGN) === 0)
        say(`mapped addresses: a page of the heap is mapped at ${p}, over a buffer from elsewhere`);
      return;
    }
    if (what === 0) {
      if (isLive) say(`mapped addresses: no page is mapped at ${p}`);
      return;
    }
    if (what % PAGE_BYTES !== 0) return say(`mapped addresses: the entry at ${p} is ${what}`);
    if (mapped.has(what)) say(`mapped addresses: the page ${what} is mapped at ${String(mapped.get(what))} and at ${p}`);
    mapped.set(what, p);
    if (inRun) {
      if (what !== follows || missing === 0) say(`mapped addresses: ${what}, mapped at ${p}, does not follow in a run of pages`);
      follows += PAGE_BYTES;
      missing--;
      return;
    }
    endRun(p);
    const run = (blocks.get(what) ?? 0) / PAGE_BYTES;
    if (run === 0) return say(`mapped addresses: ${what}, mapped at ${p}, is no page taken from the heap`);
    pages += run;
    missing = run - 1;
    follows = what + PAGE_BYTES;
  }

  for (let n = 0; n < VMAP_TABLES; n++) {
    const start = VMAP_START + n * MAP_TABLE_SPAN;
    if (!table.hasTable(n)) {
      if (areaEnd > start && !inIo && isLive) say(`mapped addresses: the table for ${start} is missing, inside an area`);
      continue;
    }
    const first = table.entryOf(start);
    for (let k = 0; k < MAP_TABLE_ENTRIES; k++) lookAt(start + k * PAGE_BYTES, first + k * MAP_ENTRY_WORDS);
  }
  endRun(areaEnd);
  for (const guard of ranges.keys()) say(`mapped addresses: those at ${guard} are taken, and there is no area`);
  return pages;
}
