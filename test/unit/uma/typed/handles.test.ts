import { describe, expect, test } from "vitest";
import { ZONE_GENERATION } from "../../../../src/backend/memory/layout.ts";
import { defineZone, f32, struct, Uma } from "../../../../src/index.ts";

const MiB = 2 ** 20;
const Plain = defineZone("plain", { size: 24, handles: true });
const Hooked = defineZone("hooked", {
  type: struct({ x: f32 }),
  handles: true,
  ctor: (p, x?: number) => void (p.x = x ?? 0),
  dtor: (p) => void (p.x = -1),
});
const Zeroed = defineZone("zeroed", { size: 17, handles: true, zero: true });
const Debugged = defineZone("debugged", { type: struct({ x: f32 }), handles: true, debug: true });

describe.each([
  ["counted on the hot path", Plain],
  ["counted in hooks", Hooked],
  ["zeroed at every alloc", Zeroed],
  ["in a debug zone", Debugged],
])("handles, %s", (_how, definition) => {
  const open = (uma: Uma) => uma.open(definition as typeof Plain);

  test("name an item until it is freed, by handle or by address", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const handle = zone.allocHandle();
    expect(handle).toBeGreaterThan(0);
    expect(Number.isFinite(handle)).toBe(true);
    const item = zone.get(handle);
    expect(item).not.toBe(0);
    expect(zone.handleOf(item)).toBe(handle);
    zone.freeHandle(handle);
    expect(zone.get(handle)).toBe(0);
    const again = zone.alloc();
    expect(again).toBe(item);
    expect(zone.get(handle)).toBe(0);
    const second = zone.handleOf(again);
    expect(second).not.toBe(handle);
    zone.free(again);
    expect(zone.get(second)).toBe(0);
    expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0 });
  });

  test("never come back: twenty thousand of them over few items are all different", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const seen = new Set<number>();
    const live: number[] = [];
    const count = 20_000;
    for (let n = 0; n < count; n++) {
      const handle = zone.allocHandle();
      seen.add(handle);
      live.push(handle);
      if (live.length > 5) zone.freeHandle(live.splice((n * 7) % live.length, 1)[0] as number);
      if (n % 4_001 === 0) zone.reclaim();
    }
    expect(seen.size).toBe(count);
    expect([...seen].filter((handle) => zone.get(handle) !== 0)).toEqual(live);
    for (const handle of live) zone.freeHandle(handle);
    expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0 });
  });

  test("stay stale when their slab is given back and another is built from the same pages", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const others = uma.open(defineZone("others", { size: zone.rsize }));
    const old = new Set<number>();
    for (let round = 0; round < 20; round++) {
      const items = Array.from({ length: 300 }, () => zone.alloc());
      for (const item of items) {
        old.add(zone.handleOf(item));
        zone.free(item);
      }
      expect(old.size).toBe(300 * (round + 1));
      zone.reclaim();
      // What was the generation is somebody's data in between.
      const data = Array.from({ length: 300 }, () => others.alloc());
      for (const item of data) uma.views.u8.fill(round, item, item + others.size);
      for (const item of data) others.free(item);
      others.reclaim();
      expect([...old].filter((handle) => zone.get(handle) !== 0)).toEqual([]);
    }
  });

  test("that are stale, another zone's, or no handles at all are refused, and nothing happens", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const sibling = uma.open(defineZone("sibling", { size: 24, handles: true }));
    const stale = zone.allocHandle();
    zone.freeHandle(stale);
    const foreign = sibling.allocHandle();
    const handle = zone.allocHandle();
    for (const bad of [stale, foreign, 0 - handle, handle / 2, 1, 2 ** 52, 2 ** 53, 1e300, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(zone.get(bad)).toBe(0);
      expect(() => zone.freeHandle(bad)).toThrow(expect.objectContaining({ zone: zone.name }));
    }
    expect(() => zone.freeHandle(stale)).toThrow(expect.objectContaining({ code: "ERR_UMA_STALE", value: stale }));
    zone.freeHandle(0);
    expect(zone.get(0)).toBe(0);
    expect(zone.stats().used).toBe(1);
    expect(sibling.stats().used).toBe(1);
    expect(zone.get(handle)).not.toBe(0);
  });

  test("are not to be had of free items", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const item = zone.alloc();
    zone.free(item);
    expect(() => zone.handleOf(item)).toThrow(expect.objectContaining({ code: "ERR_UMA_FREED" }));
    expect(() => zone.handleOf(item + 1)).toThrow(expect.objectContaining({ code: "ERR_UMA_ADDRESS" }));
  });

  test("never come back while slabs come and go across the end of their bits", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const { i32 } = uma.core.floor.cells;
    i32[zone.zone + ZONE_GENERATION] = -2000;
    const seen = new Set<number>();
    for (let round = 0; round < 40; round++) {
      // Few of many: so that generations differ from item to item when the slab goes.
      for (let n = 0; n < 150; n++) {
        const handle = zone.allocHandle();
        expect(seen.has(handle)).toBe(false);
        seen.add(handle);
        zone.freeHandle(handle);
        expect(zone.get(handle)).toBe(0);
      }
      expect([...seen].filter((handle) => zone.get(handle) !== 0)).toEqual([]);
      zone.reclaim();
    }
    expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0 });
  });

  test("go stale, and their items go on, when the zone's other generations have left theirs far behind", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const { i32 } = uma.core.floor.cells;
    i32[zone.zone + ZONE_GENERATION] = 5;
    const seen = new Set<number>();
    for (const distance of [2 ** 28 - 1, 2 ** 28, 2 ** 29, 2 ** 29 + 1, 2 ** 30 - 100]) {
      const handle = zone.allocHandle();
      const item = zone.get(handle);
      i32[zone.zone + ZONE_GENERATION] = (i32[zone.zone + ZONE_GENERATION] + distance) | 0;
      const before = i32[zone.zone + ZONE_GENERATION];
      zone.freeHandle(handle);
      expect(zone.get(handle)).toBe(0);
      // Nothing ever lowers it: what was born from it must not be born again.
      expect((i32[zone.zone + ZONE_GENERATION] - before) | 0).toBeGreaterThanOrEqual(0);
      expect(zone.handleOf(zone.alloc())).not.toBe(handle);
      zone.free(item);
      expect(seen.has(handle)).toBe(false);
      seen.add(handle);
    }
    expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0 });
  });

  test("run on through the end of their bits", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const { i32 } = uma.core.floor.cells;
    // As after 2^31 − 100 births of items.
    i32[zone.zone + ZONE_GENERATION] = 2 ** 31 - 100;
    const high = new DataView(new ArrayBuffer(8));
    let wrapped = 0;
    const recent: number[] = [];
    for (let n = 0; n < 2000; n++) {
      const handle = zone.allocHandle();
      high.setFloat64(0, handle);
      if (high.getInt32(0) < 0x20000000 + 1000) wrapped++;
      expect(high.getInt32(0) >>> 29).toBeGreaterThan(0);
      expect(high.getInt32(0)).toBeLessThan(0x60000000);
      expect(recent.includes(handle)).toBe(false);
      expect(zone.get(handle)).not.toBe(0);
      zone.freeHandle(handle);
      expect(zone.get(handle)).toBe(0);
      recent.push(handle);
      if (recent.length > 200) recent.shift();
    }
    expect(wrapped).toBeGreaterThan(500);
    expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0 });
  });
});

