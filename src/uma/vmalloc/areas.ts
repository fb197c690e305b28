/**
 * Areas: ranges of mapped addresses, from the moment somebody asks for one until it is gone, whoever dies on the way.
 *
 * The addresses come from an arena of their own, in pages; in front of each area lies a guard page, which nothing is ever mapped at.
 * Its entry in the page table describes the area: how many pages it has, whose it is, and whether it can be used. So an area is
 * found from its address alone, without a lock, and walks over all areas go through the page table.
 *
 * At each instant everything has exactly one owner:
 *
 *  1. The range is taken, and the guard's entry says "being built, mine", in one transaction under the arena's lock.
 *  2. Each run of pages is taken and entered in one transaction under the heap's lock (area-pages.ts): the entry of its first page is
 *     the word that receives its address. There is nothing in flight between the two locks.
 *  3. One store makes the area live. Its taking apart begins with the opposite, under the arena's lock, where of two frees of one
 *     area one is refused; then each run is given back and its entry cleared in one transaction; then range and guard's entry go.
 *
 * So the guard's entry is the intent frame of what spans many locks: whoever recovers its worker takes apart what is not live, and
 * leaves what is to the living, noted as nobody's. Each step can be repeated. Whose an area is, and whether it is live, is decided
 * under the arena's lock only: seen without it, a change may be half done, or be undone again when its worker has died.
 *
 * A free that a lock out of reach cuts short is finished by this thread at its next call, or by its recovery; what an exception (a
 * stack overflow) left half built or half taken apart likewise. A free that found no lock even to begin has left no trace in the
 * memory: if its thread dies before the next call, the area is kept and reported.
 */
import { UmaError } from "../../backend/memory/errors.ts";
import type { Floor } from "../../backend/memory/floor.ts";
import {
  ARENA_FAILS,
  ARENA_LOCK,
  ARENA_TOTAL,
  MAP_AREA,
  MAP_COUNT_SHIFT,
  MAP_IO,
  MAP_LIVE,
  MAP_NOTE,
  MAP_TABLE_SPAN,
  MAP_WHAT,
  MARK_ORPHAN,
  PAGE_BYTES,
  TAG_SEGMENT_XBUSY,
  VMAP_ARENA,
  VMAP_START,
} from "../../backend/memory/layout.ts";
import { PROVIDED, PROVIDE_BUSY } from "../../backend/vmem/backing.ts";
import { type Engine, FREED, WANTS_NOTHING, createEngine } from "../../backend/vmem/engine.ts";
import type { ArenaSystem } from "../../backend/vmem/arenas.ts";
import type { ArenaHandle } from "../../backend/vmem/handle.ts";
import { HEAP_BUSY, type Heap, NO_PAGES } from "../../backend/vmem/heap.ts";
import { emptyRequest, fillPlain } from "../../backend/vmem/request.ts";
import { BUSY, EMPTY, OK, type Outcome } from "../outcome.ts";
import { type ForeignStretch, createAreaPages } from "./area-pages.ts";
import { type PageTable, createPageTable } from "./page-table.ts";

/** Name of the arena that the addresses come from; nobody else makes one of that name. */
export const ADDRESSES = "vmalloc";

/** What a dead worker had mapped: kept, and nobody's now. */
export interface AreaLeftover {
  readonly address: number;
  readonly bytes: number;
  readonly kind: "vmalloc" | "ioremap";
}

/** What an area is made of. */
export interface AreaRequest {
  readonly pages: number;
  /** null: pages of the heap. */
  readonly foreign: ForeignStretch | null;
  /** Site of whoever asks; 0 (default) = not noted. */
  readonly caller?: number;
  /** Whether locks may be waited for. */
  readonly mayWait: boolean;
}

export interface Areas {
  readonly table: PageTable;
  /** Opens the addresses for this thread, making them if there are none. @throws UmaError ERR_UMA_EMPTY, ERR_UMA_BUSY; as arenas. */
  open(bytes: number): void;
  /** Bytes of addresses; 0 = not opened by anybody. */
  total(): number;
  /** @returns the address of a live area, 0 = none (`outcome` says why). */
  make(request: AreaRequest): number;
  /** Why the last `make` gave none. */
  outcome(): Outcome;
  /** Takes the area at `p` apart. @throws UmaError ERR_UMA_ADDRESS, ERR_VMEM_KIND; nothing has changed then. */
  remove(p: number, io: boolean): void;
  /** Word index of the entry that describes the area at `p`; 0 = none begins there. */
  headerAt(p: number): number;
  /** Site of whoever asked for the area at `p`, which there is; 0 = not noted. */
  callerOf(p: number): number;
  /** Pages of an area, from its describing word. */
  pagesIn(word: number): number;
  /** What is wrong with an address that was taken for an area's. */
  refusal(p: number, what: string): UmaError;
  /** The next area behind the page of addresses at `p`, below `before`: the address of its guard page, 0 = none. Takes no lock. */
  next(p: number, before?: number): number;
  /** Finishes what removals had to leave. @returns false when a lock is still out of reach. */
  finish(): boolean;
  /**
   * Deals with what the worker `name`, dead or leaving, has.
   * @param left - gets what is kept; also what was found before a lock was out of reach, which the next try does not find again.
   * @returns false when a lock was out of reach.
   */
  recover(name: number, left: AreaLeftover[]): boolean;
}

