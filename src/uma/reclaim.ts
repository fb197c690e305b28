/**
 * Giving memory back: what of the cached items goes to the slabs, what of the empty slabs to the supplier, and when.
 *
 * Three depths, FreeBSD's: **trim** leaves in the depot what the working-set estimate says will be wanted; **drain** empties the
 * depot (and this worker's own cache); **drain-cpu** also calls the other workers to give up theirs, which each does as soon as it
 * looks at its attention word. Each then gives up the wholly free slabs above the zone's reserve. Of a zone that this thread has
 * not open nothing is touched here (its fini and freef may be elsewhere): its openers are called to do the same.
 *
 * The **working set** is estimated once a tick, from the span between the most and the least items that the depot held since the
 * tick before: WSS = max(¾ WSS, most − least). A tick also gives back slabs that have lain free since the tick before (so that
 * zones without buckets shrink, too), and lets buckets that nobody contended for shrink towards the size they began with.
 * Whoever wants runs ticks: by hand, or by {@link Reclaim.maintain}'s timer; if several do, one at a time has an effect.
 */
import { UmaError } from "../backend/memory/errors.ts";
import {
  KEG_FLAGS,
  KEG_FREE,
  KEG_FREE_SEEN,
  KEG_IPERS,
  KEG_LOCK,
  KEG_PPERA,
  KEG_RESERVE,
  KEG_RSIZE,
  PAGE_BYTES,
  REASON_RECLAIM,
  REASON_TRIM,
  SB_PAGE_LIMIT,
  SB_RELIEF,
  SB_TICK,
  ZONE_BUCKET_CAP,
  ZONE_BUCKET_MAX,
  ZONE_BUCKET_MIN,
  ZONE_CONTENTIONS,
  ZONE_CONTENTIONS_SEEN,
  ZONE_DEPOT_ITEMS,
  ZONE_DEPOT_MAX,
  ZONE_DEPOT_MIN,
  ZONE_FLAGS,
  ZONE_FULL_COUNT,
  ZONE_KEG,
  ZONE_LIMIN,
  ZONE_SLEEPERS,
  ZONE_STATE,
  ZONE_STATE_LIVE,
  ZONE_TIMIN,
  ZONE_WSS,
} from "../backend/memory/layout.ts";
import type { Closing } from "./closing.ts";
import type { Core } from "./core.ts";
import { FLAG_NOFREE, FLAG_SMR, FLAG_UNMANAGED, bucketRange } from "./definition.ts";
import { OK } from "./outcome.ts";
import type { Registry } from "./registry.ts";
import type { Reclaimed, Zone } from "./zone.ts";

/** How far a reclaim goes. @source FreeBSD uma.h UMA_RECLAIM_TRIM, UMA_RECLAIM_DRAIN, UMA_RECLAIM_DRAIN_CPU */
export type ReclaimMode = "trim" | "drain" | "drain-cpu";

export interface Reclaim {
  zone(z: Zone, mode: ReclaimMode): Reclaimed;
  /** Every zone but the unmanaged ones. */
  all(mode: ReclaimMode): Reclaimed;
  /** Gives back what a call asked for, without throwing. */
  attend(z: Zone, mode: ReclaimMode): void;
  /** One tick of maintenance. @returns false when another worker has just done it. */
  tick(): boolean;
  /** Pages of the memory in use above which memory is called low; 0 = no limit. */
  setPageLimit(pages: number): void;
  pageLimit(): number;
  /** Has `callback` called when memory is low. @returns ends that. */
  onLowMemory(callback: () => void): () => void;
  /** Looks whether memory is low, and does what is due; at most once a second over all workers. */
  relieve(): void;
}

/** Ticks that the depot must not have run dry for its long-run minimum to be given back: FreeBSD's 15 minutes. */
const LONG_RUN_TICKS = 45;
/** Between two ticks at the least, milliseconds. */
const TICK_APART_MS = 1000;
const RELIEF_APART_MS = 1000;
/** Reliefs and ticks are timed by the wall clock's low 31 bits. */
const CLOCK_MASK = 0x7fffffff;

/** What a reclaim needs of the parts around it. */
export interface ReclaimServices {
  /** Completes what a lock out of reach has left in this worker's frames. */
  finishOwnFrames(): void;
  /** Brings everything out of the limbo whose time has come. */
  harvestAll(z: Zone): void;
}