test("have 30 bits of generation for 16-byte items at the end of 2 GiB, too", () => {
  using uma = Uma.create({ bytes: 2 ** 31, workers: 2 });
  const ballast = uma.open(defineZone("ballast", { size: 2 ** 28, align: 4096 }));
  let blocks = 0;
  while (ballast.tryAlloc() !== 0) blocks++;
  expect(blocks).toBe(7);
  const zone = uma.open(defineZone("small", { size: 8, handles: true, nofree: true }));
  expect(zone.rsize).toBe(16);
  while (uma.stats().heapFree > 2 ** 20) {
    const filler = uma.open(defineZone("filler", { size: 2 ** 19, align: 4096, bucket: 0 }));
    if (filler.tryAlloc() === 0) break;
  }
  const { i32 } = uma.core.floor.cells;
  i32[zone.zone + ZONE_GENERATION] = 0;
  const handle = zone.allocHandle();
  const item = zone.get(handle);
  expect(item).toBeGreaterThan(2 ** 30);
  const high = new DataView(new ArrayBuffer(8));
  const generations = new Set<number>();
  for (let bit = 0; bit < 30; bit++) {
    // As if it had been freed so many times.
    i32[zone.zone + ZONE_GENERATION] = 2 ** bit + 1;
    i32[(item + 8 + 4) >> 2] = 0x20000000 + 2 ** bit;
    const now = zone.handleOf(item);
    expect(zone.get(now)).toBe(item);
    high.setFloat64(0, now);
    generations.add(high.getInt32(0) - 0x20000000);
    expect(zone.get(handle)).toBe(0);
  }
  expect([...generations]).toEqual(Array.from({ length: 30 }, (_, bit) => 2 ** bit));
});

