/**
 * Zones: what the user allocates from. The hot path is here and nowhere else.
 *
 * **alloc** reads the topmost item of this worker's alloc bucket, marks it, and stores the lowered position: that one store is
 * the commit. Until then the item is in the bucket, whatever its mark says (*the bucket beats the mark*). **free** of one's own
 * item stores it on top, raises the position, then clears the mark. No Atomics, no allocation, no call. Where the bucket is empty
 * or full, where another worker has asked for attention (TOP = 0), or where anything about the address is not as it should be, the
 * path leaves into `take` and `freeSlow`.
 *
 * Classes: all zones without hooks share one; a zone with hooks gets a class of its own from the factory, with the hooks as
 * constants, because a call site that sees the hooks of eight zones in one class pays 10 ns for it. A zone with checks off has
 * no marks. The factory runs once for each attachment, so that the views are constants of its closure.
 *
 * The position's low bits: 7 = empty (bucket windows are 256 words, the first 8 its header). `(sp & 255) − 8 | n` is negative
 * when the bucket is empty or when the 31-bit counter n has run over, so that one test covers both.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import {
  BUCKET_EMPTY,
  BUCKET_MASK,
  KEG_HOOKS,
  KEG_ITEMS,
  LINE_ALLOCS,
  LINE_ALLOCS_HIGH,
  LINE_FAILS,
  LINE_REASONS,
  LINE_REMOTE,
  LINE_PREFILL,
  LINE_SP,
  LINE_TOP,
  MARK_BUSY,
  MARK_FREE,
  NO_BUCKET,
  PTE_DELTA,
  SB_DEAD_LINE,
  SB_PAGE_LIMIT,
  SLOT_JOURNAL_COUNT,
  SLOT_PENDING_LOCK,
  ZONE_BUCKET_CAP,
} from "../backend/memory/layout.ts";
import type { AllocPages, FreePages, PageSupplier } from "../backend/supplier/page-supplier.ts";
import { createUserPages } from "../backend/supplier/user-pages.ts";
import type { ZoneHandle } from "./cache.ts";
import { type ItemList, createBulk } from "./bulk.ts";
import type { Census } from "./census.ts";
import { type Core, finishUnfinished } from "./core.ts";
import { type CountingPlace, type ZoneDefinition, FLAG_SMR, FLAG_UNCHECKED, FLAG_ZERO, FLAG_ZINIT } from "./definition.ts";
import { type Ctor, type Dtor, type Fini, HOOK_PAGES, type Init } from "./hooks.ts";
import { hookError } from "./keg.ts";
import type { Limbo } from "./limbo.ts";
import type { Limits, WarningOptions } from "./limits.ts";
import { BUSY, EMPTY, LIMIT, OK, type Outcome, REFUSED, failureName } from "./outcome.ts";
import type { Reclaim, ReclaimMode } from "./reclaim.ts";
import type { Reserves } from "./reserves.ts";
import type { ZoneStatistics } from "./statistics.ts";
import type { AsyncWaitOptions, WaitOptions, Waiting } from "./waiting.ts";

/** A zone as one thread has it open. Item addresses are byte addresses in the memory; 0 is NULL. */
export interface Zone extends ZoneHandle {
  readonly id: number;
  readonly tag: number;
  readonly size: number;
  readonly definition: ZoneDefinition;
  /** Item size as laid out, bytes. */
  readonly rsize: number;
  /** Whether no hook sees its items come and go. */
  readonly plain: boolean;
  /** Bits that no item's address has. */
  readonly unitMask: number;
  closed: boolean;
  /** Not 0: the zone's line, while the zone is kept off it because of an exception. */
  hurt: number;
  line: number;
  /** Takes an item. @throws UmaError ERR_UMA_EMPTY, ERR_UMA_LIMIT, ERR_UMA_BUSY, ERR_UMA_HOOK. */
  alloc(arg?: unknown): number;
  /** Takes an item, 0 when there is none (see `uma.lastFailure`). Never waits longer than for a lock. */
  tryAlloc(arg?: unknown): number;
  /**
   * Takes an item, waiting for one if there is none: blocks the thread.
   * @throws UmaError ERR_UMA_TIMEOUT; ERR_UMA_WAIT_HERE where a thread may not block; ERR_UMA_HOOK.
   * @source FreeBSD uma.h uma_zalloc_arg with M_WAITOK
   */
  allocWait(options?: WaitOptions, arg?: unknown): number;
  /**
   * Takes an item, waiting for one without blocking.
   * @returns rejects with ERR_UMA_TIMEOUT, ERR_UMA_ABORTED, ERR_UMA_ZONE_CLOSED, ERR_UMA_HOOK.
   */
  allocAsync(options?: AsyncWaitOptions, arg?: unknown): Promise<number>;
  /**
   * Sets how many items may be out of the slabs (allocated or cached) at a time; 0 = no limit. What is above it stays out.
   * @source FreeBSD uma.h uma_zone_set_max
   */
  setMax(items: number): void;
  /** The limit, items; 0 = none. @source FreeBSD uma.h uma_zone_get_max */
  getMax(): number;
  /** Items outstanding; near enough while others are at work. @source FreeBSD uma.h uma_zone_get_cur */
  getCur(): number;
  /** Whether somebody waits for an item at the moment. @source FreeBSD uma.h uma_zone_exhausted */
  exhausted(): boolean;
  /**
   * Sets how many items may lie in caches (buckets of the workers that have it open now, and the depot): 0 = none, Infinity = as
   * defined. @source FreeBSD uma.h uma_zone_set_maxcache
   */
  setMaxCache(items: number): void;
  /** Has a line written, not too often, when this thread meets the limit. @source FreeBSD uma.h uma_zone_set_warning */
  setWarning(message: string, options?: WarningOptions): void;
  /** Has `action` called, with no lock held, when this thread meets the limit; null = no longer. @source FreeBSD uma.h uma_zone_set_maxaction */
  setMaxAction(action: ((zone: Zone) => void) | null): void;
  /** Frees an item, whoever allocated it; 0 is ignored. */
  free(item: number, arg?: unknown): void;
  /** Builds slabs until at least `count` items are free in them. @throws UmaError ERR_UMA_EMPTY, ERR_UMA_BUSY, ERR_UMA_HOOK. */
  prealloc(count: number): void;
  /**
   * Takes `count` items at once, or none.
   * @param into - where their addresses go; wholly overwritten by 0 when there are not so many.
   * @returns whether there were so many (see `uma.lastFailure`).
   * @source Linux kmem_cache_alloc_bulk
   */
  allocBulk(into: ItemList, count?: number, arg?: unknown): boolean;
  /** Frees many items; refused as a whole, with nothing freed, when one of them is none. @source Linux kmem_cache_free_bulk */
  freeBulk(items: ItemList, count?: number, arg?: unknown): void;
  /**
   * Takes an item of an SMR zone; 0 when there is none.
   * @throws UmaError ERR_UMA_SMR in any other zone. @source FreeBSD uma.h uma_zalloc_smr
   */
  allocSmr(arg?: unknown): number;
  /** Frees an item of an SMR zone: it is reused, and dtor runs, when no reader can see it any more. @source FreeBSD uma.h uma_zfree_smr */
  freeSmr(item: number): void;
  /** Sets `count` items aside that only {@link allocReserved} takes, and builds the slabs for them. @source FreeBSD uma.h uma_zone_reserve */
  reserve(count: number): void;
  /** Takes an item as `tryAlloc` does, from the reserve if there is no other. @source FreeBSD malloc.h M_USE_RESERVE */
  allocReserved(arg?: unknown): number;
  /**
   * Sets memory for `count` items aside for good: the zone's limit becomes `count`, and its slabs are never given back.
   * @returns false when there is not so much memory. @source FreeBSD uma.h uma_zone_reserve_kva
   */
  reserveKva(count: number): boolean;
  /** Takes `count` items aside, so that this thread's next `count` allocations cannot fail or wait; 0 gives them back. */
  prefill(count: number): void;
  /**
   * Gives memory back: "trim" down to the working set, "drain" (default) all that is in the depot and cached here, "drain-cpu"
   * what others have cached as well, as soon as they look. @source FreeBSD uma.h uma_zone_reclaim
   */
  reclaim(mode?: ReclaimMode): Reclaimed;
  /** Destroys the zone for everybody. @throws UmaError ERR_UMA_OUTSTANDING with the count, unless forced. */
  destroy(options?: DestroyOptions): LeakReport;
  /** Closes the zone in this thread; its items stay. */
  close(): void;
  /** Hands one's own item to the worker in `slot`: mark first, send afterwards. @throws UmaError ERR_UMA_NOT_OWNER. */
  transfer(item: number, slot: number): void;
  /** Takes over an item whose owner has died. @returns false when it is none (any more). */
  adopt(item: number): boolean;
  /** The items that are this worker's: also those transferred to it that it was never told of. */
  owned(): Generator<number, void, void>;
  /** The items of the worker in `slot`; 127: those whose owner is dead. */
  ownedBy(slot: number): Generator<number, void, void>;
  /** Slot that owns the item; 0 = it is free, 127 = its owner is dead. */
  ownerOf(item: number): number;
  stats(): ZoneStatistics;
  /** Replaces the supplier (allocf); with {@link setFreef}, before the first allocation. @throws UmaError ERR_UMA_TOO_LATE. */
  setAllocf(allocPages: AllocPages): void;
  setFreef(freePages: FreePages): void;
  [Symbol.dispose](): void;
  /** Finishes the free of an item that is BUSY in this worker's name. @returns false when a lock was out of reach. */
  settle(item: number): boolean;
}