export function createReclaim(core: Core, registry: Registry, closing: Closing, services: ReclaimServices): Reclaim {
  const { floor, caches, kegs, heap } = core;
  const { i32 } = floor.cells;
  const { locks, patienceMs } = floor;
  const { set, commit } = floor.journal;
  const sb = floor.cells.base;
  const callbacks = new Set<() => void>();
  let relieving = false;

  function busy(name: string): UmaError {
    return new UmaError("ERR_UMA_BUSY", `reclaim of zone "${name}": a lock could not be had in time; try again`, { zone: name });
  }

  function give(z: Zone, mode: ReclaimMode): number {
    const { zone, keg } = z;
    if ((i32[zone + ZONE_FLAGS] & FLAG_SMR) !== 0) services.harvestAll(z);
    if (mode !== "trim" && caches.drainLine(zone, keg, z.line, true) !== OK) return -1;
    if (caches.drainDepot(zone, keg, mode === "trim" ? wanted(zone, i32[zone + ZONE_WSS]) : 0, z) !== OK) return -1;
    narrow(zone, keg, mode === "drain-cpu");
    const slabs = (i32[keg + KEG_FLAGS] & FLAG_NOFREE) !== 0 ? 0 : kegs.shrink(z, i32[keg + KEG_RESERVE]);
    if (slabs > 0) wakeSleepers();
    return slabs;
  }

  /** Memory has come free: whoever waits for an item of any zone looks again. */
  function wakeSleepers(): void {
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone !== 0 && i32[zone + ZONE_SLEEPERS] !== 0) core.queue.wakeAll(zone);
    }
  }

  /** Buckets that the depot keeps, to hold about `items`. */
  function wanted(zone: number, items: number): number {
    const held = i32[zone + ZONE_DEPOT_ITEMS];
    const buckets = i32[zone + ZONE_FULL_COUNT];
    return held <= items ? buckets : Math.ceil((buckets * items) / held);
  }

  /** Makes buckets smaller: by one, or half the way to the least. */
  function narrow(zone: number, keg: number, half: boolean): void {
    const cap = i32[zone + ZONE_BUCKET_CAP];
    const least = Math.max(i32[zone + ZONE_BUCKET_MIN], Math.min(startOf(zone, keg), i32[zone + ZONE_BUCKET_MAX]));
    if (cap <= least || !locks.acquire(keg + KEG_LOCK, patienceMs)) return;
    try {
      // Somebody may have switched the caches off, or made buckets smaller, since.
      if (i32[zone + ZONE_BUCKET_CAP] !== cap) return;
      set(zone + ZONE_BUCKET_CAP, half ? (cap + least) >>> 1 : cap - 1);
      commit();
    } finally {
      locks.release();
    }
  }

  function startOf(_zone: number, keg: number): number {
    return bucketRange(i32[keg + KEG_RSIZE], -1).start;
  }

  function reclaimZone(z: Zone, mode: ReclaimMode): Reclaimed {
    kegs.takeFailure();
    const slabs = give(z, mode);
    if (slabs < 0) throw busy(z.name);
    if (mode === "drain-cpu") closing.call(z.zone, REASON_RECLAIM);
    const failure = kegs.takeFailure();
    if (failure !== null) throw failure;
    return { slabs, bytes: slabs * i32[z.keg + KEG_PPERA] * PAGE_BYTES };
  }

  function all(mode: ReclaimMode): Reclaimed {
    services.finishOwnFrames();
    let slabs = 0;
    let bytes = 0;
    locks.mend();
    kegs.takeFailure();
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone === 0 || i32[zone + ZONE_STATE] !== ZONE_STATE_LIVE || (i32[zone + ZONE_FLAGS] & FLAG_UNMANAGED) !== 0) continue;
      const z = core.open[id];
      if (z !== undefined && !z.closed && z.inHook === 0 && z.hurt === 0) {
        const given = Math.max(0, give(z, mode));
        slabs += given;
        bytes += given * i32[z.keg + KEG_PPERA] * PAGE_BYTES;
        if (mode === "drain-cpu") closing.call(zone, REASON_RECLAIM);
      } else closing.call(zone, mode === "trim" ? REASON_TRIM : REASON_RECLAIM);
    }
    const failure = kegs.takeFailure();
    if (failure !== null) throw failure;
    return { slabs, bytes };
  }

  function attend(z: Zone, mode: ReclaimMode): void {
    if (z.inHook === 0) give(z, mode);
  }

  function now(): number {
    return Math.floor(Date.now() & CLOCK_MASK) || 1;
  }

  /** Whether this worker may do what is done at most once in `apart` milliseconds. */
  function mayGo(word: number, apart: number): boolean {
    const last = Atomics.load(i32, word);
    const at = now();
    if (last !== 0 && ((at - last) & CLOCK_MASK) < apart) return false;
    return Atomics.compareExchange(i32, word, last, at) === last;
  }

  function tick(): boolean {
    if (!mayGo(sb + SB_TICK, TICK_APART_MS)) return false;
    locks.mend();
    age();
    return true;
  }

  function age(): void {
    services.finishOwnFrames();
    for (let id = registry.highest(); id > 0; id--) {
      const zone = registry.recordOf(id);
      if (zone === 0 || i32[zone + ZONE_STATE] !== ZONE_STATE_LIVE) continue;
      const keep = estimate(zone);
      if (keep < 0 || (i32[zone + ZONE_FLAGS] & FLAG_UNMANAGED) !== 0) continue;
      const idle = idleItems(i32[zone + ZONE_KEG]);
      const z = core.open[id];
      if (z === undefined || z.closed || z.inHook > 0 || z.hurt !== 0) {
        if (i32[zone + ZONE_DEPOT_ITEMS] > keep || idle >= i32[i32[zone + ZONE_KEG] + KEG_IPERS]) closing.call(zone, REASON_TRIM);
        continue;
      }
      caches.drainDepot(zone, z.keg, wanted(zone, keep), z);
      quieten(zone, z.keg);
      if ((i32[z.keg + KEG_FLAGS] & FLAG_NOFREE) === 0 && idle > 0) {
        kegs.shrink(z, Math.max(i32[z.keg + KEG_RESERVE], i32[z.keg + KEG_FREE] - idle));
      }
      wakeSleepers();
    }
  }

  /** Brings the working set up to date. @returns items that the depot should keep; −1 when the lock was out of reach. */
  function estimate(zone: number): number {
    const keg = i32[zone + ZONE_KEG];
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return -1;
    try {
      const items = i32[zone + ZONE_DEPOT_ITEMS];
      const least = Math.min(items, i32[zone + ZONE_DEPOT_MIN]);
      const most = Math.max(items, i32[zone + ZONE_DEPOT_MAX]);
      const wss = Math.max(Math.floor((i32[zone + ZONE_WSS] * 3) / 4), most - least);
      const longRun = i32[zone + ZONE_LIMIN];
      const dry = least === 0;
      set(zone + ZONE_WSS, wss);
      set(zone + ZONE_DEPOT_MAX, Math.floor((most + items) / 2));
      set(zone + ZONE_DEPOT_MIN, items);
      set(zone + ZONE_LIMIN, least < longRun ? least : longRun + Math.ceil((least - longRun) / 256));
      set(zone + ZONE_TIMIN, dry ? 0 : i32[zone + ZONE_TIMIN] + 1);
      commit();
      const idle = i32[zone + ZONE_TIMIN] > LONG_RUN_TICKS ? items - Math.ceil(i32[zone + ZONE_LIMIN] / 4) : items;
      return Math.min(wss, idle);
    } finally {
      locks.release();
    }
  }

  /** Items that have been free in the slabs since the last tick, more or less. */
  function idleItems(keg: number): number {
    const free = i32[keg + KEG_FREE];
    const idle = Math.min(free, i32[keg + KEG_FREE_SEEN]);
    Atomics.store(i32, keg + KEG_FREE_SEEN, free);
    return idle;
  }

  function quieten(zone: number, keg: number): void {
    const contentions = i32[zone + ZONE_CONTENTIONS];
    if (contentions === i32[zone + ZONE_CONTENTIONS_SEEN]) narrow(zone, keg, false);
    Atomics.store(i32, zone + ZONE_CONTENTIONS_SEEN, contentions);
  }

  function setPageLimit(pages: number): void {
    Atomics.store(i32, sb + SB_PAGE_LIMIT, pages);
  }

  function onLowMemory(callback: () => void): () => void {
    callbacks.add(callback);
    return () => void callbacks.delete(callback);
  }

  function relieve(): void {
    const limit = i32[sb + SB_PAGE_LIMIT];
    if (limit === 0 || relieving || heap.counts().inUse <= limit) return;
    if (!mayGo(sb + SB_RELIEF, RELIEF_APART_MS)) return;
    relieving = true;
    try {
      for (const callback of Array.from(callbacks)) callback();
      all("drain-cpu");
    } finally {
      relieving = false;
    }
  }

  return { zone: reclaimZone, all, attend, tick, setPageLimit, pageLimit: () => i32[sb + SB_PAGE_LIMIT], onLowMemory, relieve };
}
