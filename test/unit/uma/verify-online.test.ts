import { describe, expect, test } from "vitest";
import {
  BUCKET_OWNER,
  INTENT_EXTENT,
  INTENT_KIND,
  INTENT_PAGE,
  KEG_FREE,
  KEG_LOCK,
  PAGE_BYTES,
  SB_BUCKET_FREE,
  SLAB_FREE,
  SLOT_INTENTS,
  ZONE_DEPOT_ITEMS,
  ZONE_FULL,
} from "../../../src/backend/memory/layout.ts";
import { defineZone, Uma, type Zone } from "../../../src/index.ts";
import type { BusyJob } from "../../fixtures/busy-worker.ts";
import { besideOf } from "../../fixtures/floors.ts";
import { startWorker } from "../../fixtures/workers.ts";
import { expectSound, makeUma } from "../../fixtures/zones.ts";

const Plain = defineZone("plain", { size: 64, bucket: 6 });
const Hooked = defineZone("hooked", { size: 200, bucket: 3, ctor: () => true, dtor: () => undefined, onDeath: "free" });
const Large = defineZone("large", { size: 6000, bucket: 2 });

/** A memory with items in every place: outstanding, cached, in the depot, in slabs. */
function inUse(): { uma: Uma; zone: Zone; item: number } {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 4 });
  const zone = uma.open(Plain);
  const items = Array.from({ length: 60 }, () => zone.alloc());
  for (const item of items.slice(1)) zone.free(item);
  return { uma, zone, item: items[0] ?? 0 };
}

function problems(uma: Uma): string[] {
  return [...uma.verify({ online: true, budget: 1000 }).problems];
}

