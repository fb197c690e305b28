/**
 * Zones: what the user allocates from, as one thread has them open. The interface is here; where it is done:
 *
 *  - `zone-classes.ts`: the hot path, alloc and free, a class for each kind of zone;
 *  - `zone-slow.ts`: where the hot path leaves to, when the bucket is empty or full or anything is not as it should be;
 *  - `zone-base.ts`: everything else that a zone can do.
 */
import type { AllocPages, FreePages, PageSupplier } from "../backend/supplier/page-supplier.ts";
import type { ZoneHandle } from "./cache.ts";
import type { ItemList } from "./bulk.ts";
import type { Census } from "./census.ts";
import { type ZoneDefinition } from "./definition.ts";
import type { Limbo } from "./limbo.ts";
import type { Fini, Init } from "./hooks.ts";
import type { Limits, WarningOptions } from "./limits.ts";
import type { Reclaim, ReclaimMode } from "./reclaim.ts";
import type { Reserves } from "./reserves.ts";
import type { Setters } from "./setters.ts";
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
  /**
   * Sets a hook of the keg (`init`, `fini`) or between keg and caches, before the first allocation; each thread sets its own.
   * @throws UmaError ERR_UMA_TOO_LATE. @source FreeBSD uma.h uma_zone_set_init, _fini, _zinit, _zfini
   */
  setInit(init: Init): void;
  setFini(fini: Fini): void;
  setZoneInit(zoneInit: Init): void;
  setZoneFini(zoneFini: Fini): void;
  /** Makes it an SMR zone, before the first allocation; in each thread. @throws UmaError ERR_UMA_TOO_LATE. @source FreeBSD uma.h uma_zone_set_smr */
  setSmr(): void;
  /** Replaces the supplier (allocf); with {@link setFreef}, before the first allocation. @throws UmaError ERR_UMA_TOO_LATE. */
  setAllocf(allocPages: AllocPages): void;
  setFreef(freePages: FreePages): void;
  [Symbol.dispose](): void;
  /** Finishes the free of an item that is BUSY in this worker's name. @returns false when a lock was out of reach. */
  settle(item: number): boolean;
}

/** A zone whose free counts generations up. */
export interface Counting {
  /** The last value of the word that a free may set without a look at the zone's ceiling. */
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
  readonly zoneAt: number;
  readonly zoneIndex: number;
}

/** What zones need of the parts above them. */
export interface ZoneServices {
  readonly features: ZoneFeatures;
  /** An allocation has met the limit. */
  limitMet(z: Zone): void;
  /** Does what other workers have asked for. */
  attend(z: Zone): void;
  /** Completes what a lock out of reach has cut short: intent frames, closings, places in queues. */
  finishCut(): void;
  prealloc(z: Zone, count: number): void;
  /** @throws UmaError ERR_UMA_OPTION for what has no meaning in a zone without slabs. */
  refuseCache(z: Zone, what: string): void;
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
  readonly setters: Setters;
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
  /** Gives a zone without items the operations of SMR zones. */
  toSmr(z: Zone): void;
}
