/**
 * Thrift: how much the size classes may hold beyond what is in use.
 *
 * **Trimming.** A program's phases fill different classes, so a heap would come to hold the sum of the peaks of all classes (up
 * to 1.4 times the peak of the sum) if what one class has no use for did not go back before another takes more. The moment is
 * when a class is about to take pages for a slab, or a large block is: that needs memory and holds no lock. Every so many pages
 * taken, if what lies free in the slabs and depots of the classes is more than a share of the heap in use, depots are emptied
 * into the slabs and wholly free slabs go back, of the classes with most to spare, until as many pages have come back as were
 * taken: then the heap has not grown, and who needs again what it had still has it. Where that much is not found, what is left
 * free lies in slabs that are partly taken, and the next trim waits until more does.
 *
 * **Buckets.** What lies in a worker's buckets and in the depot is held, too, and saves time in proportion; so both may hold a
 * share of the class's items, or a small fixed amount if that is more. A class that has grown or shrunk gets new bounds at the
 * same moments; the first come with its first slab, before there is anything to hold.
 *
 * The pages themselves come from the default supplier; only this thread's zone handles carry the thrifty one, and recovery by
 * a thread without it gives the same pages back in the same way.
 */
import type { Floor } from "../../backend/memory/floor.ts";
import * as layout from "../../backend/memory/layout.ts";
import { NO_PAGES, type PageSupplier } from "../../backend/supplier/page-supplier.ts";
import type { Heap } from "../../backend/vmem/heap.ts";
import type { Caches } from "../cache.ts";
import type { Kegs } from "../keg.ts";
import type { Zone } from "../zone.ts";
import { DEPOT_BUCKETS, bucketItems } from "./classes.ts";

const {
  BUCKET_MAX_ITEMS,
  INTENT_KEG,
  KEG_FREE,
  KEG_IPERS,
  KEG_ITEMS,
  KEG_LIST_FREE,
  KEG_LOCK,
  KEG_PPERA,
  KEG_RESERVE,
  KEG_SIZE,
  KEG_ZONE,
  PAGE_BYTES,
  ZONE_BUCKET_CAP,
  ZONE_DEPOT_CAP,
  ZONE_DEPOT_ITEMS,
} = layout;

/** Pages taken between two looks at what lies idle. */
const LOOK_PAGES = 32;
/** A trim is worth while when more lies idle than 1/2^IDLE_SHIFT of the heap in use, and than these bytes. */
const IDLE_SHIFT = 6;
const IDLE_LEAST_BYTES = 32_768;
/** A bucket may hold 1/2^BUCKET_SHIFT of the class's items, the depot 1/2^DEPOT_SHIFT. */
const BUCKET_SHIFT = 6;
const DEPOT_SHIFT = 4;

export interface Thrift {
  /** Supplier of the classes' zones. */
  readonly supplier: PageSupplier;
  /** To be called before `pages` pages are taken: now and then looks whether a trim is worth while, and does it. */
  consider(pages: number): void;
  /** Gives back all that can be, whatever is worth while. @returns whether any slab was. */
  all(): boolean;
}

