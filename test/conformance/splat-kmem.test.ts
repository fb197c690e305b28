/**
 * After SPLAT's splat-kmem.c, as far as it is about caches: sizes, zeroing, alignment, balance of the hooks, reap on demand, ageing,
 * overcommit that relies on reclaim. Time bounds there are ticks of maintenance here.
 */
import { describe, expect, test } from "vitest";
import { Uma, type Zone, defineZone } from "../../src/index.ts";
import { SB_TICK } from "../../src/backend/memory/layout.ts";

const MIB = 2 ** 20;

function tick(uma: Uma): void {
  const { i32, base } = uma.core.floor.cells;
  i32[base + SB_TICK] = 0;
  uma.tick();
}

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

test.each([false, true])("kmem_alloc and kmem_zalloc (zeroed: %s): ten of each doubling of the size, each its own memory", (zero) => {
  const uma = Uma.create({ bytes: 32 * MIB, workers: 2 });
  const { u8 } = uma.views;
  for (let size = 16; size <= 256 * 1024; size *= 2) {
    const z = uma.open(defineZone(`alloc ${size}`, { size, zero }));
    for (let round = 0; round < 2; round++) {
      const items = Array.from({ length: 10 }, () => z.alloc());
      expect(new Set(items).size).toBe(10);
      if (zero) for (const item of items) expect(u8.subarray(item, item + size).every((byte) => byte === 0)).toBe(true);
      items.forEach((item, n) => u8.fill(n + 1, item, item + size));
      items.forEach((item, n) => expect(u8[item] === n + 1 && u8[item + size - 1] === n + 1).toBe(true));
      for (const item of items) z.free(item);
    }
    z.destroy();
  }
  finish(uma);
});

describe("slab_small, slab_large: every object is built, carries the argument, and is taken down", () => {
  test.each([
    [128, 16],
    [65_536, 4096],
  ])("of %d bytes", (size, align) => {
    const uma = Uma.create({ bytes: 64 * MIB, workers: 2 });
    const { i32 } = uma.views;
    const alive = new Set<number>();
    const z = uma.open(
      defineZone("slab", {
        size,
        align,
        ctor: (item, arg) => {
          expect(arg).toBe("private");
          alive.add(item);
          i32[item >> 2] = 0x1234;
        },
        dtor: (item) => {
          expect(i32[item >> 2]).toBe(0x1234);
          expect(alive.delete(item)).toBe(true);
        },
      }),
    );
    const items = Array.from({ length: 100 }, () => z.alloc("private"));
    expect(alive.size).toBe(100);
    for (const item of items) expect(item % align).toBe(0);
    for (const item of items) z.free(item);
    expect(alive.size).toBe(0);
    z.destroy();
    finish(uma);
  });
});

test("slab_align: every power of two from 8 to a page", () => {
  const uma = Uma.create({ bytes: 16 * MIB, workers: 2 });
  for (let align = 8; align <= 4096; align *= 2) {
    const z = uma.open(defineZone(`align ${align}`, { size: 157, align }));
    for (let n = 0; n < 100; n++) expect(z.alloc() % align).toBe(0);
  }
  finish(uma);
});

test("slab_reap: a reclaim empties a cache that has nothing in use", () => {
  const uma = Uma.create({ bytes: 16 * MIB, workers: 2 });
  const z = uma.open(defineZone("reap", { size: 256 }));
  const items = Array.from({ length: 1024 }, () => z.alloc());
  let left = items.length;
  while (left > 0) {
    const fifth = items.splice(0, 205);
    for (const item of fifth) z.free(item);
    left = items.length;
    uma.reclaim("drain");
    expect(z.stats().used).toBe(left);
  }
  expect(z.stats().pages).toBe(0);
  finish(uma);
});

test("slab_age: freed objects vanish with the ticks, nobody asking", () => {
  const uma = Uma.create({ bytes: 64 * MIB, workers: 2 });
  const z = uma.open(defineZone("age", { size: 128 }));
  const items = Array.from({ length: 131_072 }, () => z.alloc());
  const { pages } = z.stats();
  for (const item of items) z.free(item);
  for (let n = 0; n < 45; n++) tick(uma);
  expect(z.stats().pages).toBeLessThan(pages / 100);
  finish(uma);
});

test("slab_overcommit: four times the memory, each cache making room for the next by a reclaim", () => {
  const uma = Uma.create({ bytes: 4 * MIB, workers: 2 });
  const zones: Zone[] = Array.from({ length: 16 }, (_, n) => uma.open(defineZone(`over ${n}`, { size: 64 + 64 * n })));
  for (const z of zones) {
    const wanted = Math.floor(MIB / z.rsize);
    const items: number[] = [];
    while (items.length < wanted) {
      const item = z.tryAlloc();
      if (item === 0) expect(uma.reclaim("drain").slabs).toBeGreaterThan(0);
      else items.push(item);
    }
    for (const item of items) z.free(item);
  }
  finish(uma);
});

test("vmem_size: what is in use and what is free add up to the same before, during and after", () => {
  const uma = Uma.create({ bytes: 16 * MIB, workers: 2 });
  const whole = (): number => {
    const { heapInUse, heapFree } = uma.stats();
    return heapInUse + heapFree;
  };
  const before = whole();
  const { heapInUse } = uma.stats();
  const z = uma.open(defineZone("conserved", { size: 8000 }));
  const items = Array.from({ length: 500 }, () => z.alloc());
  expect(uma.stats().heapInUse).toBeGreaterThanOrEqual(500 * 8000);
  expect(whole()).toBe(before);
  for (const item of items) z.free(item);
  z.destroy();
  expect(whole()).toBe(before);
  // The arena's tags and tables, the slab headers and one bucket stay.
  expect(uma.stats().heapInUse - heapInUse).toBeLessThan(500 * 8000 * 0.06);
  finish(uma);
});

test("slab_reclaim: three slabs of four are emptied, and given back at the first reclaim, the fourth kept whole", () => {
  const uma = Uma.create({ bytes: 64 * MIB, workers: 2 });
  const z = uma.open(defineZone("quarter", { size: 256 }));
  const items = Array.from({ length: 65_536 }, () => z.alloc());
  const { slabs } = z.stats();
  const perSlab = items.length / slabs;
  items.sort((a, b) => a - b);
  const kept = items.filter((_, n) => Math.floor(n / perSlab) % 4 === 3);
  for (const [n, item] of items.entries()) if (Math.floor(n / perSlab) % 4 !== 3) z.free(item);
  expect(z.reclaim("drain").slabs).toBe(slabs - Math.ceil(kept.length / perSlab));
  expect(z.stats()).toMatchObject({ used: kept.length, slabs: Math.ceil(kept.length / perSlab) });
  for (const item of kept) z.free(item);
  finish(uma);
});
