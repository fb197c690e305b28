import { describe, expect, test } from "vitest";
import { PAGE_BYTES } from "../../../src/backend/memory/layout.ts";
import { defineZone, Uma } from "../../../src/index.ts";
import { startWorker } from "../../fixtures/workers.ts";

const Tracked = defineZone("tracked", { size: 40, sites: true });
const Hooked = defineZone("hooked", { size: 40, sites: true, ctor: (item, arg, { i32 }) => void (i32[item >> 2] = Number(arg)) });

function memory(): Uma {
  return Uma.create({ bytes: 2 ** 20, workers: 4, patience: 2000 });
}

describe("a zone with call sites", () => {
  test("groups its outstanding items by the place where they were allocated", () => {
    const uma = memory();
    const zone = uma.open(Tracked);
    const here = (): number => zone.alloc();
    const there = (): number => zone.tryAlloc();
    const items = [here(), here(), here()];
    const other = there();
    const [most, least] = uma.sites(zone);
    expect(most).toMatchObject({ items: 3, bytes: 3 * zone.rsize, orphans: 0, slots: [uma.slot] });
    expect(most?.site).toMatch(/here.*sites\.test\.ts/);
    expect([...(most?.examples ?? [])].sort((a, b) => a - b)).toEqual([...items].sort((a, b) => a - b));
    expect(least).toMatchObject({ items: 1, examples: [other] });
    expect(least?.site).toMatch(/there.*sites\.test\.ts/);
    for (const item of [...items, other]) zone.free(item);
    expect(uma.sites(zone)).toEqual([]);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("knows of each item who allocated it, as which of its allocations, and how long ago", () => {
    const uma = memory();
    const zone = uma.open(Tracked);
    zone.free(zone.alloc());
    const item = zone.alloc();
    const [found] = [...uma.outstanding(zone)];
    expect(found).toMatchObject({ item, owner: uma.slot, slot: uma.slot, sequence: 2 });
    expect(found?.age).toBeGreaterThanOrEqual(0);
    expect(found?.age).toBeLessThan(600_000);
    uma.detach();
  });

  test("leaves the items themselves alone, with hooks and without", () => {
    const uma = memory();
    const zone = uma.open(Hooked);
    const items = Array.from({ length: 200 }, (_, n) => zone.alloc(n));
    const { u8, i32 } = uma.views;
    for (const [n, item] of items.entries()) {
      expect(i32[item >> 2]).toBe(n);
      u8.fill(0xff, item, item + zone.size);
    }
    expect(uma.sites(zone)).toMatchObject([{ items: 200 }]);
    for (const item of items) zone.free(item);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("notes the place of every n-th allocation only, where a sample is enough", () => {
    const uma = memory();
    const zone = uma.open(defineZone("sampled", { size: 40, sites: { sample: 4 } }));
    for (let n = 0; n < 20; n++) zone.alloc();
    const found = uma.sites(zone);
    expect(found).toMatchObject([{ items: 15, site: "(not sampled)" }, { items: 5 }]);
    expect(found[1]?.site).toMatch(/sites\.test\.ts/);
    uma.detach();
  });

  test("tracks what is taken in bulk", () => {
    const uma = memory();
    const zone = uma.open(Tracked);
    const items = new Int32Array(30);
    expect(zone.allocBulk(items)).toBe(true);
    expect(uma.sites(zone)).toMatchObject([{ items: 30 }]);
    zone.freeBulk(items);
    expect(uma.sites(zone)).toEqual([]);
    uma.detach();
  });

  test("refuses wrong frees as every zone does", () => {
    const uma = memory();
    const zone = uma.open(Tracked);
    const item = zone.alloc();
    expect(() => zone.free(item + 8)).toThrow(expect.objectContaining({ code: "ERR_UMA_ADDRESS" }));
    zone.free(item);
    expect(() => zone.free(item)).toThrow(expect.objectContaining({ code: "ERR_UMA_DOUBLE_FREE" }));
    zone.free(0);
    uma.detach();
  });

  test("keeps many sites, each once, in pages of their own", () => {
    const uma = memory();
    const zone = uma.open(Tracked);
    const before = uma.stats().heapInUse;
    // A place of its own for each: functions made from text have positions of their own in the stack.
    for (let n = 0; n < 150; n++) {
      const place = { [`place${n}`]: () => zone.alloc() }[`place${n}`];
      place?.();
      place?.();
    }
    const found = uma.sites(zone);
    expect(found).toHaveLength(150);
    expect(found.every((site) => site.items === 2)).toBe(true);
    expect(uma.stats().heapInUse - before).toBeGreaterThan(2 * PAGE_BYTES);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("still knows what a dead worker allocated, and where", async () => {
    const uma = memory();
    const zone = uma.open(Tracked);
    const ticket = uma.ticket();
    const started = startWorker("leaking-worker.ts", ticket);
    const watched = uma.watch(started.worker, ticket);
    await started.next();
    zone.alloc();
    await started.kill();
    expect(await watched).toMatchObject({ zones: [{ kept: 7 }] });
    const [leak, own] = uma.sites(zone);
    expect(leak).toMatchObject({ items: 7, orphans: 7, slots: [2] });
    expect(leak?.site).toMatch(/leakInWorker.*leaking-worker\.ts/);
    expect(own).toMatchObject({ items: 1, orphans: 0, slots: [1] });
    expect(
      [...uma.outstanding(zone)]
        .filter(({ slot }) => slot === 2)
        .map(({ sequence }) => sequence)
        .sort((a, b) => a - b),
    ).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });
});

describe("the option sites", () => {
  test("costs a zone nothing that has it not", () => {
    const uma = memory();
    const zone = uma.open(defineZone("plain", { size: 48 }));
    expect(zone.rsize).toBe(48);
    zone.alloc();
    expect(uma.sites(zone)).toMatchObject([{ site: "(the zone has no option sites)", items: 1, slots: [] }]);
    uma.detach();
  });

  test("is the same in all threads", () => {
    const uma = memory();
    uma.open(Tracked);
    expect(() => uma.open(defineZone("tracked", { size: 40 }))).toThrow(expect.objectContaining({ code: "ERR_UMA_ZONE_MISMATCH" }));
    uma.detach();
  });

  test.each([{ sites: { sample: 0 } }, { sites: { sample: 1.5 } }, { sites: true, checks: false }, { sites: true, notouch: true }])(
    "is refused as %j",
    (options) => {
      expect(() => defineZone("refused", { size: 40, ...options })).toThrow(expect.objectContaining({ code: "ERR_UMA_OPTION" }));
    },
  );
});
