/**
 * Size classes: which zone an allocation of so many bytes comes from.
 *
 * Steps of 16 bytes up to 512, of 32 up to 1024, and eight classes a doubling up to 8192. Powers of two alone would hold 1.8
 * times the live bytes of a real program; this division holds 1.02 to 1.1 times as many. Beyond 8192 bytes whole pages straight
 * from the heap arena waste less than slabs of a few items do.
 *
 * Each class is an ordinary zone, `malloc-<size>`, so ownership, recovery, limits, statistics and verification are those of
 * zones.
 */
import { BUCKET_MAX_ITEMS, PAGE_BYTES } from "../../backend/memory/layout.ts";
import { type DeathPolicy, defineZone, type ZoneDefinition } from "../definition.ts";

/** Largest size that comes from a zone, bytes. */
export const SMALL_MAX_BYTES = 8192;
/** Granularity of the table from sizes to classes, log2 bytes. */
export const CLASS_SHIFT = 4;

/** What the zones of malloc are called: this, then the size. */
export const ZONE_PREFIX = "malloc-";

/** Item sizes of the classes, bytes, ascending. */
export const CLASS_SIZES: readonly number[] = sizes();

function sizes(): number[] {
  const all: number[] = [];
  for (let size = 16; size <= 512; size += 16) all.push(size);
  for (let size = 544; size <= 1024; size += 32) all.push(size);
  for (let base = 1024; base < SMALL_MAX_BYTES; base *= 2) {
    for (let eighth = 1; eighth <= 8; eighth++) all.push(base + (base / 8) * eighth);
  }
  return all;
}

/** The class of size s is CLASS_OF[(s + 15) >> CLASS_SHIFT], for 0 ≤ s ≤ SMALL_MAX_BYTES; a size of 0 counts as 1. */
export const CLASS_OF: Uint8Array = table();

function table(): Uint8Array {
  const classes = new Uint8Array((SMALL_MAX_BYTES >> CLASS_SHIFT) + 1);
  let at = 0;
  for (let unit = 0; unit < classes.length; unit++) {
    while ((CLASS_SIZES[at] as number) < unit << CLASS_SHIFT) at++;
    classes[unit] = at;
  }
  return classes;
}

/** Bytes that an allocation of `size` bytes has: its class's, or whole pages. */
export function laidOut(size: number): number {
  if (size > SMALL_MAX_BYTES) return Math.ceil(size / PAGE_BYTES) * PAGE_BYTES;
  return CLASS_SIZES[CLASS_OF[(size + 15) >> CLASS_SHIFT] as number] as number;
}

/**
 * Bytes of items that one bucket of a small class may hold, and items that it holds at least; a worker has two buckets a class. With
 * half of both, mixed sizes took half as long again, and the traces' heaps were a hundredth smaller.
 */
const BUCKET_CONTENT_BYTES = 4096;
const BUCKET_LEAST_ITEMS = 4;

/** Items of a bucket of a class that has few items in all. */
export function bucketItems(size: number): number {
  return Math.min(BUCKET_MAX_ITEMS, Math.max(BUCKET_LEAST_ITEMS, Math.floor(BUCKET_CONTENT_BYTES / size)));
}

/** Items of the depot of such a class: what is more goes back to the slabs, where it can become whole pages again. */
export const DEPOT_BUCKETS = 4;

/** The classes' zones, in the order of CLASS_SIZES: every thread uses the same ones, and so the same policy. */
export function classZones(onDeath: DeathPolicy): readonly ZoneDefinition[] {
  const zones: ZoneDefinition[] = [];
  for (const size of CLASS_SIZES) {
    zones.push(defineZone(`${ZONE_PREFIX}${size}`, { size, maxCache: DEPOT_BUCKETS * bucketItems(size), onDeath }));
  }
  return zones;
}
