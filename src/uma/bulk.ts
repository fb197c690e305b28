/**
 * Many items at once: all or nothing on the way out, checked as a whole before anything happens on the way back.
 *
 * In a zone without hooks a run of items goes straight from the alloc bucket to the caller: every item is marked as this worker's,
 * then one store of the bucket's position commits them all, as a single allocation does for one (*the bucket beats the mark*).
 * Frees first mark their items BUSY, which finds an item that stands twice in the list and makes any refusal repairable; then a
 * run of them goes onto the bucket with one store. A worker that dies in between leaves items that its recovery makes anew.
 *
 * Zones with hooks, and items of other workers, take the single way, one after the other.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import * as layout from "../backend/memory/layout.ts";
import { createBulkRuns } from "./bulk-runs.ts";
import { isCacheItem } from "./cache-zone.ts";
import type { Core } from "./core.ts";
import { type ZoneDefinition, FLAG_SITES, FLAG_SMR, FLAG_ZERO } from "./definition.ts";
import type { Zone } from "./zone.ts";

const {
  BUCKET_EMPTY,
  BUCKET_MASK,
  LINE_ALLOCS,
  LINE_REMOTE,
  LINE_SP,
  LINE_TOP,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  PAGE_SHIFT,
  PTE_DELTA,
  PTE_TAG,
  ZONE_ORPHANS,
} = layout;

/** Where items go to, and come from. */
export type ItemList = Int32Array | number[];

export interface Bulk {
  /** Whether runs of the zone's items need no hook. */
  isPlain(definition: ZoneDefinition): boolean;
  /** Takes all of them from the alloc bucket, if it has so many. @returns false when nothing has changed. */
  takeAtOnce(z: Zone, into: ItemList, count: number): boolean;
  /** Frees all of them into the alloc bucket, if they are this worker's and it has room. @returns false when nothing has changed. */
  giveAtOnce(z: Zone, items: ItemList, count: number): boolean;
  /** Fills `into` with `count` items. @returns false when there are not so many: then none was taken. */
  alloc(z: Zone, into: ItemList, count: number, arg: unknown): boolean;
  /** Frees the first `count` of `items`; 0 is ignored. */
  free(z: Zone, items: ItemList, count: number, arg: unknown): void;
}

/** Another worker's item that has been claimed: where its mark is, what it was, and whose. */
interface Claimed {
  readonly mark: number;
  readonly was: number;
  readonly tenant: number;
}

