import { describe, expect, test } from "vitest";
import { defineZone } from "../../../src/index.ts";
import {
  INTENT_EXTENT,
  INTENT_HEADER,
  INTENT_KEG,
  INTENT_SLAB,
  KEG_HEADER_BYTES,
  KEG_LIST_FREE,
  KEG_LOCK,
  PAGE_SHIFT,
  PTE_TAG,
  SB_HEAP_ARENA,
  SB_POOL_LOCK,
  SLAB_INITED,
  SLAB_KEG,
  SLOT_INTENT_DEPTH,
  SLOT_JOURNAL_COUNT,
} from "../../../src/backend/memory/layout.ts";
import { codeOf, errorOf } from "../../fixtures/codes.ts";
import { refuseLocks, rivalOf, whileHeld } from "../../fixtures/floors.ts";
import { expectSound, give, makeUma, secondWorker, take } from "../../fixtures/zones.ts";

describe("prealloc", () => {
  test.each([0, 1, 63, 64, 65, 1000])(
    "of %d builds slabs until so many items are free in them, and allocations then need no memory",
    (count) => {
      const uma = makeUma();
      const zone = uma.open(defineZone("early", { size: 64 }));
      zone.prealloc(count);
      const { freeInSlabs, slabs, requests } = zone.stats();
      expect(freeInSlabs).toBeGreaterThanOrEqual(count);
      expect(freeInSlabs - count).toBeLessThan(64);
      expect(requests).toBe(0);
      const items = take(zone, count);
      expect(zone.stats().slabs).toBe(slabs);
      give(zone, items);
      expectSound(uma);
    },
  );

  test("twice builds nothing the second time", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("early", { size: 64 }));
    zone.prealloc(500);
    const { slabs } = zone.stats();
    zone.prealloc(500);
    zone.prealloc(3);
    expect(zone.stats().slabs).toBe(slabs);
  });

  test("of more than there is memory for is told with what is missing", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("greedy", { size: 1024 }));
    const error = errorOf(() => zone.prealloc(1_000_000));
    expect(error).toMatchObject({ code: "ERR_UMA_EMPTY", zone: "greedy" });
    expect(error.value).toBe(1_000_000 - zone.stats().freeInSlabs);
    expectSound(uma);
    zone.reclaim();
    expect(zone.stats().slabs).toBe(0);
    expectSound(uma);
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 31, "10", undefined])("of %o is refused", (count) => {
    const uma = makeUma();
    const zone = uma.open(defineZone("early", { size: 64 }));
    expect(errorOf(() => zone.prealloc(count as number))).toMatchObject({ code: "ERR_UMA_OPTION", zone: "early" });
    expect(zone.stats().slabs).toBe(0);
    expectSound(uma);
  });
});

describe("reclaim gives pages back", () => {
  test("to the heap: as many as the slabs were, also for items of many pages", () => {
    const uma = makeUma();
    for (const size of [16, 700, 5000, 100_000]) {
      const zone = uma.open(defineZone(`of ${size}`, { size }));
      give(zone, take(zone, 20));
      const { pages, slabs } = zone.stats();
      const before = uma.stats().heapInUse;
      expect(zone.reclaim()).toEqual({ slabs, bytes: pages << PAGE_SHIFT });
      expect(before - uma.stats().heapInUse).toBe(pages << PAGE_SHIFT);
      expectSound(uma);
    }
  });

  test("not of a zone that never frees", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("kept", { size: 64, nofree: true }));
    give(zone, take(zone, 500));
    const { slabs } = zone.stats();
    expect(zone.reclaim()).toEqual({ slabs: 0, bytes: 0 });
    expect(zone.stats()).toMatchObject({ slabs, freeInCaches: 0, freeInDepot: 0 });
    zone.destroy();
    expectSound(uma);
  });

  test("so that another zone can have them", () => {
    const uma = makeUma();
    const first = uma.open(defineZone("first", { size: 512 }));
    const second = uma.open(defineZone("second", { size: 8192 }));
    const items: number[] = [];
    for (let item = first.tryAlloc(); item !== 0; item = first.tryAlloc()) items.push(item);
    expect(second.tryAlloc()).toBe(0);
    give(first, items);
    expect(second.tryAlloc()).toBe(0);
    first.reclaim();
    expect(take(second, 100).length).toBe(100);
    expectSound(uma);
  });

  test("slabs fill up fullest first, so that the emptiest get empty and can be given back", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("binned", { size: 64, bucket: 0 }));
    const items = take(zone, 640).toSorted((a, b) => a - b);
    // One slab is left a quarter full, another three quarters.
    const slabs = [0, 1].map((n) => items.slice(n * 64, n * 64 + 64));
    give(zone, (slabs[0] as number[]).slice(16));
    give(zone, (slabs[1] as number[]).slice(48));
    const next = take(zone, 16);
    expect(next.every((item) => (slabs[1] as number[]).includes(item))).toBe(true);
    give(zone, (slabs[0] as number[]).slice(0, 16));
    expect(zone.reclaim().slabs).toBe(1);
    expectSound(uma);
  });
});

