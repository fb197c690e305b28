/**
 * The usual exchanges of buckets, written out: what a worker whose bucket ran empty or full needs nine times of ten.
 *
 * A worker that empties and fills its buckets in turn comes here once in 248 operations, and what that costs is all that a zone
 * costs beyond its hot path. So the two swaps with the spare are done without the entrance of the slow path and in the same
 * transaction as the allocation or the free, and the two exchanges with the depot note all old values first and open the
 * transaction once, instead of entry by entry. Everything unusual (no spare, no empty bucket, a call, a depot at its bound) is left to
 * cache.ts, which can do all of it: each function here either does its work or changes nothing.
 *
 * From the store that opens the transaction to the one that closes it nothing is called: so no exception comes in between, not
 * even a stack overflow, and a swap needs nobody to undo it but the recoverer of a worker that died there.
 *
 * That the swap begins with nothing open and nothing asked for is told by one test of three words. A zone that is closed or hurt
 * points to the dead line, which has no spare and TOP 0; while a hook runs that may not use the zone, SP names no bucket.
 */
import type { Floor } from "../backend/memory/floor.ts";
import * as layout from "../backend/memory/layout.ts";

const {
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_MASK,
  BUCKET_NEXT,
  BUCKET_OWNER,
  LINE_ALLOCS,
  LINE_EXCHANGES,
  LINE_EXTRA,
  LINE_REASONS,
  LINE_SP,
  LINE_SPARE,
  LINE_TOP,
  NO_BUCKET,
  SLOT_JOURNAL_COUNT,
  SLOT_PENDING_LOCK,
  ZONE_DEPOT_CAP,
  ZONE_DEPOT_ITEMS,
  ZONE_DEPOT_MAX,
  ZONE_DEPOT_MIN,
  ZONE_EMPTY,
  ZONE_EMPTY_COUNT,
  ZONE_FULL,
  ZONE_FULL_COUNT,
} = layout;

export interface Exchange {
  /** Whether the alloc bucket of a line is empty, and the spare is not: then {@link takeFromSpare} may follow. */
  maySwapEmpty(line: number): boolean;
  /** Swaps, and takes the spare's topmost item, which has been marked. Not without {@link maySwapEmpty}. */
  takeFromSpare(line: number): void;
  /** If the alloc bucket of a line is full and the spare is not: swaps, and puts `p` on the spare. The mark is cleared after it. */
  giveToSpare(line: number, p: number): boolean;
  /** Under the keg's lock: an empty alloc bucket for the depot's first full one. @returns false where that is not all. */
  takeFull(line: number, zone: number): boolean;
  /** Under the keg's lock: a full alloc bucket for an empty one of the depot. @returns false where that is not all. */
  giveFull(line: number, zone: number): boolean;
}

