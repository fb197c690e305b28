/**
 * Kegs: the owners of slabs. How a slab is born and how it dies.
 *
 * Birth, with no lock held between the steps: pages from the supplier and a header from the pool come into the worker's intent
 * frame; the header is filled in and the page table points to it; init runs over the items, INITED counting those that are done;
 * one transaction under the keg's lock links the slab and empties the frame. Death is the same backwards: one transaction moves a
 * wholly free slab from the keg's list into the frame; fini runs over the items, INITED counting down *before* each call, so that
 * it runs at most once for each; page table, header and pages follow.
 *
 * A worker that dies on the way leaves the frame, and {@link Kegs.finishFrame} completes it: where fini or a user's freef would be
 * needed and the recoverer has not got it, the slab goes back into the keg instead, the items that had not been through
 * init (or had been through fini) marked ORPHAN|BUSY, to be initialised anew by a worker that has it open.
 */
import { UmaCorruptionError, UmaError } from "../backend/memory/errors.ts";
import type { Floor } from "../backend/memory/floor.ts";
import * as layout from "../backend/memory/layout.ts";
import { NO_PAGES, PAGES_BUSY, type PageSupplier, SLAB_PRIV } from "../backend/supplier/page-supplier.ts";
import type { Heap } from "../backend/vmem/heap.ts";
import { noteExcess } from "./excess.ts";
import { HOOK_FINI, HOOK_INIT, HOOK_PAGES, type Fini, type Init, type Views } from "./hooks.ts";
import * as outcomes from "./outcome.ts";
import type { Outcome } from "./outcome.ts";
import type { Pools } from "./pools.ts";
import type { Slabs } from "./slab.ts";

const {
  INTENT_EXTENT,
  INTENT_FLAGS,
  INTENT_HEADER,
  INTENT_KEG,
  INTENT_KIND,
  INTENT_NONE,
  INTENT_PAGE,
  INTENT_PAGES,
  INTENT_SLAB,
  INTENT_SPARE,
  KEG_BITS_WORDS,
  KEG_FREE,
  KEG_HEADER_BYTES,
  KEG_HOOKS,
  KEG_IPERS,
  KEG_ITEMS,
  KEG_LIST_FREE,
  KEG_LOCK,
  KEG_PAGES,
  KEG_PPERA,
  KEG_RSIZE,
  KEG_SHIFT,
  KEG_SLABS,
  KEG_TAG,
  KEG_ZONE,
  KEG_ZONE_AT,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  PAGE_SHIFT,
  PTE_DELTA,
  PTE_SLAB,
  PTE_TAG,
  SLAB_BITS,
  SLAB_FLAGS,
  SLAB_FREE,
  SLAB_INITED,
  SLAB_KEG,
  SLAB_LIST,
  SLAB_START,
  ZONE_ITEMS,
  ZONE_ORPHANS,
} = layout;
const { BUSY, EMPTY, OK, REFUSED } = outcomes;

/** A keg as one thread sees it: the record, and what cannot be shared. */
export interface KegHandle {
  /** Word index of the record. */
  readonly keg: number;
  readonly name: string;
  /** Pages come from here. */
  supplier: PageSupplier;
  init: Init | null;
  fini: Fini | null;
  /** Items are zeroed when their slab is born. */
  readonly zeroInit: boolean;
  /** Above 0 while init or fini of this keg runs in this thread: its own zone may not be used then. */
  inHook: number;
  /** Takes the zone's buckets out of reach of the hot path while a hook runs that may not use the zone; and back. */
  hide(): void;
  show(): void;
}