describe("a slab that cannot be finished", () => {
  test("is undone whichever lock is refused, at once or at the next slow path", () => {
    for (const options of [{}, { init: () => true, fini: () => undefined }]) {
      for (let nth = 1; nth <= 8; nth++) {
        for (const times of [1, 2, 3, 20]) {
          const uma = makeUma();
          const zone = uma.open(defineZone("unlucky", { size: 512, bucket: 0, ...options }));
          const refusal = refuseLocks(uma.core.floor, nth, times);
          const item = zone.tryAlloc();
          if (item === 0) expect(uma.lastFailure).toBe("BUSY");
          refusal.restore();
          uma.poll();
          expect(zone.stats()).toMatchObject({ used: item === 0 ? 0 : 1 });
          expectSound(uma);
          if (item !== 0) zone.free(item);
          zone.reclaim();
          expect(zone.stats()).toMatchObject({ slabs: 0, free: 0 });
          expectSound(uma);
        }
      }
    }
  });

  test("an inner one that was left keeps no outer one from ending well, and is finished later", () => {
    const uma = makeUma();
    const { floor } = uma.core;
    const { base, i32 } = floor.cells;
    const inner = uma.open(defineZone("inner", { size: 3000, bucket: 0 }));
    const rival = rivalOf(uma);
    let failures = 0;
    const outer = uma.open(
      defineZone("outer", {
        size: 2048,
        bucket: 0,
        init: () => {
          // The pool's lock is gone, and when the pages are to go back the heap's is, too.
          whileHeld(rival, base + SB_POOL_LOCK, () => {
            const refusal = refuseLocks(floor, 4, 1);
            if (inner.tryAlloc() === 0) failures++;
            refusal.restore();
          });
        },
      }),
    );
    const item = outer.alloc();
    expect(failures).toBe(2);
    expect(i32[floor.slotWord + SLOT_INTENT_DEPTH]).toBeGreaterThan(0);
    outer.free(item);
    uma.poll();
    expect(i32[floor.slotWord + SLOT_INTENT_DEPTH]).toBe(0);
    expectSound(uma);
    inner.free(inner.alloc());
    expectSound(uma);
  });

  test("fini that uses another zone while a left slab is finished runs once over each item", () => {
    const uma = makeUma();
    const { floor } = uma.core;
    const other = uma.open(defineZone("other", { size: 64, bucket: 0 }));
    const alive = new Set<number>();
    const refusals: ReturnType<typeof refuseLocks>[] = [];
    const zone = uma.open(
      defineZone("zone", {
        size: 512,
        bucket: 0,
        init: (item) => void alive.add(item),
        fini: (item) => {
          if (!alive.delete(item)) throw new Error("fini ran twice");
          other.free(other.alloc());
          // Pages and header cannot be given back: the slab stays in its frame, its items past fini.
          if (alive.size === 0) refusals.push(refuseLocks(floor, 1, 40));
        },
      }),
    );
    zone.free(zone.alloc());
    zone.reclaim();
    refusals.pop()?.restore();
    expect(floor.intents.depth()).toBe(1);
    uma.poll();
    expect([alive.size, floor.intents.depth()]).toEqual([0, 0]);
    expectSound(uma);
    // And one that is left before fini ran, as by an exception.
    zone.free(zone.alloc());
    const frame = floor.intents.push(INTENT_SLAB);
    floor.cells.i32[frame + INTENT_KEG] = zone.keg;
    expect(uma.core.kegs.takeSlab(zone.keg, KEG_LIST_FREE, frame)).toBe(true);
    uma.poll();
    refusals.pop()?.restore();
    uma.poll();
    expect(alive.size).toBe(0);
    expect(uma.core.kegs.takeFailure()).toBe(null);
    expect(floor.intents.depth()).toBe(0);
    expectSound(uma);
  });

  test("a builder that was stopped half way through the page table leaves no trace in it", () => {
    const uma = makeUma();
    const { floor, heap, pools, kegs } = uma.core;
    const { i32 } = floor.cells;
    const zone = uma.open(defineZone("half", { size: 3000 }));
    zone.free(zone.alloc());
    const frame = floor.intents.push(INTENT_SLAB);
    i32[frame + INTENT_KEG] = zone.keg;
    uma.core.arenaPages.alloc("half", 3, frame, false);
    pools.takeHeader(i32[zone.keg + KEG_HEADER_BYTES] as number, frame + INTENT_HEADER);
    const address = i32[frame + INTENT_EXTENT] as number;
    const entry = floor.geometry.pageTable + ((address >>> PAGE_SHIFT) << 2);
    i32[(i32[frame + INTENT_HEADER] as number) + SLAB_KEG] = zone.keg;
    i32[entry + PTE_TAG] = zone.tag;
    i32[entry + 4 + PTE_TAG] = zone.tag;
    kegs.finishFrame(frame, null, false);
    floor.intents.pop(frame);
    expect([i32[entry + PTE_TAG], i32[entry + 4 + PTE_TAG]]).toEqual([0, 0]);
    expect(heap.sizeOf(address)).toBe(0);
    expect(codeOf(() => zone.free(address))).toBe("ERR_UMA_ADDRESS");
    expectSound(uma);
  });
});

