/** Blocks of pages that dead workers had taken straight from the heap: found by their tags' owner, and given back. */
import {
  ARENA_FIRST,
  MARK_ORPHAN,
  PAGE_SHIFT,
  PTE_SPARE,
  TAG_KIND,
  TAG_NEXT,
  TAG_OWNER,
  TAG_SEGMENT_BUSY,
  TAG_START,
} from "../../src/backend/memory/layout.ts";
import type * as Library from "../../src/index.ts";
import type { Actor } from "./theme.ts";

/** Start and kind of each block that is nobody's. */
export function orphanBlocks(core: Library.Uma["core"]): { start: number; malloc: boolean }[] {
  const { heap, floor } = core;
  const { i32, f64 } = floor.cells;
  const { pageTable } = floor.geometry;
  const found: { start: number; malloc: boolean }[] = [];
  for (let tag = i32[heap.arena + ARENA_FIRST]; tag !== 0; tag = i32[tag + TAG_NEXT]) {
    if (i32[tag + TAG_KIND] !== TAG_SEGMENT_BUSY || i32[tag + TAG_OWNER] !== MARK_ORPHAN) continue;
    const start = f64[(tag + TAG_START) >> 1];
    found.push({ start, malloc: i32[((start >>> PAGE_SHIFT) << 2) + pageTable + PTE_SPARE] !== 0 });
  }
  return found;
}

/** Gives them all back: malloc's by malloc, which counts its blocks. */
export function emptyBlocks(core: Library.Uma["core"], { tree, uma }: Pick<Actor, "tree" | "uma">): void {
  const blocks = orphanBlocks(core);
  if (blocks.length === 0) return;
  const malloc = blocks.some((block) => block.malloc) ? tree.createMalloc(uma) : null;
  for (const block of blocks) {
    if (block.malloc) malloc?.free(block.start);
    else core.heap.free(block.start, 0);
  }
}