export interface Kegs {
  /** Builds a slab and adds it to the keg. */
  grow(handle: KegHandle, mayWait: boolean): Outcome;
  /**
   * Gives wholly free slabs back until at most `keepItems` items are free in the keg. Nothing, if they are of a user's supplier
   * whose functions this thread has not got.
   * @returns slabs given back.
   */
  shrink(handle: KegHandle, keepItems: number): number;
  /**
   * Completes the intent frame of a worker that did not: a dead one's, or one that this worker had to leave.
   * @param handle - the keg as this thread has it open, or null.
   * @param dying - the zone is being taken apart and nobody has it open: hooks that this thread has not got do not run.
   * @returns OK, or BUSY when a lock was out of reach (call again).
   */
  finishFrame(frame: number, handle: KegHandle | null, dying: boolean): Outcome;
  /**
   * Takes any slab of a dying keg into the frame. @returns false when there is none, or the lock was out of reach.
   */
  takeSlab(keg: number, list: number, frame: number): boolean;
  /** Notes what a hook on an item's way out has thrown, for {@link Kegs.takeFailure}. */
  noteFailure(thrown: UmaError): void;
  /** What a fini or a freef has thrown since the last call, the first of it; null = nothing. It has not kept any slab from dying. */
  takeFailure(): unknown;
}

