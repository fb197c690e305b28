/**
 * What all zones share, against what they were found to use of it: each bucket and each slab header is in the pool or in exactly one
 * place elsewhere, and the page table names no page but those in which items begin.
 */
import {
  BUCKET_MASK,
  BUCKET_NEXT,
  BUCKET_WORDS,
  HC_FREE,
  HC_TOTAL,
  HEADER_CLASSES,
  HEADER_CLASS_STEP_BYTES,
  HEADER_CLASS_WORDS,
  PAGE_SHIFT,
  PTE_TAG,
  SB_BUCKET_FREE,
  SB_BUCKET_TOTAL,
  SB_HEADER_CLASSES,
  SLAB_NEXT,
} from "../backend/memory/layout.ts";
import type { Floor } from "../backend/memory/floor.ts";
import type { Uses } from "./verify-zone.ts";

export function verifyPools(floor: Floor, uses: Uses, say: (problem: string) => void): void {
  verifyBuckets(floor, uses, say);
  verifyHeaders(floor, uses, say);
  verifyPageTable(floor, uses, say);
}

function verifyBuckets(floor: Floor, uses: Uses, say: (problem: string) => void): void {
  const { i32, base: sb } = floor.cells;
  const free = new Set<number>();
  for (let bucket = i32[sb + SB_BUCKET_FREE]; bucket !== 0; bucket = i32[bucket + BUCKET_NEXT]) {
    if (!(bucket > 0 && bucket + BUCKET_WORDS <= i32.length) || (bucket & BUCKET_MASK) !== 0 || free.has(bucket)) {
      say("the pool's list of buckets is a circle, or leads astray");
      break;
    }
    if (uses.buckets.has(bucket)) say(`the bucket ${bucket} is in the pool and in use`);
    free.add(bucket);
  }
  const total = i32[sb + SB_BUCKET_TOTAL];
  if (free.size + uses.buckets.size !== total) {
    say(`buckets: ${free.size} in the pool and ${uses.buckets.size} in use, of ${total}`);
  }
}

function verifyHeaders(floor: Floor, uses: Uses, say: (problem: string) => void): void {
  const { i32, base: sb } = floor.cells;
  const used = new Map<number, number>();
  for (const bytes of Array.from(uses.headers.values())) {
    const size = Math.ceil(bytes / HEADER_CLASS_STEP_BYTES) - 1;
    used.set(size, (used.get(size) ?? 0) + 1);
  }
  for (let size = 0; size < HEADER_CLASSES; size++) {
    const at = sb + SB_HEADER_CLASSES + size * HEADER_CLASS_WORDS;
    const free = new Set<number>();
    for (let header = i32[at + HC_FREE]; header !== 0; header = i32[header + SLAB_NEXT]) {
      if (!(header > 0 && header < i32.length) || free.has(header)) {
        say(`the pool's list of headers of class ${size} is a circle, or leads astray`);
        break;
      }
      if (uses.headers.has(header)) say(`the slab header ${header} is in the pool and in use`);
      free.add(header);
    }
    const inUse = used.get(size) ?? 0;
    if (free.size + inUse !== i32[at + HC_TOTAL]) {
      say(`slab headers of class ${size}: ${free.size} in the pool and ${inUse} in use, of ${i32[at + HC_TOTAL]}`);
    }
  }
}

function verifyPageTable(floor: Floor, uses: Uses, say: (problem: string) => void): void {
  const { i32 } = floor.cells;
  const { pageTable, heapStart, heapEnd } = floor.geometry;
  for (let page = heapStart >>> PAGE_SHIFT; page < heapEnd / 2 ** PAGE_SHIFT; page++) {
    if (i32[pageTable + (page << 2) + PTE_TAG] !== 0 && !uses.pages.has(page)) {
      say(`the page table shows items at ${page * 2 ** PAGE_SHIFT}, where no zone has any`);
    }
  }
}
