/** The invariants of large blocks: the page table's spare words, the arena's boundary tags and the counters say the same. */
import type { Floor } from "../../backend/memory/floor.ts";
import {
  ARENA_FIRST,
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
  const { i32, base: sb } = floor.cells;
  const { pageTable } = floor.geometry;
  const spareOf = (page: number): number => i32[(page << 2) + pageTable + PTE_SPARE];
  let blocks = 0;
  let pages = 0;
  for (let tag = i32[heap.arena + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
    const kind = i32[tag + TAG_KIND];
    if (kind !== TAG_SEGMENT_BUSY && kind !== TAG_SEGMENT_FREE) continue;
    const start = i32[tag + TAG_START];
    const size = i32[tag + TAG_SIZE];
    const noted = spareOf(start);
    if (noted !== 0) {
      if (kind !== TAG_SEGMENT_BUSY || i32[tag + TAG_OWNER] === 0)
        say(`the page table shows a block at ${start << PAGE_SHIFT}; it is nobody's`);
      else if (noted !== size) say(`the block at ${start << PAGE_SHIFT} has ${size} pages, the page table shows ${noted}`);
      blocks++;
      pages += size;
    }
    for (let page = start + 1; page < start + size; page++) {
      if (spareOf(page) !== 0)
        say(`the page table shows a block at ${page * 2 ** PAGE_SHIFT}, inside the segment at ${start * 2 ** PAGE_SHIFT}`);
    }
  }
  if (blocks !== i32[sb + SB_BLOCKS]) say(`large blocks: counted ${blocks}, kept ${i32[sb + SB_BLOCKS]}`);
  if (pages !== i32[sb + SB_BLOCK_PAGES]) say(`pages of large blocks: counted ${pages}, kept ${i32[sb + SB_BLOCK_PAGES]}`);
}