test("a slab that a dead worker had in its hands goes back where the hooks are missing, and is made whole where they are", async () => {
  for (const past of [0, 3, 8]) {
    const uma = makeUma();
    const born: number[] = [];
    const definition = defineZone("handed", { size: 512, init: (item) => void born.push(item), fini: () => undefined });
    const other = await secondWorker(uma);
    const { core } = other;
    const theirs = other.open(definition);
    theirs.prealloc(8);
    const frame = core.floor.intents.push(INTENT_SLAB);
    core.floor.cells.i32[frame + INTENT_KEG] = theirs.keg;
    expect(core.kegs.takeSlab(theirs.keg, KEG_LIST_FREE, frame)).toBe(true);
    // Its fini had come down so far.
    core.floor.cells.i32[(core.floor.cells.i32[frame + INTENT_HEADER] as number) + SLAB_INITED] = past;
    born.length = 0;
    expect(uma.reap(other.slot)).toMatchObject({ done: true });
    expect(uma.verify()).toMatchObject({ ok: true, slabs: 1, items: 8, orphans: 8 - past });
    const zone = uma.open(definition);
    zone.free(zone.alloc());
    expect(born.length).toBe(8 - past);
    expect(zone.stats().used).toBe(0);
    zone.reclaim();
    expect(zone.stats().slabs).toBe(0);
    expectSound(uma);
  }
});

test("no lock is held and no transaction open while a hook runs", () => {
  const uma = makeUma();
  const { floor } = uma.core;
  const { i32, base } = floor.cells;
  const seen: unknown[] = [];
  const zone = uma.open(
    defineZone("watched", {
      size: 700,
      bucket: 3,
      ...Object.fromEntries(
        ["init", "fini", "ctor", "dtor"].map((hook) => [
          hook,
          () => {
            const locks = [base + SB_POOL_LOCK, base + SB_HEAP_ARENA, zone.keg + KEG_LOCK, floor.slotWord + SLOT_JOURNAL_COUNT];
            seen.push(...locks.map((word) => i32[word]));
          },
        ]),
      ),
    }),
  );
  give(zone, take(zone, 50));
  zone.reclaim();
  expect(seen.length).toBeGreaterThan(400);
  expect(new Set(seen)).toEqual(new Set([0]));
});