describe("verify({ online: true })", () => {
  test("finds a sound memory sound, counts what it sees, and says what it does not see", () => {
    const { uma } = inUse();
    const verdict = uma.verify({ online: true, budget: 1000 });
    expect(verdict).toMatchObject({ ok: true, problems: [], zones: 1, outstanding: 1, orphans: 0 });
    expect(verdict.slabs).toBeGreaterThan(0);
    expect(verdict.unseen).toHaveLength(1);
    uma.detach();
  });

  test("leaves no lock behind it", () => {
    const { uma, zone, item } = inUse();
    uma.verify({ online: true });
    zone.free(item);
    zone.reclaim();
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("says which zones this thread has not open", () => {
    const { uma, zone } = inUse();
    zone.close();
    expect(uma.verify({ online: true, budget: 1000 }).unseen).toContain('zone "plain": this thread has not opened it');
    uma.detach();
  });

  test("says what a lock out of reach kept from it", () => {
    const { uma, zone } = inUse();
    const { i32 } = uma.core.floor.cells;
    // A worker that is not there any more, and of whom nobody knows that it is dead.
    i32[zone.keg + KEG_LOCK] = uma.name + 1;
    expect(uma.verify({ online: true }).unseen).toContain('zone "plain": its lock was out of reach');
    i32[zone.keg + KEG_LOCK] = 0;
    expect(problems(uma)).toEqual([]);
    uma.detach();
  });

  test("says what the time did not suffice for", () => {
    const uma = Uma.create({ bytes: 2 ** 24 });
    uma.open(Plain).prealloc(20_000);
    expect(uma.verify({ online: true, budget: 1e-6 }).unseen.join()).toContain("the time did not suffice");
    uma.detach();
  });

  test.each([
    ["a keg's count of free items", (zone: Zone) => zone.keg + KEG_FREE, /free items: counted/],
    ["the depot's count of items", (zone: Zone) => zone.zone + ZONE_DEPOT_ITEMS, /items in the depot: counted/],
  ])("finds a wrong word: %s", (_, where, what) => {
    const { uma, zone } = inUse();
    const { i32 } = uma.core.floor.cells;
    i32[where(zone)]++;
    expect(problems(uma).join()).toMatch(what);
    i32[where(zone)]--;
    expect(problems(uma)).toEqual([]);
    uma.detach();
  });

  test("finds a wrong slab header, a wrong owner, a bucket that is twice in the depot, and a free item that is marked", () => {
    const { uma, zone, item } = inUse();
    const { cells } = uma.core.floor;
    const { i32, u8 } = cells;
    const slab = uma.core.slabs.slabOf(item) + SLAB_FREE;
    i32[slab]++;
    expect(problems(uma).join()).toMatch(/its header says/);
    i32[slab]--;
    const full = i32[zone.zone + ZONE_FULL];
    expect(full).not.toBe(0);
    i32[full + BUCKET_OWNER] = uma.name;
    expect(problems(uma).join()).toMatch(/as its owner/);
    i32[full + BUCKET_OWNER] = 0;
    const mark = uma.core.slabs.markOf(item, zone.shift);
    const owner = u8[mark];
    u8[mark] = 4;
    expect(problems(uma).join()).toMatch(/belongs to the free slot 4/);
    u8[mark] = 99;
    expect(problems(uma).join()).toMatch(/there are 4 slots/);
    u8[mark] = owner;
    const pool = i32[cells.base + SB_BUCKET_FREE];
    if (pool !== 0) {
      i32[pool + BUCKET_OWNER] = uma.name;
      expect(problems(uma).join()).toMatch(/bucket of the pool/);
      i32[pool + BUCKET_OWNER] = 0;
    }
    expect(problems(uma)).toEqual([]);
    uma.detach();
  });

  test("raises no false alarm while others are at full speed", async () => {
    const uma = Uma.create({ bytes: 2 ** 22, workers: 4, patience: 2000 });
    const zones = [Plain, Hooked, Large].map((definition) => uma.open(definition));
    const control = new Int32Array(new SharedArrayBuffer(4));
    const busy = [1, 2].map(() => startWorker("busy-worker.ts", { ticket: uma.ticket(), control } satisfies BusyJob));
    for (const one of busy) expect(await one.next()).toBe("at work");
    let seen = 0;
    for (let n = 0; n < 150; n++) {
      const verdict = uma.verify({ online: true });
      expect(verdict.problems).toEqual([]);
      seen += verdict.zones;
      uma.poll();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(seen).toBeGreaterThan(150);
    Atomics.store(control, 0, 1);
    for (const one of busy) await one.ended;
    for (const zone of zones) expect(zone.stats().used).toBe(0);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("refuses a budget that is none", () => {
    using uma = Uma.create({ bytes: 2 ** 18 });
    expect(() => uma.verify({ online: true, budget: 0 })).toThrow(expect.objectContaining({ code: "ERR_UMA_OPTION" }));
  });
});

test("a pool page that a worker's bucket is carved from has nothing of what was there before, also where two got one at once", () => {
  const uma = makeUma();
  const { heap } = uma.core;
  const { i32 } = uma.core.floor.cells;
  const { intents } = uma.core.floor;
  const frame = intents.push(INTENT_PAGE);
  const dirty = Array.from({ length: 200 }, () => heap.alloc(1, 0, frame + INTENT_EXTENT));
  for (const page of dirty) i32.fill(0x01010101, page >>> 2, (page + PAGE_BYTES) >>> 2);
  for (const page of dirty) heap.free(page, frame + INTENT_EXTENT);
  intents.pop(frame);
  const one = besideOf(uma);
  const two = besideOf(uma);
  const mine = one.open(defineZone("one", { size: 64 }));
  const theirs = two.open(defineZone("two", { size: 64 }));
  // Between the first worker's two locks the other takes a bucket as well.
  const own = one.core.heap as { -readonly [K in keyof typeof heap]: (typeof heap)[K] };
  const { alloc } = own;
  own.alloc = (...request) => {
    const page = alloc(...request);
    if (i32[one.floor.slotWord + SLOT_INTENTS + INTENT_KIND] !== INTENT_PAGE) return page;
    own.alloc = alloc;
    theirs.alloc();
    return page;
  };
  mine.alloc();
  expectSound(uma);
  expect(problems(uma)).toEqual([]);
});