export function createAreas(floor: Floor, heap: Heap, arenas: ArenaSystem): Areas {
  const { i32, f64 } = floor.cells;
  const { locks, patienceMs, me } = floor;
  const { set, commit } = floor.journal;
  const table = createPageTable(floor, heap);
  const pages = createAreaPages(floor, heap, table);
  const record = (): number => table.record();
  const entryOf = (p: number): number => table.entryOf(p);
  const engine: Engine = createEngine(floor);
  const request = emptyRequest();
  const makeArena = arenas.reserve(ADDRESSES);
  /**
   * Areas whose removal is not over: noted before it begins, so that an exception leaves nothing behind. `late`: it found no lock to
   * begin with, and the area is still live. Otherwise it has begun, and what is live after all is let be.
   */
  const unfinished: { readonly p: number; late: boolean }[] = [];
  /** The area that this thread is at building: from the transaction that takes its range until it is live or gone. */
  let building = 0;
  let why: Outcome = OK;

  function open(bytes: number): void {
    if (record() !== 0) return;
    // What the memory's arenas are made of, as they are handed out by its own system.
    const arena = makeArena({ quantum: PAGE_BYTES, span: { start: VMAP_START, size: bytes } }) as ArenaHandle;
    const made = table.make(arena.backing.a);
    if (made === OK) return;
    throw new UmaError(
      made === BUSY ? "ERR_UMA_BUSY" : "ERR_UMA_EMPTY",
      "no memory for the page table of mapped addresses, or its lock was out of reach",
    );
  }

  /** What every slow path begins with. @returns the arena of the addresses. */
  function enter(mayWait: boolean): number {
    const a = i32[record() + VMAP_ARENA];
    arenas.at(a).backing.begin(mayWait);
    return a;
  }

  function total(): number {
    return record() === 0 ? 0 : f64[(i32[record() + VMAP_ARENA] + ARENA_TOTAL) >> 1];
  }

  function make({ pages: count, foreign, caller = 0, mayWait }: AreaRequest): number {
    finish();
    const patience = mayWait ? patienceMs : 0;
    const guard = foreign === null ? takeRange(count, MAP_AREA, patience) : takeRange(count + 1, MAP_AREA | MAP_IO, patience);
    if (guard <= 0) {
      why = guard === HEAP_BUSY ? BUSY : EMPTY;
      return 0;
    }
    const p = guard + PAGE_BYTES;
    why = foreign === null ? pages.fill(p, count, patience) : pages.stand(p, count, foreign, patience);
    if (why !== OK) {
      if (dismantle(p, patience)) building = 0;
      return 0;
    }
    const header = entryOf(guard);
    i32[callerEntry(p, i32[header + MAP_WHAT]) + MAP_NOTE] = caller;
    Atomics.store(i32, header + MAP_WHAT, i32[header + MAP_WHAT] | MAP_LIVE);
    building = 0;
    return p;
  }

  /** Takes addresses for a guard page and `count` more. @returns the guard's address, NO_PAGES or HEAP_BUSY. */
  function takeRange(count: number, what: number, patience: number): number {
    const a = enter(patience > 0);
    const { backing } = arenas.at(a);
    for (let tries = 0; ; tries++) {
      if (!locks.acquire(a + ARENA_LOCK, patience)) return HEAP_BUSY;
      let want: number;
      let guard = 0;
      try {
        if (!backing.isAlive()) throw destroyed();
        want = engine.wants(a, commit);
        if (want === WANTS_NOTHING || (tries > 0 && engine.segments.hasTags(a, 2))) {
          fillPlain(request, (count + 1) * PAGE_BYTES, PAGE_BYTES, undefined, ADDRESSES);
          guard = engine.take(a, request, TAG_SEGMENT_XBUSY, 0);
          if (guard < 0) {
            f64[(a + ARENA_FAILS) >> 1]++;
            return NO_PAGES;
          }
          const header = entryOf(guard);
          if (header !== 0) {
            set(header + MAP_NOTE, me);
            set(header + MAP_WHAT, (count << MAP_COUNT_SHIFT) | what);
            building = guard + PAGE_BYTES;
            commit();
            return guard;
          }
        }
      } finally {
        // Without a table for the guard's entry, the taking is undone.
        locks.release();
      }
      if (guard !== 0) {
        const provided = table.provide(guard, patience);
        if (provided !== OK) return provided === BUSY ? HEAP_BUSY : NO_PAGES;
        continue;
      }
      const provided = backing.provide(want, patience > 0);
      if (provided === PROVIDE_BUSY) return HEAP_BUSY;
      if (provided !== PROVIDED && tries > 0) return NO_PAGES;
    }
  }

  function destroyed(): UmaError {
    return new UmaError("ERR_VMEM_DESTROYED", `arena "${ADDRESSES}" was destroyed`, { zone: ADDRESSES });
  }

  /** The entry whose note is the site; 0 = its table has never been there. */
  function callerEntry(p: number, word: number): number {
    return entryOf((word & MAP_IO) === 0 ? p : p + pagesIn(word) * PAGE_BYTES);
  }

  function callerOf(p: number): number {
    const header = headerAt(p);
    const entry = header === 0 ? 0 : callerEntry(p, i32[header + MAP_WHAT]);
    return entry === 0 ? 0 : i32[entry + MAP_NOTE];
  }

  function pagesIn(word: number): number {
    return (word >>> MAP_COUNT_SHIFT) - ((word & MAP_IO) === 0 ? 0 : 1);
  }

  function headerAt(p: number): number {
    if (record() === 0 || !Number.isInteger(p) || p % PAGE_BYTES !== 0 || p <= VMAP_START || p >= VMAP_START + total()) return 0;
    const header = entryOf(p - PAGE_BYTES);
    return header !== 0 && (i32[header + MAP_WHAT] & MAP_AREA) !== 0 ? header : 0;
  }

  function remove(p: number, io: boolean): void {
    finish();
    const what = io ? "iounmap" : "vfree";
    const header = headerAt(p);
    const isLive = header !== 0 && (i32[header + MAP_WHAT] & MAP_LIVE) !== 0;
    if (unfinished.some((entry) => entry.p === p && (entry.late || !isLive))) {
      throw new UmaError("ERR_UMA_DOUBLE_FREE", `${what}: the area at ${p} is being freed already`, { value: p });
    }
    if (header === 0) throw refusal(p, what);
    checkKind(i32[header + MAP_WHAT], p, io);
    const entry = { p, late: false };
    unfinished.push(entry);
    const begun = begin(p, true);
    entry.late = begun === BUSY;
    if (begun === EMPTY || (begun === OK && dismantle(p, patienceMs))) unfinished.pop();
    if (begun === EMPTY) throw refusal(p, what);
  }

  function checkKind(word: number, p: number, io: boolean): void {
    if (((word & MAP_IO) !== 0) === io) return;
    const made = io ? "vmalloc, and is given back by vfree" : "ioremap, and is given back by iounmap";
    throw new UmaError("ERR_VMEM_KIND", `the area at ${p} was made by ${made}`, { zone: ADDRESSES, value: p });
  }

  /**
   * The area at `p` becomes this worker's, and is no longer live, unless it is so already.
   * @param ofLive - false: a live one is let be.
   * @returns EMPTY when there is none, or it is not to be; BUSY when the lock is out of reach.
   */
  function begin(p: number, ofLive: boolean): Outcome {
    if (!locks.acquire(i32[record() + VMAP_ARENA] + ARENA_LOCK, patienceMs)) return BUSY;
    try {
      const header = headerAt(p);
      const word = header === 0 ? 0 : i32[header + MAP_WHAT];
      if ((word & MAP_LIVE) === 0) return header !== 0 && i32[header + MAP_NOTE] === me ? OK : EMPTY;
      if (!ofLive) return EMPTY;
      set(header + MAP_NOTE, me);
      set(header + MAP_WHAT, word & ~MAP_LIVE);
      commit();
      return OK;
    } finally {
      locks.release();
    }
  }

  /** Gives back the pages of an area that is not live, then its addresses. @returns false when a lock was out of reach; repeatable. */
  function dismantle(p: number, patience: number): boolean {
    const guard = p - PAGE_BYTES;
    const header = entryOf(guard);
    const word = i32[header + MAP_WHAT];
    const bytes = (word >>> MAP_COUNT_SHIFT) * PAGE_BYTES;
    if (!pages.clear(p, bytes, patience)) return false;
    const a = i32[record() + VMAP_ARENA];
    if (!locks.acquire(a + ARENA_LOCK, patience)) return false;
    try {
      if (engine.give(a, guard, bytes + PAGE_BYTES, TAG_SEGMENT_XBUSY, false) !== FREED) {
        throw new UmaError("ERR_UMA_INTERNAL", `the addresses of the area at ${p} are not taken`, { zone: ADDRESSES, value: p });
      }
      const first = entryOf(p);
      if (first !== 0) {
        set(first + MAP_WHAT, 0);
        set(first + MAP_NOTE, 0);
      }
      const caller = callerEntry(p, word);
      if (caller !== 0 && caller !== first) set(caller + MAP_NOTE, 0);
      set(header + MAP_WHAT, 0);
      set(header + MAP_NOTE, 0);
      commit();
    } finally {
      locks.release();
    }
    return true;
  }

  function finish(): boolean {
    if (record() !== 0) enter(true);
    if (building !== 0) {
      unfinished.push({ p: building, late: false });
      building = 0;
    }
    for (let entry = unfinished[0]; entry !== undefined; entry = unfinished[0]) {
      const begun = begin(entry.p, entry.late);
      if (begun === BUSY) return false;
      entry.late = false;
      // EMPTY: the exception had come before the beginning or after the end; or somebody else has freed it, as wrongly as can be.
      if (begun === OK && !dismantle(entry.p, patienceMs)) return false;
      unfinished.shift();
    }
    return true;
  }

  function next(p: number, before?: number): number {
    const end = before ?? VMAP_START + total();
    const here = p < VMAP_START ? 0 : entryOf(p);
    const word = here === 0 ? 0 : i32[here + MAP_WHAT];
    // Over the area's own pages, if it still is one.
    let at = p + ((word & MAP_AREA) === 0 ? 1 : 1 + (word >>> MAP_COUNT_SHIFT)) * PAGE_BYTES;
    while (at < end) {
      const entry = entryOf(at);
      if (entry === 0) {
        at = (Math.floor(at / MAP_TABLE_SPAN) + 1) * MAP_TABLE_SPAN;
        continue;
      }
      if ((i32[entry + MAP_WHAT] & MAP_AREA) !== 0) return at;
      at += PAGE_BYTES;
    }
    return 0;
  }

  function refusal(p: number, what: string): UmaError {
    const details = typeof p === "number" ? { value: p, zone: ADDRESSES } : { zone: ADDRESSES };
    return new UmaError("ERR_UMA_ADDRESS", `${what}: no mapped area begins at ${String(p)}${whereIn(p)}`, details);
  }

  /** For the message only. */
  function whereIn(p: number): string {
    const end = VMAP_START + total();
    if (!Number.isInteger(p) || p < VMAP_START || p >= end) return `: mapped addresses lie in [${VMAP_START}, ${end})`;
    for (let guard = next(VMAP_START - PAGE_BYTES); guard !== 0 && guard < p; guard = next(guard)) {
      const bytes = pagesIn(i32[entryOf(guard) + MAP_WHAT]) * PAGE_BYTES;
      const start = guard + PAGE_BYTES;
      if (p < start + bytes && p !== start) return `: it lies ${p - start} bytes inside the area at ${start}, which has ${bytes} bytes`;
    }
    return "; it may have been freed before";
  }

  function recover(name: number, left: AreaLeftover[]): boolean {
    if (record() === 0) return true;
    if (name === me && !finish()) return false;
    enter(true);
    const end = VMAP_START + total();
    for (let n = 0, start = VMAP_START; start < end; n++, start += MAP_TABLE_SPAN) {
      if (table.hasTable(n) && !sweep(name, start, Math.min(start + MAP_TABLE_SPAN, end), left)) return false;
    }
    return true;
  }

  /**
   * Deals with what the dead worker has between two addresses, all of it under one holding of the lock: only under it is no change
   * of whose an area is under way, that may be undone once the walk has gone by. @returns false when a lock was out of reach.
   */
  function sweep(name: number, start: number, end: number, left: AreaLeftover[]): boolean {
    if (!locks.acquire(i32[record() + VMAP_ARENA] + ARENA_LOCK, patienceMs)) return false;
    const half: number[] = [];
    try {
      for (let guard = next(start - PAGE_BYTES, end); guard !== 0; guard = next(guard, end)) {
        const header = entryOf(guard);
        if (i32[header + MAP_NOTE] !== name) continue;
        const word = i32[header + MAP_WHAT];
        const address = guard + PAGE_BYTES;
        if ((word & MAP_LIVE) === 0) {
          half.push(address);
          continue;
        }
        set(header + MAP_NOTE, MARK_ORPHAN);
        commit();
        left.push({ address, bytes: pagesIn(word) * PAGE_BYTES, kind: (word & MAP_IO) === 0 ? "vmalloc" : "ioremap" });
      }
    } finally {
      locks.release();
    }
    // Nobody else touches what is not live.
    for (const p of half) if (!dismantle(p, patienceMs)) return false;
    return true;
  }

  return { table, open, total, make, outcome: () => why, remove, headerAt, callerOf, pagesIn, refusal, next, finish, recover };
}