export function createExchange(floor: Floor): Exchange {
  const { i32 } = floor.cells;
  const { me, slotWord } = floor;
  const { note } = floor.journal;
  const PENDING = slotWord + SLOT_PENDING_LOCK;
  const COUNT = slotWord + SLOT_JOURNAL_COUNT;

  function maySwapEmpty(line: number): boolean {
    const sp = i32[line + LINE_SP];
    const n = i32[line + LINE_ALLOCS];
    return (
      (i32[line + LINE_SPARE] & BUCKET_MASK) > BUCKET_EMPTY &&
      (sp & BUCKET_MASK) === BUCKET_EMPTY &&
      sp !== NO_BUCKET &&
      n >= 0 &&
      n < 0x7fffffff &&
      (i32[line + LINE_REASONS] | i32[PENDING] | i32[COUNT]) === 0
    );
  }

  function takeFromSpare(line: number): void {
    const sp = i32[line + LINE_SP];
    const spare = i32[line + LINE_SPARE];
    note(0, line + LINE_SP);
    note(1, line + LINE_SPARE);
    i32[COUNT] = 2;
    i32[line + LINE_SP] = spare - 1;
    i32[line + LINE_SPARE] = sp;
    i32[COUNT] = 0;
    i32[line + LINE_ALLOCS]++;
  }

  function giveToSpare(line: number, p: number): boolean {
    const sp = i32[line + LINE_SP];
    const spare = i32[line + LINE_SPARE];
    const top = i32[line + LINE_TOP];
    if (top === 0 || sp === NO_BUCKET || (sp & BUCKET_MASK) < top || spare === 0 || (spare & BUCKET_MASK) >= top) return false;
    if ((i32[line + LINE_REASONS] | i32[PENDING] | i32[COUNT]) !== 0) return false;
    i32[spare + 1] = p;
    note(0, line + LINE_SP);
    note(1, line + LINE_SPARE);
    i32[COUNT] = 2;
    i32[line + LINE_SP] = spare + 1;
    i32[line + LINE_SPARE] = sp;
    i32[COUNT] = 0;
    return true;
  }

  function takeFull(line: number, zone: number): boolean {
    const old = i32[line + LINE_SP];
    const bucket = i32[zone + ZONE_FULL];
    const next = i32[bucket + BUCKET_NEXT];
    if ((old & BUCKET_MASK) !== BUCKET_EMPTY || old === NO_BUCKET || i32[line + LINE_SPARE] === 0) return false;
    const empty = old - BUCKET_EMPTY;
    const count = i32[bucket + BUCKET_COUNT];
    const items = i32[zone + ZONE_DEPOT_ITEMS] - count;
    note(0, line + LINE_SP);
    note(1, bucket + BUCKET_OWNER);
    note(2, zone + ZONE_FULL);
    note(3, zone + ZONE_FULL_COUNT);
    note(4, zone + ZONE_DEPOT_ITEMS);
    note(5, empty + BUCKET_COUNT);
    note(6, empty + BUCKET_OWNER);
    note(7, empty + BUCKET_NEXT);
    note(8, zone + ZONE_EMPTY);
    note(9, zone + ZONE_EMPTY_COUNT);
    i32[COUNT] = 10;
    i32[line + LINE_SP] = bucket + BUCKET_EMPTY + count;
    i32[bucket + BUCKET_OWNER] = me;
    i32[zone + ZONE_FULL] = next;
    i32[zone + ZONE_FULL_COUNT]--;
    i32[zone + ZONE_DEPOT_ITEMS] = items;
    i32[empty + BUCKET_COUNT] = 0;
    i32[empty + BUCKET_OWNER] = 0;
    i32[empty + BUCKET_NEXT] = i32[zone + ZONE_EMPTY];
    i32[zone + ZONE_EMPTY] = empty;
    i32[zone + ZONE_EMPTY_COUNT]++;
    i32[COUNT] = 0;
    if (items < i32[zone + ZONE_DEPOT_MIN]) i32[zone + ZONE_DEPOT_MIN] = items;
    i32[line + LINE_EXCHANGES]++;
    return true;
  }

  function giveFull(line: number, zone: number): boolean {
    const sp = i32[line + LINE_SP];
    const empty = i32[zone + ZONE_EMPTY];
    const head = i32[zone + ZONE_FULL];
    if (sp === NO_BUCKET || empty === 0) return false;
    if (i32[line + LINE_SPARE] === 0 || i32[line + LINE_EXTRA] !== 0) return false;
    const bucket = sp & ~BUCKET_MASK;
    const count = (sp & BUCKET_MASK) - BUCKET_EMPTY;
    const items = i32[zone + ZONE_DEPOT_ITEMS] + count;
    const most = i32[zone + ZONE_DEPOT_CAP];
    if (most !== 0 && items > most) return false;
    note(0, line + LINE_SP);
    note(1, empty + BUCKET_OWNER);
    note(2, zone + ZONE_EMPTY);
    note(3, zone + ZONE_EMPTY_COUNT);
    note(4, bucket + BUCKET_COUNT);
    note(5, bucket + BUCKET_OWNER);
    note(6, bucket + BUCKET_NEXT);
    note(7, zone + ZONE_FULL);
    note(8, zone + ZONE_FULL_COUNT);
    note(9, zone + ZONE_DEPOT_ITEMS);
    i32[COUNT] = 10;
    i32[line + LINE_SP] = empty + BUCKET_EMPTY;
    i32[empty + BUCKET_OWNER] = me;
    i32[zone + ZONE_EMPTY] = i32[empty + BUCKET_NEXT];
    i32[zone + ZONE_EMPTY_COUNT]--;
    i32[bucket + BUCKET_COUNT] = count;
    i32[bucket + BUCKET_OWNER] = 0;
    i32[bucket + BUCKET_NEXT] = head;
    i32[zone + ZONE_FULL] = bucket;
    i32[zone + ZONE_FULL_COUNT]++;
    i32[zone + ZONE_DEPOT_ITEMS] = items;
    i32[COUNT] = 0;
    if (items > i32[zone + ZONE_DEPOT_MAX]) i32[zone + ZONE_DEPOT_MAX] = items;
    i32[line + LINE_EXCHANGES]++;
    return true;
  }

  return { maySwapEmpty, takeFromSpare, giveToSpare, takeFull, giveFull };
}