/** @param zones - the classes' zones as this thread has them open; grows as they are opened. */
export function createThrift(
  floor: Floor,
  heap: Heap,
  caches: Caches,
  kegs: Kegs,
  arenaPages: PageSupplier,
  zones: readonly Zone[],
): Thrift {
  const { i32 } = floor.cells;
  const { locks, patienceMs } = floor;
  const { set, commit } = floor.journal;
  /** What was left lying idle by the last trim, bytes. */
  let leftIdle = 0;
  let sinceLook = 0;
  let trimming = false;

  function idleBytes(): number {
    let bytes = 0;
    for (const z of zones) bytes += spareBytes(z);
    return bytes;
  }

  function spareBytes(z: Zone): number {
    return (i32[z.keg + KEG_FREE] + i32[z.zone + ZONE_DEPOT_ITEMS]) * z.rsize;
  }

  function consider(pages: number): void {
    sinceLook += pages;
    if (sinceLook < LOOK_PAGES || trimming) return;
    const wanted = sinceLook;
    sinceLook = 0;
    const idle = idleBytes();
    if (idle < leftIdle) leftIdle = idle;
    const share = (heap.counts().inUse * PAGE_BYTES) / 2 ** IDLE_SHIFT;
    if (idle - leftIdle > Math.max(share, IDLE_LEAST_BYTES)) give(wanted);
  }

  /** Gives pages back to the heap, from the classes that have most to spare, until there are `wanted`. @returns how many there were. */
  function give(wanted: number): number {
    if (trimming) return 0;
    locks.mend();
    trimming = true;
    let given = 0;
    try {
      for (const { z } of bySpare()) {
        given += trim(z, wanted - given);
        if (given >= wanted) break;
      }
    } finally {
      trimming = false;
    }
    // What is left lies in slabs that are partly taken: until more does, nobody looks for whole ones.
    if (given < wanted) leftIdle = idleBytes();
    return given;
  }

  function bySpare(): { z: Zone; bytes: number }[] {
    const all: { z: Zone; bytes: number }[] = [];
    for (const z of zones) {
      const bytes = spareBytes(z);
      if (bytes > 0 && !z.closed && z.inHook === 0) all.push({ z, bytes });
    }
    return all.sort((one, other) => other.bytes - one.bytes);
  }

  /** Gives up to `pages` pages of a class back, or hardly more. @returns how many. */
  function trim(z: Zone, pages: number): number {
    // What this worker caches of a class that lies mostly idle only keeps its slabs from becoming whole.
    if (i32[z.keg + KEG_FREE] * 2 > i32[z.keg + KEG_ITEMS]) caches.drainLine(z.zone, z.keg, z.line);
    if (i32[z.zone + ZONE_DEPOT_ITEMS] > 0) caches.drainDepot(z.zone, z.keg, 0, z);
    if (i32[z.keg + KEG_LIST_FREE] === 0) return 0;
    const ppera = i32[z.keg + KEG_PPERA];
    const keep = i32[z.keg + KEG_FREE] - Math.ceil(pages / ppera) * i32[z.keg + KEG_IPERS];
    const given = kegs.shrink(z, Math.max(keep, i32[z.keg + KEG_RESERVE]));
    bound(z.zone, z.keg);
    return given * ppera;
  }

  function all(): boolean {
    return give(Number.POSITIVE_INFINITY) > 0;
  }

  /** Brings the bounds of buckets and depot in step with the number of items, when they are a quarter off. */
  function bound(zone: number, keg: number): void {
    const items = i32[keg + KEG_ITEMS];
    const least = bucketItems(i32[keg + KEG_SIZE]);
    const cap = Math.min(BUCKET_MAX_ITEMS, Math.max(least, items >>> BUCKET_SHIFT));
    const now = i32[zone + ZONE_BUCKET_CAP];
    if (Math.abs(cap - now) * 4 <= now) return;
    if (!locks.acquire(keg + KEG_LOCK, patienceMs)) return;
    try {
      set(zone + ZONE_BUCKET_CAP, cap);
      set(zone + ZONE_DEPOT_CAP, Math.max(DEPOT_BUCKETS * cap, items >>> DEPOT_SHIFT));
      commit();
    } finally {
      locks.release();
    }
  }

  function alloc(zone: string, pages: number, frame: number, mayWait: boolean): number {
    const keg = i32[frame + INTENT_KEG];
    consider(pages);
    bound(i32[keg + KEG_ZONE], keg);
    const address = arenaPages.alloc(zone, pages, frame, mayWait);
    if (address !== NO_PAGES || !all()) return address;
    return arenaPages.alloc(zone, pages, frame, mayWait);
  }

  return { supplier: { userSupplied: false, alloc, free: (zone, frame) => arenaPages.free(zone, frame) }, consider, all };
}
