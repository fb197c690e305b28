/**
 * A zone's depot: its lists of buckets that no worker has in its hands. Full ones (those with items), empty ones, and the limbo of
 * SMR zones. All stores here are entries of the caller's transaction under the keg's lock.
 *
 * A bucket in the depot has 0 as its owner, and COUNT says how many items are in it.
 */
import type { Floor } from "../backend/memory/floor.ts";
import * as layout from "../backend/memory/layout.ts";
import type { Smr } from "./smr.ts";

const {
  BUCKET_COUNT,
  BUCKET_NEXT,
  BUCKET_OWNER,
  BUCKET_SEQ,
  ZONE_DEPOT_ITEMS,
  ZONE_DEPOT_MAX,
  ZONE_DEPOT_MIN,
  ZONE_EMPTY,
  ZONE_EMPTY_COUNT,
  ZONE_FULL,
  ZONE_FULL_COUNT,
  ZONE_LIMBO,
  ZONE_LIMBO_COUNT,
  ZONE_LIMBO_TAIL,
} = layout;

export interface Depot {
  /** Takes the first full bucket, which holds `count` items, out of its list. */
  readonly unlinkFull: (zone: number, bucket: number, count: number) => void;
  readonly linkFull: (zone: number, bucket: number, count: number) => void;
  readonly linkEmpty: (zone: number, bucket: number) => void;
  /** Takes the first empty bucket; it is this worker's. */
  readonly unlinkEmpty: (zone: number, bucket: number) => void;
  /** Joins the limbo as its youngest; the goal comes after the last item. */
  readonly linkLimbo: (zone: number, bucket: number, count: number) => void;
  /** Takes the oldest out of the limbo. */
  readonly unlinkLimbo: (zone: number, bucket: number) => void;
}

export function createDepot(floor: Floor, smr: Smr): Depot {
  const { i32 } = floor.cells;
  const { me } = floor;
  const { set, add } = floor.journal;

  function unlinkFull(zone: number, bucket: number, count: number): void {
    set(zone + ZONE_FULL, i32[bucket + BUCKET_NEXT]);
    add(zone + ZONE_FULL_COUNT, -1);
    const items = i32[zone + ZONE_DEPOT_ITEMS] - count;
    set(zone + ZONE_DEPOT_ITEMS, items);
    if (items < i32[zone + ZONE_DEPOT_MIN]) i32[zone + ZONE_DEPOT_MIN] = items;
  }

  function linkFull(zone: number, bucket: number, count: number): void {
    set(bucket + BUCKET_COUNT, count);
    set(bucket + BUCKET_OWNER, 0);
    set(bucket + BUCKET_NEXT, i32[zone + ZONE_FULL]);
    set(zone + ZONE_FULL, bucket);
    add(zone + ZONE_FULL_COUNT, 1);
    const items = i32[zone + ZONE_DEPOT_ITEMS] + count;
    set(zone + ZONE_DEPOT_ITEMS, items);
    if (items > i32[zone + ZONE_DEPOT_MAX]) i32[zone + ZONE_DEPOT_MAX] = items;
  }

  function linkEmpty(zone: number, bucket: number): void {
    set(bucket + BUCKET_COUNT, 0);
    set(bucket + BUCKET_OWNER, 0);
    set(bucket + BUCKET_NEXT, i32[zone + ZONE_EMPTY]);
    set(zone + ZONE_EMPTY, bucket);
    add(zone + ZONE_EMPTY_COUNT, 1);
  }

  function unlinkEmpty(zone: number, bucket: number): void {
    set(zone + ZONE_EMPTY, i32[bucket + BUCKET_NEXT]);
    add(zone + ZONE_EMPTY_COUNT, -1);
    set(bucket + BUCKET_OWNER, me);
  }

  function linkLimbo(zone: number, bucket: number, count: number): void {
    const tail = i32[zone + ZONE_LIMBO_TAIL];
    set(bucket + BUCKET_COUNT, count);
    set(bucket + BUCKET_OWNER, 0);
    set(bucket + BUCKET_NEXT, 0);
    set(bucket + BUCKET_SEQ, smr.advance());
    set(tail === 0 ? zone + ZONE_LIMBO : tail + BUCKET_NEXT, bucket);
    set(zone + ZONE_LIMBO_TAIL, bucket);
    add(zone + ZONE_LIMBO_COUNT, 1);
    add(zone + ZONE_DEPOT_ITEMS, count);
  }

  function unlinkLimbo(zone: number, bucket: number): void {
    const next = i32[bucket + BUCKET_NEXT];
    set(zone + ZONE_LIMBO, next);
    if (next === 0) set(zone + ZONE_LIMBO_TAIL, 0);
    add(zone + ZONE_LIMBO_COUNT, -1);
  }

  return { unlinkFull, linkFull, linkEmpty, unlinkEmpty, linkLimbo, unlinkLimbo };
}
