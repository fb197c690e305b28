import { describe, expect, test } from "vitest";
import { defineZone, type Uma, type Zone } from "../../../src/index.ts";
import {
  BUCKET_COUNT,
  BUCKET_EMPTY,
  BUCKET_MASK,
  BUCKET_NEXT,
  BUCKET_OWNER,
  HC_FREE,
  HC_TOTAL,
  HEADER_CLASS_STEP_BYTES,
  HEADER_CLASS_WORDS,
  KEG_BITS_WORDS,
  KEG_FREE,
  KEG_HEADER_BYTES,
  KEG_ITEMS,
  KEG_LIST_FREE,
  KEG_LIST_TAKEN,
  KEG_LOCK,
  KEG_PAGES,
  KEG_SLABS,
  LINE_SP,
  LINE_SPARE,
  MARK_BUSY,
  PAGE_SHIFT,
  PTE_DELTA,
  PTE_SLAB,
  PTE_TAG,
  SB_BUCKET_FREE,
  SB_BUCKET_TOTAL,
  SB_CONTROL_LOCK,
  SB_HEADER_CLASSES,
  SB_HEAP_ARENA,
  SB_POOL_LOCK,
  SB_POOL_PAGES,
  SB_RECORD_PAGES,
  SLAB_BITS,
  SLAB_FREE,
  SLAB_KEG,
  SLAB_LIST,
  SLAB_NEXT,
  SLAB_PREV,
  SLOT_INTENT_DEPTH,
  SLOT_JOURNAL_COUNT,
  SLOT_OPEN,
  SLOT_PENDING_LOCK,
  ZONE_DEPOT_ITEMS,
  ZONE_EMPTY,
  ZONE_EMPTY_COUNT,
  ZONE_FULL,
  ZONE_FULL_COUNT,
  ZONE_ITEMS,
  ZONE_LIMIT,
} from "../../../src/backend/memory/layout.ts";
import { expectSound, give, makeUma, take } from "../../fixtures/zones.ts";

interface Scene {
  readonly uma: Uma;
  readonly zone: Zone;
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
  readonly base: number;
  /** An item that is out, one that lies in the alloc bucket, one that lies in the depot, one that is free in its slab. */
  readonly out: number;
  readonly cached: number;
  readonly stored: number;
  readonly resting: number;
  readonly slab: number;
  readonly entry: number;
  /** First full and first empty bucket of the depot. */
  readonly full: number;
  readonly empty: number;
}

/** A zone with slabs of every kind, full and empty buckets in the depot, two of its own, items everywhere; and pools with spares. */
function makeScene(): Scene {
  const uma = makeUma();
  const { i32, u8, base } = uma.core.floor.cells;
  const zone = uma.open(defineZone("damaged", { size: 64, bucket: 10 }));
  const other = uma.open(defineZone("other", { size: 64, bucket: 10 }));
  give(other, take(other, 2000));
  other.reclaim();
  zone.prealloc(300);
  const items = take(zone, 100);
  give(zone, items.slice(0, 60));
  // A depot with an empty bucket as well as full ones.
  take(zone, 25);
  const sp = i32[zone.line + LINE_SP] as number;
  const full = i32[zone.zone + ZONE_FULL] as number;
  const out = items[99] as number;
  const slabs = (list: number): number => i32[zone.keg + list] as number;
  const resting = uma.core.slabs.takeOne(zone.keg, slabs(KEG_LIST_FREE));
  uma.core.floor.journal.undo(uma.core.floor.slotWord);
  return {
    uma,
    zone,
    i32,
    u8,
    base,
    out,
    cached: i32[sp] as number,
    stored: i32[full + BUCKET_EMPTY + 1] as number,
    resting,
    slab: uma.core.slabs.slabOf(out),
    entry: uma.core.floor.geometry.pageTable + ((out >>> PAGE_SHIFT) << 2),
    full,
    empty: i32[zone.zone + ZONE_EMPTY] as number,
  };
}

/** Word and bit of an item's free bit. */
function bitOf({ uma, zone, i32 }: Scene, item: number): [number, number] {
  const slab = uma.core.slabs.slabOf(item);
  const index = (item - (i32[slab + 3] as number)) / zone.rsize;
  return [slab + SLAB_BITS + (index >>> 5), 1 << (index & 31)];
}

function flipBit(s: Scene, item: number): void {
  const [word, bit] = bitOf(s, item);
  s.i32[word] = (s.i32[word] as number) ^ bit;
}