export function createBulk(core: Core): Bulk {
  const { i32, u8, f64 } = core.floor.cells;
  const { pageTable: PT, heapStart, heapEnd } = core.floor.geometry;
  const { slot, slots, handing } = core.floor;
  const MINE_BUSY = slot | MARK_BUSY;
  const SPAN = heapEnd - heapStart;
  const runs = createBulkRuns(core.floor);

  function isPlain({ ctor, dtor, flags, counting }: ZoneDefinition): boolean {
    return ctor === null && dtor === null && counting === null && (flags & (FLAG_ZERO | FLAG_SMR | FLAG_SITES)) === 0;
  }

  function checkList(z: Zone, items: ItemList, count: number): void {
    if (!Array.isArray(items) && !(items instanceof Int32Array)) throw optionError("items", items, "an array or Int32Array", z.name);
    if (!Number.isInteger(count) || count < 0 || count > items.length) {
      throw optionError("count", count, `an integer from 0 to ${items.length}, the length of the list`, z.name);
    }
  }

  function markAt(z: Zone, p: number): number {
    return (i32[((p >>> PAGE_SHIFT) << 2) + PT + PTE_DELTA] + (p >> z.shift)) | 0;
  }

  function alloc(z: Zone, into: ItemList, count: number, arg: unknown): boolean {
    checkList(z, into, count);
    const { plain } = z;
    let done = 0;
    try {
      while (done < count) {
        const run = plain ? takeRun(z, into, done, count - done) : 0;
        done += run;
        if (run > 0) continue;
        const p = z.tryAlloc(arg);
        if (p === 0) break;
        into[done++] = p;
      }
    } finally {
      if (done < count) giveUp(z, into, done, arg);
      for (let n = done; n < count; n++) into[n] = 0;
    }
    return done === count;
  }

  function takeAtOnce(z: Zone, into: ItemList, count: number): boolean {
    if (z.checks && into instanceof Int32Array) return runs.takeOut(z, into, count);
    if ((count | 0) !== count || count > into.length || (i32[z.line + LINE_SP] & BUCKET_MASK) - BUCKET_EMPTY < count) return false;
    return takeRun(z, into, 0, count) === count;
  }

  /** Takes what the alloc bucket has, up to `want`. @returns how many; 0 where the slow path has to have a look. */
  function takeRun(z: Zone, into: ItemList, at: number, want: number): number {
    const { line, checks, shift } = z;
    const sp = i32[line + LINE_SP];
    const run = Math.min((sp & BUCKET_MASK) - BUCKET_EMPTY, want);
    const allocs = i32[line + LINE_ALLOCS];
    if (run <= 0 || allocs < 0 || allocs + run > 0x7fffffff) return 0;
    let page = -1;
    let delta = 0;
    for (let n = 0; n < run; n++) {
      const p = i32[sp - n];
      into[at + n] = p;
      if (!checks) continue;
      if (p >>> 12 !== page) {
        page = p >>> 12;
        delta = i32[((p >>> 12) << 2) + PT + 1];
      }
      u8[(delta + (p >> shift)) | 0] = slot;
    }
    i32[line + LINE_SP] = sp - run;
    i32[line + LINE_ALLOCS] = allocs + run;
    return run;
  }

  /** There were not enough: what was taken goes back, and is not counted. */
  function giveUp(z: Zone, taken: ItemList, count: number, arg: unknown): void {
    const { failure } = core;
    for (let n = 0; n < count; n++) {
      z.free(taken[n] as number, arg);
      taken[n] = 0;
    }
    // Without the bit of a call, which with a count of 0 would be taken for the carry: TOP and the reasons stand.
    const allocs = z.closed ? 0 : i32[z.line + LINE_ALLOCS] & 0x7fffffff;
    if (allocs >= count) i32[z.line + LINE_ALLOCS] = allocs - count;
    core.failure = failure;
  }

  function free(z: Zone, items: ItemList, count: number, arg: unknown): void {
    checkList(z, items, count);
    if (!z.plain || !z.checks) {
      validate(z, items, count);
      for (let n = 0; n < count; n++) z.free(items[n] as number, arg);
      return;
    }
    const others = claim(z, items, count);
    f64[(z.line + LINE_REMOTE) >> 1] += others;
    giveRuns(z, items, count);
  }

  /**
   * The usual case in one pass: all of them this worker's, and room for all. At the first that is not as usual those before it come
   * back, which nobody else has seen. @returns false when it is not the usual case: then nothing has changed.
   */
  function giveAtOnce(z: Zone, items: ItemList, count: number): boolean {
    if (!(items instanceof Int32Array)) return false;
    const done = runs.putBack(z, items, count);
    if (done === count) return true;
    runs.takeBack(z, items, done);
    return false;
  }

  /** Whether a free of `p` would pass the quick checks. */
  function isItem(z: Zone, p: number): boolean {
    if ((p | 0) !== p || (p - heapStart) >>> 0 >= SPAN || (p & z.unitMask) !== 0) return false;
    return i32[((p >>> PAGE_SHIFT) << 2) + PT + PTE_TAG] === z.tag;
  }

  function validate(z: Zone, items: ItemList, count: number): void {
    for (let n = 0; n < count; n++) {
      const p = items[n] as number;
      if (p === 0) continue;
      if (z.gate !== null && z.gate.origin !== null) {
        if (isCacheItem(p)) continue;
        throw optionError("items", p, "32-bit integers", z.name);
      }
      const mark = core.items.check(z, p);
      if (z.checks && u8[mark] === MARK_FREE) throw alreadyFree(z, p);
    }
    for (let n = 0; n < count; n++) {
      // A set of thousands is dearer than to look at the list twice only where it matters: hooks are run one by one anyway.
      if (items[n] !== 0 && items.indexOf(items[n] as number) !== n) throw alreadyFree(z, items[n] as number);
    }
  }

  function alreadyFree(z: Zone, p: number): UmaError {
    return new UmaError("ERR_UMA_DOUBLE_FREE", `the item ${p} of zone "${z.name}" is free already, or stands twice in the list`, {
      zone: z.name,
      value: p,
    });
  }

  /**
   * Marks all items BUSY in this worker's name, those of others by compare-exchange; at the first that is no item, is free, or
   * stands twice, all is as before. @returns how many were others'.
   */
  function claim(z: Zone, items: ItemList, count: number): number {
    const others: Claimed[] = [];
    for (let n = items instanceof Int32Array ? runs.claim(z, items, count) : 0; n < count; n++) {
      const p = items[n] as number;
      if (p === 0) continue;
      const mark = isItem(z, p) ? markAt(z, p) : -1;
      if (mark >= 0 && u8[mark] === slot) {
        u8[mark] = MINE_BUSY;
        continue;
      }
      try {
        const at = core.items.check(z, p);
        const seen = u8[at];
        if (seen === MARK_FREE || seen === MINE_BUSY) throw alreadyFree(z, p);
        const tenant = (seen & ~MARK_BUSY) === MARK_ORPHAN ? 0 : slots.tenant(seen & ~MARK_BUSY);
        others.push({ mark: at, was: core.items.claimFor(z, p, at, MINE_BUSY), tenant });
      } catch (thrown) {
        for (const one of others) giveBack(z, one);
        for (let back = 0; back < n; back++) {
          const q = items[back] as number;
          if (q !== 0 && isItem(z, q) && u8[markAt(z, q)] === MINE_BUSY) u8[markAt(z, q)] = slot;
        }
        throw thrown;
      }
    }
    return others.length;
  }

  /** Another worker's item is its again, or nobody's if it takes nothing any more: its recovery has been past this item. */
  function giveBack(z: Zone, { mark, was, tenant }: Claimed): void {
    if (was !== MARK_ORPHAN && handing.begin(tenant)) {
      Atomics.store(u8, mark, was);
      handing.end();
      return;
    }
    Atomics.store(u8, mark, MARK_ORPHAN);
    // Where what the dead held is to be freed: by whoever comes by.
    if (was !== MARK_ORPHAN) Atomics.store(i32, z.zone + ZONE_ORPHANS, 1);
  }

  /** Puts the BUSY items of the list into buckets, a run at a time: the store of the position commits, then the marks go. */
  function giveRuns(z: Zone, items: ItemList, count: number): void {
    let n = 0;
    while (n < count) {
      if (items instanceof Int32Array) n = runs.put(z, items, n, count);
      const { line } = z;
      const sp = i32[line + LINE_SP];
      const top = i32[line + LINE_TOP];
      let at = sp;
      const from = n;
      while (n < count && (at & BUCKET_MASK) < top) {
        const p = items[n++] as number;
        if (p === 0 || u8[markAt(z, p)] !== MINE_BUSY) continue;
        i32[++at] = p;
      }
      if (at !== sp) {
        i32[line + LINE_SP] = at;
        for (let w = sp + 1; w <= at; w++) u8[markAt(z, i32[w])] = MARK_FREE;
      }
      if (n === count) return;
      if (n > from) continue;
      // No room, or a call: one item the long way, which sees to both.
      const p = items[n++] as number;
      if (p !== 0 && u8[markAt(z, p)] === MINE_BUSY) {
        u8[markAt(z, p)] = slot;
        z.free(p);
      }
    }
  }

  return { isPlain, takeAtOnce, giveAtOnce, alloc, free };
}
