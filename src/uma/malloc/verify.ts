/** The invariants of large blocks: the page table's spare words, the arena's boundary tags and the counters say the same. */
import type { Floor } from "../../backend/memory/floor.ts";
import {
  ARENA_FIRST,
  PAGE_BYTES,
  PAGE_SHIFT,
  PTE_SPARE,
  SB_BLOCKS,
  SB_BLOCK_PAGES,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_FREE,
  TAG_SIZE,
  TAG_START,
} from "../../backend/memory/layout.ts";
import type { Heap } from "../../backend/vmem/heap.ts";

/** Recounts the large blocks; problems go to `say`. The caller sees to it that nobody is at work. */
export function verifyBlocks(floor: Floor, heap: Heap, say: (problem: string) => void): void {
  const { i32, f64, base: sb } = floor.cells;
  const { pageTable } = floor.geometry;
  const pagesAt = (p: number): number => i32[((p >>> PAGE_SHIFT) << 2) + pageTable + PTE_SPARE];
  let blocks = 0;
  let pages = 0;
  for (let tag = i32[heap.arena + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
    const kind = i32[tag + TAG_KIND];
    if (kind !== TAG_SEGMENT_BUSY && kind !== TAG_SEGMENT_FREE) continue;
    const start = f64[(tag + TAG_START) >> 1];
    const size = f64[(tag + TAG_SIZE) >> 1];
    const noted = pagesAt(start);
    if (noted !== 0) {
      if (kind !== TAG_SEGMENT_BUSY || i32[tag + TAG_OWNER] === 0) say(`the page table shows a block at ${start}, which is nobody's`);
      if (noted * PAGE_BYTES !== size) say(`the block at ${start} has ${size} bytes, the page table shows ${noted} pages`);
      blocks++;
      pages += size / PAGE_BYTES;
    }
    for (let p = start + PAGE_BYTES; p < start + size; p += PAGE_BYTES) {
      if (pagesAt(p) !== 0) say(`the page table shows a block at ${p}, inside the segment at ${start}`);
    }
  }
  if (blocks !== i32[sb + SB_BLOCKS]) say(`large blocks: counted ${blocks}, kept ${i32[sb + SB_BLOCKS]}`);
  if (pages !== i32[sb + SB_BLOCK_PAGES]) say(`pages of large blocks: counted ${pages}, kept ${i32[sb + SB_BLOCK_PAGES]}`);
}