/** A zone whose free counts generations up. */
export interface Counting {
  /** Free leaves the hot path where the word would reach this. */
  generationEnd: number;
}

/** What `open` hands to the factory. */
export interface ZonePlace {
  readonly id: number;
  readonly zone: number;
  readonly keg: number;
  readonly line: number;
  readonly tag: number;
  readonly shift: number;
  readonly unitMask: number;
  readonly rsize: number;
  readonly supplier: PageSupplier;
}

/** What zones need of the parts above them. */
export interface ZoneServices {
  readonly features: ZoneFeatures;
  /** An allocation has met the limit. */
  limitMet(z: Zone): void;
  /** Does what other workers have asked for. */
  attend(z: Zone): void;
  /** Completes what a lock out of reach has cut short: intent frames, closings. */
  finishCut(): void;
  prealloc(z: Zone, count: number): void;
  /** Memory may be low by now. */
  relieve(): void;
  destroy(z: Zone, options: DestroyOptions): LeakReport;
  close(z: Zone): void;
  ownedBy(z: Zone, slot: number): Generator<number, void, void>;
  statistics(z: Zone): ZoneStatistics;
}

/** Features that live in files of their own. */
export interface ZoneFeatures {
  readonly limits: Limits;
  readonly waiting: Waiting;
  readonly census: Census;
  readonly reclaims: Reclaim;
  readonly reserves: Reserves;
  readonly limbo: Limbo;
}