function mark(s: Scene, item: number, value: number): void {
  s.u8[s.uma.core.slabs.markOf(item, s.zone.shift)] = value;
}

function headerClass({ base, i32, zone }: Scene): number {
  return (
    base + SB_HEADER_CLASSES + (Math.ceil((i32[zone.keg + KEG_HEADER_BYTES] as number) / HEADER_CLASS_STEP_BYTES) - 1) * HEADER_CLASS_WORDS
  );
}

const DAMAGE: [string, (s: Scene) => void, RegExp][] = [
  // Items: bits and marks.
  ["the free bit of an item that is out", (s) => flipBit(s, s.out), /is free and marked/],
  ["the free bit of an item in a bucket", (s) => flipBit(s, s.cached), /is free in its slab and in a bucket/],
  ["the free bit of an item that is free", (s) => flipBit(s, s.resting), /in nobody's hands/],
  ["the mark of an item that is out, cleared", (s) => mark(s, s.out, 0), /in nobody's hands \(lost\)/],
  ["the mark of an item in a bucket, set", (s) => mark(s, s.cached, 1), /is free and marked 1/],
  ["the mark of an item in the depot, set", (s) => mark(s, s.stored, 1 | MARK_BUSY), /is free and marked 129/],
  ["the mark of a free item, set", (s) => mark(s, s.resting, 1), /is free and marked 1/],
  ["an item that belongs to a free slot", (s) => mark(s, s.out, 5), /belongs to the free slot 5/],
  // Buckets.
  [
    "an item that stands in buckets twice",
    ({ i32, zone, stored }) => void (i32[i32[zone.line + LINE_SP] as number] = stored),
    /in buckets twice/,
  ],
  ["an item in a bucket that is no item", ({ i32, zone }) => void (i32[i32[zone.line + LINE_SP] as number] = 12345), /belong to no slab/],
  ["a full bucket's count, raised", ({ i32, full }) => i32[full + BUCKET_COUNT]++, /in the depot|belong to no slab|twice/],
  ["a full bucket's count, lowered", ({ i32, full }) => i32[full + BUCKET_COUNT]--, /items in the depot: counted/],
  ["a full bucket's count, huge", ({ i32, full }) => void (i32[full + BUCKET_COUNT] = 2 ** 30), /cannot hold/],
  ["a full bucket's count, negative", ({ i32, full }) => void (i32[full + BUCKET_COUNT] = -3), /cannot hold -3/],
  ["a full bucket that is empty", ({ i32, full }) => void (i32[full + BUCKET_COUNT] = 0), /full bucket of the depot holds 0/],
  ["an empty bucket that is not", ({ i32, empty }) => void (i32[empty + BUCKET_COUNT] = 2), /empty bucket of the depot holds 2/],
  ["a depot's bucket with an owner", ({ i32, full }) => void (i32[full + BUCKET_OWNER] = 1), /names 1 as its owner/],
  [
    "a worker's bucket with another owner",
    ({ i32, zone }) => void (i32[((i32[zone.line + LINE_SP] as number) & ~BUCKET_MASK) + BUCKET_OWNER] = 77),
    /whose owner is 77/,
  ],
  [
    "a bucket named twice by a worker",
    ({ i32, zone }) => void (i32[zone.line + LINE_SPARE] = i32[zone.line + LINE_SP] as number),
    /two places/,
  ],
  ["a worker's bucket forgotten", ({ i32, zone }) => void (i32[zone.line + LINE_SPARE] = 0), /buckets: \d+ in the pool/],
  ["a worker's bucket that is none", ({ i32, zone }) => void (i32[zone.line + LINE_SPARE] = 2 ** 30), /is no bucket/],
  ["a worker's bucket below position 0", ({ i32, zone, full }) => void (i32[zone.line + LINE_SPARE] = full + 3), /two places|cannot hold/],
  ["a depot whose list is a circle", ({ i32, full }) => void (i32[full + BUCKET_NEXT] = full), /circle/],
  ["a depot whose list leads astray", ({ i32, full }) => void (i32[full + BUCKET_NEXT] = 2 ** 30), /is no bucket/],
  ["a depot whose list leads into a record", ({ i32, full, zone }) => void (i32[full + BUCKET_NEXT] = zone.line + 1), /is no bucket/],
  ["a depot whose list is cut", ({ i32, full }) => void (i32[full + BUCKET_NEXT] = 0), /full buckets: counted/],
  ["the number of full buckets", ({ i32, zone }) => i32[zone.zone + ZONE_FULL_COUNT]++, /full buckets: counted/],
  ["the number of empty buckets", ({ i32, zone }) => i32[zone.zone + ZONE_EMPTY_COUNT]++, /empty buckets: counted/],
  [
    "an empty bucket forgotten",
    ({ i32, zone }) => void ((i32[zone.zone + ZONE_EMPTY] = 0), (i32[zone.zone + ZONE_EMPTY_COUNT] = 0)),
    /buckets: \d+ in the pool/,
  ],
  ["the items of the depot", ({ i32, zone }) => i32[zone.zone + ZONE_DEPOT_ITEMS]++, /items in the depot: counted/],
  // Pools.
  ["the pool's number of buckets", ({ i32, base }) => i32[base + SB_BUCKET_TOTAL]++, /buckets: \d+ in the pool/],
  ["a bucket in the pool and in use", ({ i32, base, full }) => void (i32[base + SB_BUCKET_FREE] = full), /is in the pool and in use/],
  ["the pool's list of buckets, cut", ({ i32, base }) => void (i32[base + SB_BUCKET_FREE] = 0), /buckets: 0 in the pool/],
  [
    "the pool's list of buckets, a circle",
    ({ i32, base }) => void (i32[(i32[base + SB_BUCKET_FREE] as number) + BUCKET_NEXT] = i32[base + SB_BUCKET_FREE] as number),
    /circle/,
  ],
  ["the pool's number of headers", (s) => s.i32[headerClass(s) + HC_TOTAL]++, /slab headers of class/],
  ["a header in the pool and in use", (s) => void (s.i32[headerClass(s) + HC_FREE] = s.slab), /is in the pool and in use/],
  ["the pool's list of headers, cut", (s) => void (s.i32[headerClass(s) + HC_FREE] = 0), /slab headers of class/],
  [
    "the pool's list of headers, a circle",
    (s) => void (s.i32[(s.i32[headerClass(s) + HC_FREE] as number) + SLAB_NEXT] = s.i32[headerClass(s) + HC_FREE] as number),
    /circle/,
  ],
  ["the pages of the pools", ({ i32, base }) => i32[base + SB_POOL_PAGES]--, /pages: \d+ are taken/],
  ["the pages of the records", ({ i32, base }) => i32[base + SB_RECORD_PAGES]++, /pages: \d+ are taken/],
  // Slabs.
  ["a slab's free count", ({ i32, slab }) => i32[slab + SLAB_FREE]++, /its header says/],
  ["a slab's list", ({ i32, slab }) => void (i32[slab + SLAB_LIST] = 0), /says 0/],
  ["a slab's keg", ({ i32, slab }) => void (i32[slab + SLAB_KEG] = 7), /belongs to another keg/],
  ["a slab's back link", ({ i32, slab }) => void (i32[slab + SLAB_PREV] = 8), /does not point back/],
  ["a list of slabs that is a circle", ({ i32, slab }) => void (i32[slab + SLAB_NEXT] = slab), /circle/],
  ["a list of slabs that leads astray", ({ i32, slab }) => void (i32[slab + SLAB_NEXT] = -5), /no header/],
  [
    "a slab in the wrong list",
    ({ i32, zone }) => {
      const slab = i32[zone.keg + KEG_LIST_FREE] as number;
      i32[zone.keg + KEG_LIST_FREE] = i32[slab + SLAB_NEXT] as number;
      i32[slab + SLAB_NEXT] = i32[zone.keg + KEG_LIST_TAKEN] as number;
      i32[zone.keg + KEG_LIST_TAKEN] = slab;
      i32[slab + SLAB_LIST] = KEG_LIST_TAKEN;
    },
    /stands in the wrong list/,
  ],
  ["a slab forgotten by its keg", ({ i32, zone }) => void (i32[zone.keg + KEG_LIST_FREE] = 0), /slabs: counted/],
  ["fewer bits than items", ({ i32, zone }) => void (i32[zone.keg + KEG_BITS_WORDS] = 1), /fewer bits|page table|marked/],
  // Counters.
  ["the keg's slabs", ({ i32, zone }) => i32[zone.keg + KEG_SLABS]++, /slabs: counted/],
  ["the keg's items", ({ i32, zone }) => i32[zone.keg + KEG_ITEMS]++, /items: counted/],
  ["the keg's free items", ({ i32, zone }) => i32[zone.keg + KEG_FREE]--, /free items: counted/],
  ["the keg's pages", ({ i32, zone }) => i32[zone.keg + KEG_PAGES]++, /pages: counted|pages: \d+ are taken/],
  ["the items out of the keg", ({ i32, zone }) => i32[zone.zone + ZONE_ITEMS]++, /items out of the keg: counted/],
  ["a limit that was passed", ({ i32, zone }) => void (i32[zone.zone + ZONE_LIMIT] = 3), /the limit is 3/],
  // Page table.
  ["the page table's tag", ({ i32, entry }) => i32[entry + PTE_TAG]++, /does not know the slab/],
  ["the page table's slab", ({ i32, entry }) => i32[entry + PTE_SLAB]++, /does not know the slab/],
  ["the page table's way to the marks", ({ i32, entry }) => i32[entry + PTE_DELTA]++, /does not know the slab/],
  [
    "a page without a slab in the page table",
    ({ i32, uma, zone }) => {
      const { pageTable, heapEnd } = uma.core.floor.geometry;
      i32[pageTable + (((heapEnd - 1) >>> PAGE_SHIFT) << 2) + PTE_TAG] = zone.tag;
    },
    /where no zone has any/,
  ],
  // Locks, journals, intents, slots.
  ["the control lock held", ({ i32, base }) => void (i32[base + SB_CONTROL_LOCK] = 1), /control lock is held/],
  ["the pool's lock held", ({ i32, base }) => void (i32[base + SB_POOL_LOCK] = 1), /pool lock is held/],
  ["the heap's lock held", ({ i32, base }) => void (i32[base + SB_HEAP_ARENA] = 1), /heap lock is held/],
  ["a keg's lock held", ({ i32, zone }) => void (i32[zone.keg + KEG_LOCK] = 1), /keg's lock is held/],
  ["a journal with entries", ({ i32, uma }) => void (i32[uma.core.floor.slotWord + SLOT_JOURNAL_COUNT] = 2), /its journal has 2 entries/],
  ["a lock pending", ({ i32, uma }) => void (i32[uma.core.floor.slotWord + SLOT_PENDING_LOCK] = 99), /is pending/],
  ["an intent frame open", ({ i32, uma }) => void (i32[uma.core.floor.slotWord + SLOT_INTENT_DEPTH] = 1), /frames are open/],
  [
    "a zone open in a free slot",
    ({ i32, uma, zone }) => void (i32[uma.core.floor.slots.wordOf(3) + SLOT_OPEN] = 1 << zone.id),
    /slot 3 is free and has zones open/,
  ],
  [
    "a bucket of a zone that is not open",
    ({ i32, uma, zone }) => void (i32[uma.core.floor.slotWord + SLOT_OPEN] &= ~(1 << zone.id)),
    /not open/,
  ],
];

describe("verify", () => {
  test("finds nothing wrong in what nobody damaged, says what it looked at, and changes nothing", () => {
    const s = makeScene();
    const before = s.i32.slice();
    expectSound(s.uma);
    const verdict = s.uma.verify();
    const { used, slabs, free } = s.zone.stats();
    expect(verdict).toMatchObject({ ok: true, zones: 2, slabs, items: used + free, outstanding: used, orphans: 0 });
    expect(s.i32.every((word, n) => word === before[n])).toBe(true);
    expect([s.full !== 0, s.empty !== 0, s.i32[headerClass(s) + HC_FREE] !== 0, s.i32[s.base + SB_BUCKET_FREE] !== 0]).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });

  test.each(DAMAGE)("sees %s", (_what, damage, complaint) => {
    const s = makeScene();
    expectSound(s.uma);
    damage(s);
    const { ok, problems } = s.uma.verify();
    expect(problems.join("\n")).toMatch(complaint);
    expect(ok).toBe(problems.length === 0);
  });

  test("says no more than a hundred things", () => {
    const s = makeScene();
    for (const item of take(s.zone, 300)) mark(s, item, 0);
    expect(s.uma.verify().problems.length).toBe(100);
  });

  test("knows nothing of the marks of a zone without checks, and all the rest of it", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("unchecked", { size: 64, checks: false }));
    const items = take(zone, 50);
    expectSound(uma);
    expect(uma.verify().outstanding).toBe(50);
    const { i32 } = uma.core.floor.cells;
    i32[zone.keg + KEG_FREE]++;
    expect(uma.verify().ok).toBe(false);
    i32[zone.keg + KEG_FREE]--;
    give(zone, items);
    expectSound(uma);
  });
});
