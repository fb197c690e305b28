/**
 * The software page table of the mapped addresses: which page of the heap stands behind a page of addresses.
 *
 * Two levels. The directory is a page of its own, found through the superblock, with a word for each table; a table is a page of
 * 512 entries and serves 2 MiB of addresses. Everything lies in the shared memory, so any worker finds its way by three loads and
 * without a lock. Directory and tables, once there, stay for good: a reader that comes too late finds an empty entry.
 *
 * Mapped addresses begin at 2³¹, behind every byte address that a memory can have, and end below 2³²: the two kinds cannot be
 * mistaken for each other, and both fit an unsigned word.
 */
import type { Floor } from "../../backend/memory/floor.ts";
import {
  ARENA_LOCK,
  ARENA_OWN,
  INTENT_EXTENT,
  INTENT_PAGE,
  MAP_ENTRY_WORDS,
  MAP_TABLE_ENTRIES,
  MAP_TABLE_SHIFT,
  MAP_TABLE_SPAN,
  PAGE_BYTES,
  PAGE_SHIFT,
  SB_CONTROL_LOCK,
  SB_RECORD_PAGES,
  SB_VMAP,
  VMAP_ARENA,
  VMAP_DIRECTORY,
  VMAP_START,
  VMAP_TABLES,
} from "../../backend/memory/layout.ts";
import { HEAP_BUSY, type Heap } from "../../backend/vmem/heap.ts";
import { BUSY, EMPTY, OK, type Outcome } from "../outcome.ts";

const START_PAGE = VMAP_START / PAGE_BYTES;
/** Most addresses that the directory serves, bytes. */
export const MAP_MOST_BYTES: number = VMAP_TABLES * MAP_TABLE_SPAN;

export interface PageTable {
  /** Word index of the record; 0 = nothing has ever been mapped in this memory. */
  record(): number;
  /** Makes the record for the arena at word `a`, unless there is one. */
  make(a: number): Outcome;
  /** Word index of the entry for the address `p` (below 2³²); 0 = its table is not there yet. */
  entryOf(p: number): number;
  /** Sees to it that there is a table for the address `p`. */
  provide(p: number, patience: number): Outcome;
  /** Tables there are, and the address at which the last one there can be ends. */
  tables(): number;
  /** Whether table number `table` is there: walks skip those that are not. */
  hasTable(table: number): boolean;
}

export function createPageTable(floor: Floor, heap: Heap): PageTable {
  const { i32, base: sb } = floor.cells;
  const { locks, intents, patienceMs } = floor;
  const { set, add, commit } = floor.journal;

  function record(): number {
    return Atomics.load(i32, sb + SB_VMAP);
  }

  function make(a: number): Outcome {
    if (record() !== 0) return OK;
    const frame = intents.push(INTENT_PAGE);
    const page = takeZeroed(frame, patienceMs);
    if (page <= 0) return leaveWith(frame, page);
    if (!locks.acquire(sb + SB_CONTROL_LOCK, patienceMs)) return giveBack(page, frame, patienceMs, BUSY);
    try {
      if (i32[sb + SB_VMAP] === 0) {
        i32[(page >>> 2) + VMAP_ARENA] = a;
        set(sb + SB_VMAP, page >>> 2);
        add(sb + SB_RECORD_PAGES, 1);
        set(frame + INTENT_EXTENT, 0);
        commit();
      }
    } finally {
      locks.release();
    }
    return giveBack(page, frame, patienceMs, OK);
  }

  /** A page for the record or a table, in the frame. @returns its byte address, NO_PAGES or HEAP_BUSY. */
  function takeZeroed(frame: number, patience: number): number {
    const page = heap.alloc(1, 0, frame + INTENT_EXTENT, patience);
    if (page > 0) i32.fill(0, page >>> 2, (page + PAGE_BYTES) >>> 2);
    return page;
  }

  function leaveWith(frame: number, answer: number): Outcome {
    intents.pop(frame);
    return answer === HEAP_BUSY ? BUSY : EMPTY;
  }

  /** Closes the frame; a page that is still in it was not needed. Out of reach of the lock, the frame stays until the next slow path. */
  function giveBack(page: number, frame: number, patience: number, outcome: Outcome): Outcome {
    if (i32[frame + INTENT_EXTENT] === 0 || heap.free(page, frame + INTENT_EXTENT, patience)) intents.pop(frame);
    return outcome;
  }

  function directoryWord(p: number): number {
    return record() + VMAP_DIRECTORY + (((p >>> PAGE_SHIFT) - START_PAGE) >>> MAP_TABLE_SHIFT);
  }

  function entryOf(p: number): number {
    const table = i32[directoryWord(p)];
    return table === 0 ? 0 : (table >>> 2) + ((p >>> PAGE_SHIFT) & (MAP_TABLE_ENTRIES - 1)) * MAP_ENTRY_WORDS;
  }

  function provide(p: number, patience: number): Outcome {
    const word = directoryWord(p);
    if (i32[word] !== 0) return OK;
    const a = i32[record() + VMAP_ARENA];
    const frame = intents.push(INTENT_PAGE);
    const page = takeZeroed(frame, patience);
    if (page <= 0) return leaveWith(frame, page);
    if (!locks.acquire(a + ARENA_LOCK, patience)) return giveBack(page, frame, patience, BUSY);
    try {
      // Somebody else may have been faster.
      if (i32[word] === 0) {
        set(word, page);
        add(a + ARENA_OWN, 1);
        set(frame + INTENT_EXTENT, 0);
        commit();
      }
    } finally {
      locks.release();
    }
    return giveBack(page, frame, patience, OK);
  }

  function hasTable(table: number): boolean {
    return i32[record() + VMAP_DIRECTORY + table] !== 0;
  }

  function tables(): number {
    let count = 0;
    for (let table = 0; table < VMAP_TABLES; table++) if (hasTable(table)) count++;
    return count;
  }

  return { record, make, entryOf, provide, tables, hasTable };
}