export function createKegs(floor: Floor, heap: Heap, pools: Pools, slabs: Slabs, views: Views, arenaPages: PageSupplier): Kegs {
  const { i32, u8 } = floor.cells;
  const { locks, intents, patienceMs, geometry } = floor;
  const { set, add, commit } = floor.journal;
  const { pageTable } = geometry;

  function grow(handle: KegHandle, mayWait: boolean): Outcome {
    const { keg } = handle;
    if (handle.init === null && (i32[keg + KEG_HOOKS] & HOOK_INIT) !== 0) {
      throw new UmaError("ERR_UMA_HOOK", `zone "${handle.name}" has an init that this thread has not set`, { zone: handle.name });
    }
    if (intents.full()) return BUSY;
    const frame = intents.push(INTENT_SLAB);
    i32[frame + INTENT_KEG] = keg;
    let outcome: Outcome = OK;
    try {
      const address = takePages(handle, frame, mayWait);
      if (address === NO_PAGES || address === PAGES_BUSY) {
        outcome = address === NO_PAGES ? EMPTY : BUSY;
      } else {
        outcome = pools.takeHeader(i32[keg + KEG_HEADER_BYTES], frame + INTENT_HEADER);
        if (outcome === OK) outcome = build(handle, frame);
      }
    } catch (thrown) {
      abandon(handle, frame);
      throw thrown;
    }
    if (outcome === OK) intents.pop(frame);
    else abandon(handle, frame);
    return outcome;
  }

  /** A user's allocf is a hook like init: it may not use its own zone. */
  function takePages(handle: KegHandle, frame: number, mayWait: boolean): number {
    const { supplier, name, keg } = handle;
    if (!supplier.userSupplied) return supplier.alloc(name, i32[keg + KEG_PPERA], frame, mayWait);
    enterHook(handle);
    try {
      return supplier.alloc(name, i32[keg + KEG_PPERA], frame, mayWait);
    } finally {
      handle.inHook--;
      intents.hooks--;
      handle.show();
    }
  }

  /**
   * The zone's bucket is hidden while the hook runs. The counts go up after the last call before the hook, and come down (in the
   * caller's finally) before the first one after it: a stack overflow can come at any call.
   */
  function enterHook(handle: KegHandle): void {
    handle.hide();
    handle.inHook++;
    intents.hooks++;
  }

  function build(handle: KegHandle, frame: number): Outcome {
    const { keg } = handle;
    const slab = i32[frame + INTENT_HEADER];
    prepare(keg, slab, i32[frame + INTENT_EXTENT], i32[frame + INTENT_FLAGS]);
    i32[frame + INTENT_SPARE] = 1;
    if (handle.zeroInit) {
      const start = i32[slab + SLAB_START];
      u8.fill(0, start, start + i32[keg + KEG_IPERS] * i32[keg + KEG_RSIZE]);
    }
    const inited = initItems(handle, slab);
    if (inited !== OK) return inited;
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      publish(keg, slab, frame);
      commit();
    } finally {
      locks.release();
    }
    return OK;
  }

  /** Fills in a header that nobody else can see yet, and points the page table to it; the tag last. */
  function prepare(keg: number, slab: number, start: number, flags: number): void {
    const ipers = i32[keg + KEG_IPERS];
    const words = i32[keg + KEG_BITS_WORDS];
    i32[slab + SLAB_KEG] = keg;
    i32[slab + SLAB_START] = start;
    i32[slab + SLAB_FREE] = ipers;
    i32[slab + SLAB_LIST] = 0;
    i32[slab + SLAB_INITED] = 0;
    i32[slab + SLAB_FLAGS] = flags;
    i32.fill(-1, slab + SLAB_BITS, slab + SLAB_BITS + words);
    if ((ipers & 31) !== 0) i32[slab + SLAB_BITS + words - 1] = (1 << (ipers & 31)) - 1;
    const marks = slabs.marksOf(slab);
    u8.fill(MARK_FREE, marks, marks + i32[keg + KEG_HEADER_BYTES] - (SLAB_BITS + words) * 4);
    const delta = marks - (start >> i32[keg + KEG_SHIFT]);
    const pages = ipers === 1 ? 1 : i32[keg + KEG_PPERA];
    for (let n = 0; n < pages; n++) {
      const entry = pageTable + (((start >>> PAGE_SHIFT) + n) << 2);
      i32[entry + PTE_DELTA] = delta;
      i32[entry + PTE_SLAB] = slab;
      i32[entry + PTE_TAG] = i32[keg + KEG_TAG];
    }
  }

  function initItems(handle: KegHandle, slab: number): Outcome {
    const { keg, init } = handle;
    const ipers = i32[keg + KEG_IPERS];
    if (init === null) {
      i32[slab + SLAB_INITED] = ipers;
      return OK;
    }
    const start = i32[slab + SLAB_START];
    const rsize = i32[keg + KEG_RSIZE];
    enterHook(handle);
    try {
      for (let n = 0; n < ipers; n++) {
        let accepted: boolean | void;
        try {
          accepted = init(start + n * rsize, views);
        } catch (cause) {
          throw hookError("init", handle.name, start + n * rsize, cause);
        }
        if (accepted === false) return REFUSED;
        i32[slab + SLAB_INITED] = n + 1;
      }
    } finally {
      handle.inHook--;
      intents.hooks--;
      handle.show();
    }
    return OK;
  }

  function publish(keg: number, slab: number, frame: number): void {
    slabs.link(keg, slab);
    add(keg + KEG_SLABS, 1);
    add(keg + KEG_ITEMS, i32[keg + KEG_IPERS]);
    add(keg + KEG_FREE, i32[slab + SLAB_FREE]);
    add(keg + KEG_PAGES, i32[keg + KEG_PPERA]);
    set(frame + INTENT_EXTENT, 0);
    set(frame + INTENT_HEADER, 0);
  }

  /** Undoes a birth: what cannot be given back now stays in the frame, which {@link finishFrame} completes later. */
  function abandon(handle: KegHandle, frame: number): void {
    let done = false;
    try {
      if (i32[frame + INTENT_HEADER] !== 0 && i32[frame + INTENT_SPARE] === 1) finiItems(handle, i32[frame + INTENT_HEADER]);
      done = dismantle(handle.keg, frame, handle) === OK;
    } finally {
      if (done) intents.pop(frame);
    }
  }

  /** Runs fini over the items that have been through init; each at most once, whatever happens. */
  function finiItems(handle: KegHandle, slab: number): void {
    const { keg, fini } = handle;
    if (fini === null) {
      i32[slab + SLAB_INITED] = 0;
      return;
    }
    const start = i32[slab + SLAB_START];
    const rsize = i32[keg + KEG_RSIZE];
    enterHook(handle);
    try {
      for (let n = i32[slab + SLAB_INITED] - 1; n >= 0; n--) {
        i32[slab + SLAB_INITED] = n;
        // Outstanding in a zone that was destroyed by force: somebody may still be using it.
        if (((i32[slab + SLAB_BITS + (n >>> 5)] >>> (n & 31)) & 1) === 0) continue;
        try {
          fini(start + n * rsize, views);
        } catch (cause) {
          // The slab is dying either way; the caller learns of it once it is dead.
          failure ??= hookError("fini", handle.name, start + n * rsize, cause);
        }
      }
    } finally {
      handle.inHook--;
      intents.hooks--;
      handle.show();
    }
  }

  /** Page table, header, pages: in this order, each step leaving the frame true. */
  function dismantle(keg: number, frame: number, handle: KegHandle | null): Outcome {
    if (i32[frame + INTENT_HEADER] !== 0) {
      // Also what was never said to be built: its builder may have died half way through the page table.
      const first = i32[frame + INTENT_EXTENT] >>> PAGE_SHIFT;
      // First it is no slab any more, else who recovers us would link one that the page table has half forgotten.
      i32[frame + INTENT_SPARE] = 0;
      for (let n = i32[frame + INTENT_PAGES] - 1; n >= 0; n--) i32[pageTable + ((first + n) << 2) + PTE_TAG] = 0;
      if (pools.giveHeader(i32[keg + KEG_HEADER_BYTES], frame + INTENT_HEADER) !== OK) return BUSY;
    }
    if (!hasSupplierOf(frame, handle)) {
      // Pages of a user's supplier that nobody here can give back: what is lost there is the user's to find.
      i32[frame + INTENT_EXTENT] = 0;
      return OK;
    }
    return givePages(frame, handle) ? OK : BUSY;
  }

  /** Whether this thread can give the pages in the frame back. */
  function hasSupplierOf(frame: number, handle: KegHandle | null): boolean {
    return (i32[frame + INTENT_FLAGS] & SLAB_PRIV) === 0 || (handle !== null && handle.supplier.userSupplied);
  }

  function givePages(frame: number, handle: KegHandle | null): boolean {
    if (handle === null || (i32[frame + INTENT_FLAGS] & SLAB_PRIV) === 0) return arenaPages.free("", frame);
    enterHook(handle);
    try {
      return handle.supplier.free(handle.name, frame);
    } catch (thrown) {
      // The pages count as given back; the caller learns of it when all is done.
      failure ??= thrown;
      return true;
    } finally {
      handle.inHook--;
      intents.hooks--;
      handle.show();
    }
  }

  function shrink(handle: KegHandle, keepItems: number): number {
    const { keg } = handle;
    const hooks = i32[keg + KEG_HOOKS];
    if ((hooks & HOOK_PAGES) !== 0 && !handle.supplier.userSupplied) return 0;
    if ((hooks & HOOK_FINI) !== 0 && handle.fini === null) return 0;
    let given = 0;
    for (let done = true; done && !intents.crowded(); ) {
      const frame = intents.push(INTENT_SLAB);
      i32[frame + INTENT_KEG] = keg;
      const slab = takeFreeSlab(keg, frame, keepItems);
      if (slab === 0) {
        intents.pop(frame);
        break;
      }
      given++;
      done = false;
      try {
        finiItems(handle, slab);
        done = dismantle(keg, frame, handle) === OK;
      } finally {
        if (done) intents.pop(frame);
      }
    }
    return given;
  }

  /** Moves a wholly free slab from the keg into the frame, if more than `keepItems` items stay free. @returns it, or 0. */
  function takeFreeSlab(keg: number, frame: number, keepItems: number): number {
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return 0;
    try {
      const slab = i32[keg + KEG_LIST_FREE];
      if (slab === 0 || i32[keg + KEG_FREE] - i32[keg + KEG_IPERS] < keepItems) return 0;
      moveToFrame(keg, slab, frame);
      return slab;
    } finally {
      locks.release();
    }
  }

  function takeSlab(keg: number, list: number, frame: number): boolean {
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return false;
    try {
      const slab = i32[keg + list];
      if (slab === 0) return false;
      moveToFrame(keg, slab, frame);
      return true;
    } finally {
      locks.release();
    }
  }

  /** Out of the keg's lists into the frame: one transaction, under the keg's lock. */
  function moveToFrame(keg: number, slab: number, frame: number): void {
    i32[frame + INTENT_PAGES] = i32[keg + KEG_PPERA];
    i32[frame + INTENT_FLAGS] = i32[slab + SLAB_FLAGS];
    i32[frame + INTENT_SPARE] = 1;
    slabs.unlink(keg, slab);
    add(keg + KEG_SLABS, -1);
    add(keg + KEG_ITEMS, -i32[keg + KEG_IPERS]);
    add(keg + KEG_FREE, -i32[slab + SLAB_FREE]);
    add(keg + KEG_PAGES, -i32[keg + KEG_PPERA]);
    set(frame + INTENT_HEADER, slab);
    set(frame + INTENT_EXTENT, i32[slab + SLAB_START]);
    commit();
  }

  function finishFrame(frame: number, handle: KegHandle | null, dying: boolean): Outcome {
    if (i32[frame + INTENT_KIND] === INTENT_NONE) return OK;
    if (i32[frame + INTENT_KIND] === INTENT_PAGE) {
      const page = i32[frame + INTENT_EXTENT];
      return page === 0 || heap.free(page, frame + INTENT_EXTENT) ? OK : BUSY;
    }
    const keg = i32[frame + INTENT_KEG];
    const slab = i32[frame + INTENT_HEADER];
    const hooks = i32[keg + KEG_HOOKS];
    const built = slab !== 0 && i32[frame + INTENT_SPARE] === 1;
    // One that has the zone open may not have set the fini that another has.
    const lacksHooks = handle === null ? (hooks & (HOOK_INIT | HOOK_FINI)) !== 0 : (hooks & HOOK_FINI) !== 0 && handle.fini === null;
    const mustWait = lacksHooks || !hasSupplierOf(frame, handle);
    if (built && mustWait && !dying) return republish(keg, slab, frame);
    if (built && handle !== null) finiItems(handle, slab);
    return dismantle(keg, frame, handle);
  }

  /**
   * Links a half-built or half-dismantled slab with what is not initialised marked for whoever has the zone open. The page table
   * shows the slab already: who looks after orphans takes none of these before the slab is linked.
   */
  function republish(keg: number, slab: number, frame: number): Outcome {
    const inited = i32[slab + SLAB_INITED];
    const ipers = i32[keg + KEG_IPERS];
    const marks = slabs.marksOf(slab);
    const start = i32[slab + SLAB_START];
    const shift = i32[keg + KEG_SHIFT];
    for (let n = inited; n < ipers; n++) {
      i32[slab + SLAB_BITS + (n >>> 5)] &= ~(1 << (n & 31));
      const mark = marks + ((start + n * i32[keg + KEG_RSIZE]) >> shift) - (start >> shift);
      u8[mark] = MARK_ORPHAN | MARK_BUSY;
      // The first of the keg's zones sees to it.
      if (i32[keg + KEG_ZONE_AT] !== 0) u8[mark + i32[keg + KEG_ZONE_AT]] = 0;
    }
    i32[slab + SLAB_FREE] = inited;
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return BUSY;
    try {
      publish(keg, slab, frame);
      set(slab + SLAB_INITED, ipers);
      if (inited < ipers) {
        add(i32[keg + KEG_ZONE] + ZONE_ITEMS, ipers - inited);
        noteExcess(floor, i32[keg + KEG_ZONE]);
        // Not in the journal: undone, it would take back what others have said meanwhile.
        Atomics.store(i32, i32[keg + KEG_ZONE] + ZONE_ORPHANS, 1);
      }
      commit();
    } finally {
      locks.release();
    }
    return OK;
  }

  let failure: unknown = null;
  function takeFailure(): unknown {
    const first = failure;
    failure = null;
    return first;
  }

  function noteFailure(thrown: UmaError): void {
    failure ??= thrown;
  }

  return { grow, shrink, finishFrame, takeSlab, noteFailure, takeFailure };
}

/** What a hook threw, as the caller of alloc, free or reclaim sees it: corruption that a hook has found as it is. */
export function hookError(hook: string, zone: string, item: number, cause: unknown): UmaError {
  if (cause instanceof UmaCorruptionError) return cause;
  return new UmaError("ERR_UMA_HOOK", `the ${hook} hook of zone "${zone}" threw at item ${item}: ${String(cause)}`, {
    zone,
    value: item,
    cause,
  });
}
