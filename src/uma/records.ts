/**
 * Where zone and keg records and the workers' cache lines lie.
 *
 * They are carved from boot pages first, which are set aside when the memory is made and need no arena, and from pages of the
 * heap after that. Records go to free lists when a zone dies and are only ever records again. Everything under the control lock;
 * a page on its way there stands in an intent frame.
 */
import type { Floor } from "../backend/memory/floor.ts";
import {
  INTENT_EXTENT,
  INTENT_PAGE,
  LINES_PER_CHUNK,
  LINE_SP,
  LINE_WORDS,
  NO_BUCKET,
  PAGE_BYTES,
  RECORD_WORDS,
  SB_CONTROL_LOCK,
  SB_KEG_FREE,
  SB_RECORD_END,
  SB_RECORD_NEXT,
  SB_RECORD_PAGES,
  SB_ZONE_FREE,
  SLOT_CHUNKS,
} from "../backend/memory/layout.ts";
import { createBootPages } from "../backend/supplier/boot-pages.ts";
import { HEAP_BUSY, type Heap, NO_PAGES } from "../backend/vmem/heap.ts";
import { BUSY, EMPTY, OK, type Outcome } from "./outcome.ts";

export interface Records {
  readonly lock: number;
  /** Sees to it that a zone and a keg record can be had and that this worker's line of zone `id` exists. Holds no lock. */
  provide(id: number): Outcome;
  /** Whether `provide` still holds, under the control lock. */
  provided(id: number): boolean;
  /** A zone (or keg) record, as part of the open transaction. */
  takeZone(): number;
  takeKeg(): number;
  giveZone(record: number): void;
  giveKeg(record: number): void;
  /** Word index of the line of the worker whose slot is at `slotWord` for zone `id`; 0 = it never had one. */
  lineOf(slotWord: number, id: number): number;
}

export function createRecords(floor: Floor, heap: Heap): Records {
  const { i32 } = floor.cells;
  const { locks, intents, patienceMs, slotWord } = floor;
  const { set, add, commit } = floor.journal;
  const sb = floor.cells.base;
  const lock = sb + SB_CONTROL_LOCK;
  const bootPages = createBootPages(floor);

  function recordsReady(): boolean {
    const lists = (i32[sb + SB_ZONE_FREE] !== 0 ? 1 : 0) + (i32[sb + SB_KEG_FREE] !== 0 ? 1 : 0);
    return lists + Math.floor((i32[sb + SB_RECORD_END] - i32[sb + SB_RECORD_NEXT]) / RECORD_WORDS) >= 2;
  }

  function provided(id: number): boolean {
    return recordsReady() && lineOf(slotWord, id) !== 0;
  }

  function provide(id: number): Outcome {
    while (!provided(id)) {
      const frame = intents.push(INTENT_PAGE);
      let outcome = takePage(frame);
      if (outcome === OK) outcome = spend(frame, id);
      if (i32[frame + INTENT_EXTENT] !== 0 && !heap.free(i32[frame + INTENT_EXTENT], frame + INTENT_EXTENT)) {
        return BUSY;
      }
      intents.pop(frame);
      if (outcome !== OK) return outcome;
    }
    return OK;
  }

  /** A page into the frame, unless a boot page is left. */
  function takePage(frame: number): Outcome {
    if (bootPages.left()) return OK;
    const page = heap.alloc(1, 0, frame + INTENT_EXTENT);
    return page === HEAP_BUSY ? BUSY : page === NO_PAGES ? EMPTY : OK;
  }

  function spend(frame: number, id: number): Outcome {
    if (!locks.acquire(lock, patienceMs)) return BUSY;
    try {
      if (provided(id)) return OK;
      let page = i32[frame + INTENT_EXTENT];
      if (page !== 0) {
        set(frame + INTENT_EXTENT, 0);
        add(sb + SB_RECORD_PAGES, 1);
      } else {
        page = bootPages.take();
        if (page === 0) return OK;
      }
      if (lineOf(slotWord, id) === 0) addLines(page >>> 2, id);
      else addRecords(page >>> 2);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  /** A page is a chunk of 64 lines; nobody looks at them before the slot's word names them. */
  function addLines(page: number, id: number): void {
    i32.fill(0, page, page + LINES_PER_CHUNK * LINE_WORDS);
    for (let n = 0; n < LINES_PER_CHUNK; n++) i32[page + n * LINE_WORDS + LINE_SP] = NO_BUCKET;
    set(slotWord + SLOT_CHUNKS + Math.floor(id / LINES_PER_CHUNK), page);
  }

  function addRecords(page: number): void {
    // At most one record is left of the old page: it goes to the zones' list.
    if (i32[sb + SB_RECORD_NEXT] + RECORD_WORDS <= i32[sb + SB_RECORD_END]) giveZone(i32[sb + SB_RECORD_NEXT]);
    // Whatever lay there: a keg's lock begins as nobody's, and is never touched again but by who takes it.
    i32.fill(0, page, page + (PAGE_BYTES >>> 2));
    set(sb + SB_RECORD_NEXT, page);
    set(sb + SB_RECORD_END, page + (PAGE_BYTES >>> 2));
  }

  function take(list: number): number {
    const record = i32[list];
    if (record !== 0) {
      set(list, i32[record]);
      return record;
    }
    const next = i32[sb + SB_RECORD_NEXT];
    set(sb + SB_RECORD_NEXT, next + RECORD_WORDS);
    return next;
  }

  function give(list: number, record: number): void {
    set(record, i32[list]);
    set(list, record);
  }

  function giveZone(record: number): void {
    give(sb + SB_ZONE_FREE, record);
  }

  function lineOf(ofSlot: number, id: number): number {
    const chunk = i32[ofSlot + SLOT_CHUNKS + Math.floor(id / LINES_PER_CHUNK)];
    // From the end of the page on: the first slab's marks lie at the beginning of theirs, and processors take a store for the one a
    // load waits for when their addresses agree in the low 12 bits.
    return chunk === 0 ? 0 : chunk + (LINES_PER_CHUNK - 1 - (id % LINES_PER_CHUNK)) * LINE_WORDS;
  }

  return {
    lock,
    provide,
    provided,
    takeZone: () => take(sb + SB_ZONE_FREE),
    takeKeg: () => take(sb + SB_KEG_FREE),
    giveZone,
    giveKeg: (record) => give(sb + SB_KEG_FREE, record),
    lineOf,
  };
}