/** What a reclaim gave back. */
export interface Reclaimed {
  /** Slabs and bytes given back to the supplier. */
  readonly slabs: number;
  readonly bytes: number;
}

export interface DestroyOptions {
  /** Destroy although items are outstanding; they are reported, and must not be used any more. */
  readonly force?: boolean;
}

/** What was outstanding when a zone was destroyed. */
export interface LeakReport {
  readonly zone: string;
  readonly outstanding: number;
  /** Addresses and owners' slots (127: the owner is dead) of the first of them. */
  readonly items: readonly { readonly item: number; readonly owner: number }[];
}

export interface ZoneFactory {
  make(definition: ZoneDefinition, place: ZonePlace): Zone;
}

export function createZoneFactory(core: Core, services: ZoneServices): ZoneFactory {
  const { i32, u8, f64 } = core.floor.cells;
  const { caches, items, views, unfinished } = core;
  const { locks, slot, slotWord } = core.floor;
  const ME = slot;
  const MINE_BUSY = slot | MARK_BUSY;
  const bulk = createBulk(core);
  const PAGE_LIMIT = core.floor.cells.base + SB_PAGE_LIMIT;
  const DEAD_LINE = core.floor.cells.base + SB_DEAD_LINE;
  const PT = core.floor.geometry.pageTable;
  const LOW = core.floor.geometry.heapStart;
  const SPAN = core.floor.geometry.heapEnd - LOW;

  /** The beginning of every slow path. */
  function enter(z: Zone): void {
    if (z.closed) throw closedError(z);
    prepare(z);
    if (z.closed) throw closedError(z);
  }

  /** Puts right what an exception left, and does what is due: after it the zone may be closed. */
  function prepare(z: Zone): void {
    if (z.inHook > 0) {
      throw new UmaError("ERR_UMA_HOOK_RECURSION", `an init or fini hook of zone "${z.name}" used its own zone`, { zone: z.name });
    }
    if (i32[slotWord + SLOT_PENDING_LOCK] !== 0 || i32[slotWord + SLOT_JOURNAL_COUNT] !== 0) locks.mend();
    if (z.hurt !== 0) heal(z);
    if (i32[z.line + LINE_REASONS] !== 0) services.attend(z);
    if (core.floor.intents.abandoned() || core.closings.length > 0) services.finishCut();
    if (unfinished.length > 0) finishUnfinished(core);
  }

  /**
   * An exception that is none of ours (a stack overflow can come at any call) went through a slow path, perhaps in the middle of
   * a transaction that the overflow kept from being undone. Until the next slow path has undone it the hot path must not touch
   * the buckets: the zone points to the dead line meanwhile, which is always empty and always full. No call here, so that there
   * is no second overflow.
   */
  function wound(z: Zone, thrown: unknown): void {
    if (thrown instanceof UmaError || z.closed || z.hurt !== 0) return;
    z.hurt = z.line;
    z.line = DEAD_LINE;
  }

  function guarded<T>(z: Zone, work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      wound(z, thrown);
      throw thrown;
    }
  }

  /** After the journal was undone: back to the zone's own line. */
  function heal(z: Zone): void {
    if (!z.closed) {
      z.line = z.hurt;
      if (z.inHook === 0) caches.show(z);
      caches.resetTop(z);
    }
    z.hurt = 0;
  }

  function notSmr(z: Zone): UmaError {
    return new UmaError("ERR_UMA_SMR", `zone "${z.name}" is no SMR zone (option smr)`, { zone: z.name });
  }

  function closedError(z: Zone): UmaError {
    return new UmaError("ERR_UMA_ZONE_CLOSED", `zone "${z.name}" is closed in this thread, or was destroyed`, { zone: z.name });
  }

  /**
   * The slow end of every alloc: takes an item and marks it with `mark`.
   *
   * In one piece because its size keeps it out of the loops of programs: V8 inlines no function of more than 460 bytes of bytecode.
   * Inlined, it took the registers from the hot path beside it: a pair lasted an eighth longer, in a zone without checks a fifth.
   *
   * @returns 0, and why in `core.failure`, when there is none; unless there `must` be one: then it throws.
   */
  function take(z: Zone, mark: number, must: boolean): number {
    // What was set aside by prefill: one store, ahead of all that could fail or wait.
    const reserve = i32[z.line + LINE_PREFILL];
    if ((reserve & BUCKET_MASK) > BUCKET_EMPTY && (i32[z.line + LINE_SP] & BUCKET_MASK) <= BUCKET_EMPTY && z.inHook === 0) {
      const p = i32[reserve];
      if (z.checks) u8[markIndex(z, p)] = mark;
      i32[z.line + LINE_PREFILL] = reserve - 1;
      countAlloc(z.line);
      return p;
    }
    enter(z);
    try {
      const line = z.line;
      let p = 0;
      for (;;) {
        const sp = i32[line + LINE_SP];
        if ((sp & BUCKET_MASK) > BUCKET_EMPTY) {
          p = i32[sp];
          if (z.checks) u8[markIndex(z, p)] = mark;
          i32[line + LINE_SP] = sp - 1;
          countAlloc(line);
          break;
        }
        let outcome: Outcome = caches.refill(z);
        if (outcome === OK) continue;
        if (outcome === EMPTY) {
          p = caches.takeSingle(z);
          if (p !== 0) {
            if (z.checks) u8[markIndex(z, p)] = mark;
            countAlloc(line);
            break;
          }
          outcome = caches.outcome();
        }
        i32[line + LINE_FAILS]++;
        if (outcome === LIMIT) services.limitMet(z);
        core.failure = outcome;
        break;
      }
      if (i32[PAGE_LIMIT] !== 0) services.relieve();
      if (p === 0 && must) throw failed(z);
      return p;
    } catch (thrown) {
      wound(z, thrown);
      throw thrown;
    }
  }

  function countAlloc(line: number): void {
    const n = i32[line + LINE_ALLOCS];
    if (n >= 0 && n < 0x7fffffff) {
      i32[line + LINE_ALLOCS] = n + 1;
      return;
    }
    // Bit 31 above other bits is a call that has been heard; alone, it is the carry.
    const low = (n + 1) & 0x7fffffff;
    i32[line + LINE_ALLOCS] = low;
    if (low === 0 || n === -0x80000000) i32[line + LINE_ALLOCS_HIGH]++;
  }

  function uncountAlloc(z: Zone): void {
    // A ctor that has closed its zone: the line is not its own any more.
    if (z.closed) return;
    const line = z.hurt === 0 ? z.line : z.hurt;
    const n = i32[line + LINE_ALLOCS];
    // A call that came while ctor ran is dropped here, lest with a count of 0 it be taken for the carry: TOP and the reasons stand.
    const low = n & 0x7fffffff;
    i32[line + LINE_ALLOCS] = (low - 1) & 0x7fffffff;
    if (low === 0 && n === 0) i32[line + LINE_ALLOCS_HIGH]--;
    i32[line + LINE_FAILS]++;
  }

  /** Puts an item that is this worker's, as a rule BUSY, into a bucket or its slab. @returns false when a lock was out of reach. */
  function put(z: Zone, p: number): boolean {
    try {
      return putUnguarded(z, p);
    } catch (thrown) {
      wound(z, thrown);
      throw thrown;
    }
  }

  function putUnguarded(z: Zone, p: number): boolean {
    // A hook's exception may have come between: its transaction is undone first, as at the beginning of every slow path.
    if (z.hurt !== 0) {
      locks.mend();
      heal(z);
    }
    // No buckets: a hook has closed or destroyed the zone, or its init or fini is running, which hides them. Or somebody waits
    // for an item, or too many are out: within everybody's reach with it.
    if (z.closed || z.inHook > 0 || caches.isScarce(z.zone)) {
      if (caches.giveSingle(z, p) !== OK) return false;
      if (!z.closed) core.queue.wake(z.zone);
      return true;
    }
    const line = z.line;
    for (;;) {
      const sp = i32[line + LINE_SP];
      // Not by TOP, which is 0 also when another worker has called.
      if (sp !== NO_BUCKET && (sp & BUCKET_MASK) < BUCKET_EMPTY + i32[z.zone + ZONE_BUCKET_CAP]) {
        i32[sp + 1] = p;
        i32[line + LINE_SP] = sp + 1;
        if (z.checks) u8[markIndex(z, p)] = MARK_FREE;
        // Somebody may have waited until now.
        if (i32[line + LINE_TOP] === 0) caches.resetTop(z);
        return true;
      }
      let outcome: Outcome = caches.makeRoom(z);
      if (outcome === OK) continue;
      if (outcome === EMPTY) outcome = caches.giveSingle(z, p);
      return outcome === OK;
    }
  }

  /** Whether nothing is wrong with freeing `p` but that the bucket is full: the hot path's checks once more. */
  function isMine(z: Base, p: number): boolean {
    if (!z.checks || (p | 0) !== p || (p - LOW) >>> 0 >= SPAN) return false;
    const e = ((p >>> 12) << 2) + PT;
    return i32[e] === z.tag && (p & z.unitMask) === 0 && u8[(i32[e + PTE_DELTA] + (p >> z.shift)) | 0] === ME;
  }

  /** The end of a free without dtor of an item that is this worker's: it is not touched until there is a place for it. */
  function finishOwnFree(z: Zone, p: number): void {
    if (put(z, p)) return;
    u8[markIndex(z, p)] = MINE_BUSY;
    unfinished.push({ zone: z, item: p });
  }

  /** The end of every other free: the item is BUSY in this worker's name and done with dtor. Never fails. */
  function finishFree(z: Zone, p: number): void {
    if (!put(z, p)) unfinished.push({ zone: z, item: p });
    else if (unfinished.length > 0) finishUnfinished(core);
  }

  function markIndex(z: Zone, p: number): number {
    return (i32[((p >>> 12) << 2) + PT + PTE_DELTA] + (p >> z.shift)) | 0;
  }

  function failed(z: Zone): UmaError {
    const { failure } = core;
    const name = failureName(failure);
    if (failure === LIMIT)
      return new UmaError("ERR_UMA_LIMIT", `zone "${z.name}" is at its limit; raise the option limit, or free items`, { zone: z.name });
    if (failure === BUSY)
      return new UmaError("ERR_UMA_BUSY", `zone "${z.name}": a lock could not be had in time; try again`, { zone: z.name });
    if (failure === REFUSED) return new UmaError("ERR_UMA_HOOK", `a hook of zone "${z.name}" refused the item`, { zone: z.name });
    return new UmaError(
      "ERR_UMA_EMPTY",
      `no memory for an item of zone "${z.name}" (${z.size} bytes): ${name}; raise the option bytes of the memory`,
      {
        zone: z.name,
        value: z.size,
      },
    );
  }

  /**
   * What all zones have; the hot methods are in the classes below.
   *
   * Fields are `declare`d, and stored once: V8 then takes the line, tag and shift of a zone that is a constant of its caller for
   * constants, too, and every address of the hot path with them. A field that the class defines is `undefined` first and never
   * constant again: that made a pair 1.7 times as slow.
   */
  abstract class Base implements Zone {
    closed = false;
    inHook = 0;
    hurt = 0;
    declare line: number;
    declare readonly tag: number;
    declare readonly shift: number;
    declare readonly unitMask: number;
    declare readonly zone: number;
    declare readonly keg: number;
    declare readonly id: number;
    declare readonly name: string;
    declare readonly size: number;
    declare readonly rsize: number;
    declare readonly checks: boolean;
    declare readonly plain: boolean;
    declare readonly init: Init | null;
    declare readonly fini: Fini | null;
    declare readonly zeroInit: boolean;
    declare readonly definition: ZoneDefinition;
    declare supplier: PageSupplier;
    declare private allocPages: AllocPages | null;
    declare private freePages: FreePages | null;

    constructor(definition: ZoneDefinition, place: ZonePlace) {
      this.line = place.line;
      this.tag = place.tag;
      this.shift = place.shift;
      this.unitMask = place.unitMask;
      this.zone = place.zone;
      this.keg = place.keg;
      this.id = place.id;
      this.name = definition.name;
      this.size = definition.size;
      this.rsize = place.rsize;
      this.checks = (definition.flags & FLAG_UNCHECKED) === 0;
      this.plain = bulk.isPlain(definition);
      this.init = definition.init;
      this.fini = definition.fini;
      this.zeroInit = (definition.flags & FLAG_ZINIT) !== 0;
      this.definition = definition;
      this.supplier = place.supplier;
      this.allocPages = definition.allocPages;
      this.freePages = definition.freePages;
    }

    abstract alloc(arg?: unknown): number;
    abstract tryAlloc(arg?: unknown): number;
    abstract free(item: number, arg?: unknown): void;

    allocWait(options: WaitOptions = {}, arg?: unknown): number {
      enter(this);
      return services.features.waiting.wait(this, arg, options);
    }

    async allocAsync(options: AsyncWaitOptions = {}, arg?: unknown): Promise<number> {
      enter(this);
      return services.features.waiting.later(this, arg, options);
    }

    setMax(count: number): void {
      enter(this);
      services.features.limits.setMax(this, count);
    }

    getMax(): number {
      enter(this);
      return services.features.limits.getMax(this);
    }

    getCur(): number {
      enter(this);
      return services.features.census.outstanding(this.zone);
    }

    exhausted(): boolean {
      enter(this);
      return services.features.limits.exhausted(this);
    }

    setMaxCache(count: number): void {
      enter(this);
      services.features.limits.setMaxCache(this, count);
    }

    setWarning(message: string, options: WarningOptions = {}): void {
      enter(this);
      services.features.limits.setWarning(this, message, options);
    }

    setMaxAction(action: ((zone: Zone) => void) | null): void {
      enter(this);
      services.features.limits.setMaxAction(this, action);
    }

    hide(): void {
      if (this.inHook === 0) caches.hide(this.line);
    }

    show(): void {
      if (this.inHook === 0) caches.show(this);
    }

    settle(item: number): boolean {
      // An exception may have come after it was done.
      if (this.checks && u8[markIndex(this, item)] !== MINE_BUSY) return true;
      return put(this, item);
    }

    prealloc(count: number): void {
      enter(this);
      guarded(this, () => services.prealloc(this, count));
    }

    allocBulk(into: ItemList, count: number = into.length, arg?: unknown): boolean {
      if (this.plain && count > 0 && bulk.takeAtOnce(this, into, count)) return true;
      enter(this);
      return bulk.alloc(this, into, count, arg);
    }

    freeBulk(list: ItemList, count: number = list.length, arg?: unknown): void {
      if (this.plain && this.checks && count > 0 && bulk.giveAtOnce(this, list, count)) return;
      enter(this);
      bulk.free(this, list, count, arg);
    }

    allocSmr(_arg?: unknown): number {
      throw notSmr(this);
    }

    freeSmr(_item: number): void {
      throw notSmr(this);
    }

    reserve(count: number): void {
      enter(this);
      services.features.reserves.reserve(this, count);
    }

    allocReserved(arg?: unknown): number {
      enter(this);
      return services.features.reserves.allocReserved(this, arg);
    }

    reserveKva(count: number): boolean {
      enter(this);
      return services.features.reserves.reserveKva(this, count);
    }

    prefill(count: number): void {
      enter(this);
      services.features.reserves.prefill(this, count);
    }

    reclaim(mode: ReclaimMode = "drain"): Reclaimed {
      enter(this);
      if (mode !== "trim" && mode !== "drain" && mode !== "drain-cpu") {
        throw optionError("mode of reclaim", mode, '"trim", "drain" or "drain-cpu"', this.name);
      }
      return guarded(this, () => services.features.reclaims.zone(this, mode));
    }

    destroy(options: DestroyOptions = {}): LeakReport {
      enter(this);
      return guarded(this, () => services.destroy(this, options));
    }

    close(): void {
      if (this.closed) return;
      prepare(this);
      if (!this.closed) guarded(this, () => services.close(this));
    }

    [Symbol.dispose](): void {
      this.close();
    }

    transfer(item: number, to: number): void {
      enter(this);
      items.transfer(this, item, to);
    }

    adopt(item: number): boolean {
      enter(this);
      return items.adopt(this, item);
    }

    owned(): Generator<number, void, void> {
      enter(this);
      return services.ownedBy(this, slot);
    }

    ownedBy(owner: number): Generator<number, void, void> {
      enter(this);
      return services.ownedBy(this, owner);
    }

    ownerOf(item: number): number {
      return items.ownerOf(this, item);
    }

    stats(): ZoneStatistics {
      return services.statistics(this);
    }

    setAllocf(allocPages: AllocPages): void {
      this.mayChangeSupplier("setAllocf", allocPages);
      this.allocPages = allocPages;
      this.rewireSupplier();
    }

    setFreef(freePages: FreePages): void {
      this.mayChangeSupplier("setFreef", freePages);
      this.freePages = freePages;
      this.rewireSupplier();
    }

    private mayChangeSupplier(what: string, given: unknown): void {
      enter(this);
      if (typeof given !== "function") throw optionError(what, given, "a function", this.name);
      const items = i32[this.keg + KEG_ITEMS];
      if (items === 0) return;
      throw new UmaError("ERR_UMA_TOO_LATE", `${what} of zone "${this.name}" after its first allocation: it has ${items} items`, {
        zone: this.name,
        value: items,
      });
    }

    /** One alone is completed by the arena's other half, which knows only pages of its own. */
    private rewireSupplier(): void {
      const none: AllocPages = () => 0;
      this.supplier = createUserPages(core.floor, this.allocPages ?? none, this.freePages ?? (() => undefined));
      i32[this.keg + KEG_HOOKS] |= HOOK_PAGES;
    }

    /** Finds out what is wrong with a free, or does it the long way. */
    freeSlow(p: number, dtor: Dtor | null, arg: unknown): void {
      if (p === 0) return;
      enter(this);
      if (dtor === null && isMine(this, p)) {
        finishOwnFree(this, p);
        return;
      }
      const mark = items.check(this, p);
      if (!this.checks) {
        // Believed, as the zone was made with checks off; nothing but the address is known of it.
        runDtor(this, p, dtor, arg);
        return;
      }
      if (items.claim(this, p, mark)) f64[(this.line + LINE_REMOTE) >> 1]++;
      runDtor(this, p, dtor, arg);
    }
  }

  function runDtor(z: Zone, p: number, dtor: Dtor | null, arg: unknown): void {
    if (dtor === null) {
      finishFree(z, p);
      return;
    }
    try {
      dtor(p, arg, views);
    } catch (cause) {
      finishFree(z, p);
      throw hookError("dtor", z.name, p, cause);
    }
    finishFree(z, p);
  }

  class PlainZone extends Base {
    alloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        const p = i32[sp];
        u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return p;
      }
      return take(this, ME, true) | 0;
    }

    tryAlloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        const p = i32[sp];
        u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return p;
      }
      return take(this, ME, false) | 0;
    }

    free(p: number): void {
      if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
        const e = ((p >>> 12) << 2) + PT;
        if (i32[e] === this.tag && (p & this.unitMask) === 0) {
          const m = (i32[e + 1] + (p >> this.shift)) | 0;
          const c = this.line;
          const sp = i32[c];
          if (u8[m] === ME && (sp & 255) < i32[c + 1]) {
            i32[sp + 1] = p;
            i32[c] = sp + 1;
            u8[m] = 0;
            return;
          }
        }
      }
      this.freeSlow(p, null, undefined);
    }
  }

  /**
   * Zones with handles and no hooks of the user's: a free counts the generation behind the item up before the item can be anybody's
   * again. What the words mean, uma/typed/handles.ts says.
   */
  class CountingZone extends PlainZone implements Counting {
    declare readonly generationAt: number;
    declare readonly generationStep: number;
    declare generationEnd: number;

    constructor(definition: ZoneDefinition, place: ZonePlace, counting: CountingPlace) {
      super(definition, place);
      this.generationAt = counting.at;
      this.generationStep = counting.step;
      this.generationEnd = counting.end;
    }

    override free(p: number): void {
      if ((p | 0) === p && (p - LOW) >>> 0 < SPAN) {
        const e = ((p >>> 12) << 2) + PT;
        if (i32[e] === this.tag && (p & this.unitMask) === 0) {
          const m = (i32[e + 1] + (p >> this.shift)) | 0;
          const c = this.line;
          const sp = i32[c];
          const w = (p + this.generationAt) >> 3;
          const g = f64[w] + this.generationStep;
          if (u8[m] === ME && (sp & 255) < i32[c + 1] && g < this.generationEnd) {
            f64[w] = g;
            i32[sp + 1] = p;
            i32[c] = sp + 1;
            u8[m] = 0;
            return;
          }
        }
      }
      this.freeSlow(p, this.definition.dtor, undefined);
    }
  }

  class UncheckedZone extends Base {
    alloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return i32[sp];
      }
      return take(this, ME, true) | 0;
    }

    tryAlloc(): number {
      const c = this.line;
      const sp = i32[c];
      const n = i32[c + 2];
      if ((((sp & 255) - 8) | n) >= 0) {
        i32[c] = sp - 1;
        i32[c + 2] = n + 1;
        return i32[sp];
      }
      return take(this, ME, false) | 0;
    }

    free(p: number): void {
      const c = this.line;
      const sp = i32[c];
      if ((sp & 255) < i32[c + 1] && p !== 0) {
        i32[sp + 1] = p;
        i32[c] = sp + 1;
        return;
      }
      this.freeSlow(p, null, undefined);
    }
  }

  /** A class for one zone with hooks: they are constants of this call. */
  function hookedClass(ctor: Ctor | null, dtor: Dtor | null, zero: boolean): new (d: ZoneDefinition, place: ZonePlace) => Zone {
    return class HookedZone extends Base {
      alloc(arg?: unknown): number {
        const c = this.line;
        const sp = i32[c];
        const n = i32[c + 2];
        if ((((sp & 255) - 8) | n) >= 0) {
          const p = i32[sp];
          if (this.checks) u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = MINE_BUSY;
          i32[c] = sp - 1;
          i32[c + 2] = n + 1;
          return this.construct(p, arg, true) | 0;
        }
        return this.allocSlow(arg, true) | 0;
      }

      tryAlloc(arg?: unknown): number {
        const c = this.line;
        const sp = i32[c];
        const n = i32[c + 2];
        if ((((sp & 255) - 8) | n) >= 0) {
          const p = i32[sp];
          if (this.checks) u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = MINE_BUSY;
          i32[c] = sp - 1;
          i32[c + 2] = n + 1;
          return this.construct(p, arg, false) | 0;
        }
        return this.allocSlow(arg, false) | 0;
      }

      /** The item is BUSY in this worker's name; on refusal it goes back without dtor. */
      construct(p: number, arg: unknown, must: boolean): number {
        if (zero) u8.fill(0, p, p + this.size);
        if (ctor !== null) {
          let accepted: boolean | void;
          try {
            accepted = ctor(p, arg, views);
          } catch (cause) {
            this.refused(p);
            throw hookError("ctor", this.name, p, cause);
          }
          if (accepted === false) {
            this.refused(p);
            core.failure = REFUSED;
            if (must) throw failed(this);
            return 0;
          }
        }
        if (this.checks) u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;
        return p;
      }

      refused(p: number): void {
        uncountAlloc(this);
        finishFree(this, p);
      }

      free(p: number, arg?: unknown): void {
        if ((p | 0) === p && (p - LOW) >>> 0 < SPAN && this.checks) {
          const e = ((p >>> 12) << 2) + PT;
          if (i32[e] === this.tag && (p & this.unitMask) === 0) {
            const m = (i32[e + 1] + (p >> this.shift)) | 0;
            if (u8[m] === ME) {
              u8[m] = MINE_BUSY;
              if (dtor !== null) this.destruct(p, arg);
              // Only now: dtor may have used this zone.
              const c = this.line;
              const sp = i32[c];
              if ((sp & 255) < i32[c + 1]) {
                i32[sp + 1] = p;
                i32[c] = sp + 1;
                u8[m] = 0;
                return;
              }
              this.finish(p);
              return;
            }
          }
        }
        this.freeSlow(p, dtor, arg);
      }

      destruct(p: number, arg: unknown): void {
        try {
          (dtor as Dtor)(p, arg, views);
        } catch (cause) {
          this.finish(p);
          throw hookError("dtor", this.name, p, cause);
        }
      }

      finish(p: number): void {
        finishFree(this, p);
        if (Atomics.load(i32, this.line + LINE_REASONS) !== 0) services.attend(this);
      }

      allocSlow(arg: unknown, must: boolean): number {
        const p = take(this, MINE_BUSY, must);
        return p === 0 ? 0 : this.construct(p, arg, must);
      }
    };
  }

  /** A zone whose freed items wait for readers: its own pair of operations, and none of the others. */
  class SmrZone extends Base {
    alloc(): number {
      throw notPlain(this);
    }

    tryAlloc(): number {
      throw notPlain(this);
    }

    free(): void {
      throw notPlain(this);
    }

    override allocSmr(arg?: unknown): number {
      let p = this.takeSmr();
      if (p !== 0 && this.definition.ctor !== null) p = this.construct(p, arg, this.definition.ctor);
      if (p !== 0) u8[markIndex(this, p)] = ME;
      return p;
    }

    /** An item, BUSY: from buckets or, before new memory is taken, from the limbo. */
    takeSmr(): number {
      const { limbo } = services.features;
      if ((i32[this.line + LINE_SP] & BUCKET_MASK) <= BUCKET_EMPTY) {
        enter(this);
        limbo.harvest(this);
      }
      const p = take(this, MINE_BUSY, false);
      if (p !== 0 || (core.failure !== LIMIT && core.failure !== EMPTY)) return p;
      return limbo.seal(this) && limbo.harvest(this) ? take(this, MINE_BUSY, false) : 0;
    }

    construct(p: number, arg: unknown, ctor: Ctor): number {
      let accepted: boolean | void;
      try {
        accepted = ctor(p, arg, views);
      } catch (cause) {
        this.refused(p);
        throw hookError("ctor", this.name, p, cause);
      }
      if (accepted !== false) return p;
      this.refused(p);
      core.failure = REFUSED;
      return 0;
    }

    refused(p: number): void {
      uncountAlloc(this);
      finishFree(this, p);
    }

    override freeSmr(p: number): void {
      if (p === 0) return;
      enter(this);
      services.features.limbo.free(this, p);
    }
  }

  function notPlain(z: Zone): UmaError {
    return new UmaError("ERR_UMA_SMR", `zone "${z.name}" is an SMR zone: allocSmr and freeSmr`, { zone: z.name });
  }

  /** A class that notes where its items come from: see sites.ts. */
  function trackedClass(Untracked: new (d: ZoneDefinition, place: ZonePlace) => Zone, sample: number): typeof Untracked {
    return class TrackedZone extends Untracked {
      private allocations = 0;

      override alloc(arg?: unknown): number {
        const p = super.alloc(arg);
        this.note(p);
        return p;
      }

      override tryAlloc(arg?: unknown): number {
        const p = super.tryAlloc(arg);
        if (p !== 0) this.note(p);
        return p;
      }

      override free(p: number, arg?: unknown): void {
        // What is no item, or is free, is for the free itself to complain of.
        if (p !== 0 && Atomics.load(u8, items.check(this, p)) !== MARK_FREE) core.sites.forget(this, p);
        super.free(p, arg);
      }

      private note(p: number): void {
        const n = ++this.allocations;
        core.sites.note(this, p, n, n % sample === 0);
      }
    };
  }

  function make(definition: ZoneDefinition, place: ZonePlace): Zone {
    const { ctor, dtor, flags, sample } = definition;
    if ((flags & FLAG_SMR) !== 0) return new SmrZone(definition, place);
    const zero = (flags & FLAG_ZERO) !== 0;
    if (definition.counting !== null) return new CountingZone(definition, place, definition.counting);
    const hooked = ctor !== null || dtor !== null || zero;
    if (sample > 0) return new (trackedClass(hooked ? hookedClass(ctor, dtor, zero) : PlainZone, sample))(definition, place);
    if (hooked) return new (hookedClass(ctor, dtor, zero))(definition, place);
    return (flags & FLAG_UNCHECKED) !== 0 ? new UncheckedZone(definition, place) : new PlainZone(definition, place);
  }

  return { make };
}