test("handles come through JSON, messages and f64 fields as they were", () => {
  using uma = Uma.create({ bytes: MiB });
  const zone = uma.open(Plain);
  const { i32 } = uma.core.floor.cells;
  for (const generation of [0, 1, 2 ** 29, 2 ** 30 - 1, 123_456_789]) {
    i32[zone.zone + ZONE_GENERATION] = generation;
    zone.reclaim();
    const handle = zone.allocHandle();
    const item = zone.get(handle);
    expect(JSON.parse(JSON.stringify(handle))).toBe(handle);
    expect(structuredClone(handle)).toBe(handle);
    expect(Number(String(handle))).toBe(handle);
    expect(Float64Array.of(handle)[0]).toBe(handle);
    zone.free(item);
  }
});

test("do not lead past the readers of an SMR zone", () => {
  using uma = Uma.create({ bytes: MiB });
  const zone = uma.open(defineZone("read", { size: 24, handles: true, smr: true }));
  const item = zone.allocSmr();
  const handle = zone.handleOf(item as never);
  expect(() => zone.freeHandle(handle)).toThrow(expect.objectContaining({ code: "ERR_UMA_SMR" }));
  expect(zone.get(handle)).toBe(item);
  zone.freeSmr(item);
  expect(uma.verify()).toMatchObject({ ok: true });
});

test("freed by handle count as those freed by address do, from a full bucket into the depot and back", () => {
  using uma = Uma.create({ bytes: MiB });
  const zone = uma.open(Plain);
  for (let round = 0; round < 5; round++) {
    const handles = Array.from({ length: 1000 }, () => zone.allocHandle());
    expect(zone.stats().used).toBe(1000);
    for (const handle of handles) zone.freeHandle(handle);
    expect(handles.filter((handle) => zone.get(handle) !== 0)).toEqual([]);
    expect(zone.stats()).toMatchObject({ used: 0, requests: 1000 * (round + 1) });
  }
  expect(zone.stats().exchanges).toBeGreaterThan(0);
  expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0 });
});

test("tryAllocHandle gives 0 when there is no item, and allocHandle throws", () => {
  using uma = Uma.create({ bytes: MiB });
  const zone = uma.open(defineZone("limited", { size: 16, limit: 1, handles: true, bucket: 0 }));
  const handle = zone.tryAllocHandle();
  expect(zone.tryAllocHandle()).toBe(0);
  expect(() => zone.allocHandle()).toThrow(expect.objectContaining({ code: "ERR_UMA_LIMIT" }));
  zone.freeHandle(handle);
  expect(zone.stats().used).toBe(0);
});

test("an item keeps its size: the generation lies behind it, and zeroing does not reach it", () => {
  using uma = Uma.create({ bytes: MiB });
  const zone = uma.open(Zeroed);
  expect(zone.size).toBe(17);
  expect(zone.stats().size).toBe(17);
  const handle = zone.allocHandle();
  const item = zone.get(handle);
  uma.views.u8.fill(255, item, item + zone.size);
  expect(zone.get(handle)).toBe(item);
});
