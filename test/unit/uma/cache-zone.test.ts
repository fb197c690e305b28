import { afterEach, expect, test } from "vitest";
import { type CacheOptions, type Uma, type Zone, type ZoneDefinition, defineCache, umaTree } from "../../../src/index.ts";
import { defineCacheOver } from "../../../src/uma/cache-zone.ts";
import { createCrates } from "../../../src/uma/gate.ts";
import { expectSound, makeUma, secondWorker } from "../../fixtures/zones.ts";

const coded = (code: string): unknown => expect.objectContaining({ code });

/** Numbers 1 … n to import and release, each once. */
class Source {
  readonly free: number[] = [];
  imports = 0;
  releases = 0;
  /** Items handed out at a time at the most. */
  atMost = 1000;

  constructor(count: number, first = 1) {
    for (let n = count - 1; n >= 0; n--) this.free.push(first + n);
  }

  readonly options: CacheOptions = {
    import: (store, count) => {
      this.imports++;
      let n = 0;
      while (n < count && n < this.atMost && this.free.length > 0) store[n++] = this.free.pop() as number;
      return n;
    },
    release: (store, count) => {
      this.releases++;
      for (let n = 0; n < count; n++) {
        if (this.free.includes(store[n] as number)) throw new Error(`${store[n]} was released twice`);
        this.free.push(store[n] as number);
      }
    },
  };
}

let uma: Uma;
afterEach(() => {
  expectSound(uma);
  uma.detach();
});

function setUp(source: Source, more: Partial<CacheOptions> = {}): Zone {
  uma = makeUma();
  return uma.open(defineCache("cached", { ...source.options, ...more }));
}

test("items come from import, in numbers that may be short, and go back to release, each once", () => {
  const source = new Source(1000);
  source.atMost = 7;
  const zone = setUp(source);
  const items = Array.from({ length: 100 }, () => zone.alloc());
  expect(new Set(items).size).toBe(100);
  expect(Math.max(...items)).toBeLessThanOrEqual(1000);
  expect(zone.getCur()).toBe(100);
  for (const item of items) zone.free(item);
  expect(zone.getCur()).toBe(0);
  expect(source.free.length).toBeLessThan(1000);
  zone.reclaim("drain");
  expect(source.free.length).toBe(1000);
  expect(zone.stats()).toMatchObject({ kind: "cache", used: 0, free: 0, slabs: 0, pages: 0, bytes: 0 });
});

test("what is freed is served again without import", () => {
  const source = new Source(1000);
  const zone = setUp(source);
  const item = zone.alloc();
  const { imports } = source;
  for (let n = 0; n < 1000; n++) {
    zone.free(item);
    expect(zone.alloc()).toBe(item);
  }
  expect(source.imports).toBe(imports);
  zone.free(item);
});

test("items are any 32-bit integers other than 0", () => {
  const source = new Source(5, -3);
  source.free.splice(source.free.indexOf(0), 1);
  source.free.push(0x7fffffff, -0x80000000);
  const zone = setUp(source);
  const items = Array.from({ length: 6 }, () => zone.alloc());
  expect(items.toSorted((a, b) => a - b)).toEqual([-0x80000000, -3, -2, -1, 1, 0x7fffffff]);
  expect(zone.tryAlloc()).toBe(0);
  expect(uma.lastFailure).toBe("EMPTY");
  expect(zone.stats().fail).toBe(1);
  for (const item of items) zone.free(item);
  zone.free(0);
  for (const wrong of [1.5, 2 ** 31, Number.NaN]) expect(() => zone.free(wrong)).toThrow(coded("ERR_UMA_ADDRESS"));
});

test("an import that answers nonsense is refused by name, and counts nothing", () => {
  const answers: [number, number[]][] = [
    [-1, []],
    [1.5, [1, 2]],
    [1000, []],
    [1, []],
    [1, [0]],
    [2, [1, 0.5]],
  ];
  uma = makeUma();
  let at = 0;
  const zone = uma.open(
    defineCache("nonsense", {
      import: (store) => {
        const [count, items] = answers[at] as (typeof answers)[number];
        store.push(...items);
        return count;
      },
      release: () => undefined,
    }),
  );
  for (; at < answers.length; at++) expect(() => zone.tryAlloc()).toThrow(coded("ERR_UMA_SUPPLIER"));
  expect(zone.getCur()).toBe(0);
});

test("what import throws reaches whoever allocates; what release throws, whoever reclaims", () => {
  uma = makeUma();
  let next = 0;
  let broken = true;
  const zone = uma.open(
    defineCache("broken", {
      import: (store) => {
        if (broken) throw new Error("not now");
        store[0] = ++next;
        return 1;
      },
      release: () => {
        throw new Error("not wanted");
      },
    }),
  );
  expect(() => zone.tryAlloc()).toThrow(coded("ERR_UMA_SUPPLIER"));
  broken = false;
  zone.free(zone.alloc());
  expect(() => zone.reclaim("drain")).toThrow(coded("ERR_UMA_SUPPLIER"));
  expect(zone.stats().free).toBe(0);
});

test("import and release may use other zones, not their own", () => {
  const codes: string[] = [];
  uma = makeUma();
  const other = uma.open(defineCache("other", new Source(500).options));
  const zone: Zone = uma.open(
    defineCache("recursive", {
      import: (store) => {
        try {
          zone.tryAlloc();
        } catch (error) {
          codes.push((error as { code: string }).code);
        }
        store[0] = other.alloc();
        return 1;
      },
      release: (store) => other.free(store[0] as number),
    }),
  );
  zone.free(zone.alloc());
  zone.reclaim("drain");
  expect(codes).toEqual(["ERR_UMA_HOOK_RECURSION"]);
  expect(other.getCur()).toBe(0);
});

test("a limit counts what was imported, and a free above it goes back to the source", () => {
  const source = new Source(1000);
  const zone = setUp(source, { limit: 5 });
  const items = Array.from({ length: 5 }, () => zone.alloc());
  expect(zone.tryAlloc()).toBe(0);
  expect(uma.lastFailure).toBe("LIMIT");
  expect(source.free.length).toBe(995);
  zone.setMax(2);
  zone.free(items.pop() as number);
  expect(source.free.length).toBe(996);
  for (const item of items) zone.free(item);
  expect(zone.getCur()).toBe(0);
});

test("without buckets each item goes through import and release", () => {
  const source = new Source(10);
  const zone = setUp(source, { bucket: 0 });
  const item = zone.alloc();
  expect(source.free.length).toBe(9);
  zone.free(item);
  expect(source.free.length).toBe(10);
  expect([source.imports, source.releases]).toEqual([1, 1]);
});

test("ctor and dtor run at each alloc and free, zoneInit and zoneFini between source and cache", () => {
  const log: string[] = [];
  const note =
    (what: string) =>
    (item: number): void => {
      log.push(`${what} ${item}`);
    };
  const source = new Source(1);
  const zone = setUp(source, { ctor: note("ctor"), dtor: note("dtor"), zoneInit: note("zoneInit"), zoneFini: note("zoneFini") });
  zone.free(zone.alloc());
  zone.free(zone.alloc());
  zone.reclaim("drain");
  expect(log).toEqual(["zoneInit 1", "ctor 1", "dtor 1", "ctor 1", "dtor 1", "zoneFini 1"]);
  expect(source.free).toEqual([1]);
});

test("a zoneInit that refuses sends the rest back and keeps what it had accepted", () => {
  const source = new Source(100);
  const zone = setUp(source, { zoneInit: (item) => item <= 3 });
  const items = [zone.alloc(), zone.alloc(), zone.alloc()];
  expect(items.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
  expect(zone.tryAlloc()).toBe(0);
  expect(uma.lastFailure).toBe("REFUSED");
  expect(source.free.length).toBe(97);
  expect(zone.getCur()).toBe(3);
  for (const item of items) zone.free(item);
});

test("prefill takes items aside; prealloc, reserve and suppliers have no meaning", () => {
  const source = new Source(100);
  const zone = setUp(source);
  zone.prefill(50);
  expect(source.free.length).toBe(50);
  source.free.length = 0;
  const items = Array.from({ length: 50 }, () => zone.alloc());
  expect(new Set(items).size).toBe(50);
  expect(() => zone.prefill(1)).toThrow(coded("ERR_UMA_EMPTY"));
  for (const item of items) zone.free(item);
  for (const call of [
    () => zone.prealloc(1),
    () => zone.reserve(1),
    () => zone.reserveKva(1),
    () => zone.setAllocf(() => 0),
    () => zone.setFreef(() => undefined),
  ])
    expect(call).toThrow(coded("ERR_UMA_OPTION"));
});

test("bulk calls take all or nothing, and refuse an item that stands twice", () => {
  const source = new Source(20);
  const zone = setUp(source);
  const items = new Int32Array(15);
  expect(zone.allocBulk(items)).toBe(true);
  expect(new Set(items).size).toBe(15);
  expect(zone.allocBulk(new Int32Array(6))).toBe(false);
  expect(zone.getCur()).toBe(15);
  expect(() => zone.freeBulk([items[0] as number, items[0] as number])).toThrow(coded("ERR_UMA_DOUBLE_FREE"));
  zone.freeBulk(items);
  expect(zone.getCur()).toBe(0);
});

test("the depot's bound sends what is more back to the source", () => {
  const source = new Source(3000);
  const zone = setUp(source, { bucket: 10, maxCache: 20 });
  const items = Array.from({ length: 500 }, () => zone.alloc());
  for (const item of items) zone.free(item);
  const { freeInDepot, free } = zone.stats();
  expect(freeInDepot).toBeLessThanOrEqual(20);
  expect(free).toBeLessThanOrEqual(40);
  expect(source.free.length).toBe(3000 - free);
});

test("what a dead worker had in its buckets comes back; what it held is still out", async () => {
  const source = new Source(1000);
  const zone = setUp(source);
  const other = await secondWorker(uma);
  const there = other.open(defineCache("cached", source.options));
  const held = [there.alloc(), there.alloc()];
  for (let n = 0; n < 5; n++) there.free(there.alloc());
  expect(uma.reap(other.slot)?.done).toBe(true);
  expect(zone.getCur()).toBe(2);
  zone.reclaim("drain");
  expect(source.free.length).toBe(998);
  for (const item of held) zone.free(item);
});

/** An origin over a source, in whose hands the worker stops for good at the first `fill` or `empty`: this very thread recovers it. */
function deadly(source: Source, dies: "fill" | "empty", atDeath: () => void): ZoneDefinition {
  const die = (): never => {
    atDeath();
    throw new Error("this worker is no more");
  };
  return defineCacheOver("cached", { limit: 10 }, (core) => {
    const crates = createCrates(core.floor);
    return {
      fill: (frame, want) => {
        if (dies === "fill") die();
        const store: number[] = [];
        const count = source.options.import(store, want);
        crates.add(frame, store, count);
        return 0;
      },
      empty: (frame, count) => {
        if (dies === "empty") crates.remove(frame, [], 1);
        return count > 0 ? die() : 0;
      },
    };
  });
}

test("a worker that dies inside import leaves the limit as it was, and the zone whole", async () => {
  const source = new Source(1000);
  const zone = setUp(source, { limit: 10 });
  const other = await secondWorker(uma);
  const there = other.open(deadly(source, "fill", () => expect(uma.reap(other.slot)?.done).toBe(true)));
  expect(() => there.alloc()).toThrow("no more");
  expect(zone.getCur()).toBe(0);
  const items = Array.from({ length: 10 }, () => zone.alloc());
  expect(zone.tryAlloc()).toBe(0);
  for (const item of items) zone.free(item);
});

test("of a worker that dies inside release, what it had not yet given up is released by its recovery", async () => {
  const source = new Source(1000);
  const zone = setUp(source, { limit: 10 });
  const other = await secondWorker(uma);
  const there = other.open(deadly(source, "empty", () => expect(uma.reap(other.slot)?.done).toBe(true)));
  const items = Array.from({ length: 5 }, () => there.alloc());
  for (const item of items) there.free(item);
  expect(() => there.reclaim("drain")).toThrow("no more");
  expect(zone.getCur()).toBe(0);
  zone.reclaim("drain");
  // One item was the origin's: what happens to that is its own affair.
  expect(source.free.length).toBe(999);
  expect(zone.stats()).toMatchObject({ used: 0, free: 0 });
});

test("destroying it releases what is cached; its definition is checked", () => {
  const source = new Source(100);
  const zone = setUp(source);
  zone.free(zone.alloc());
  expect([...umaTree(uma)][0]?.[1]).toMatchObject({ keg: { name: "cached", ipers: 0, efficiency: 0 }, stats: { current: 0, allocs: 1 } });
  expect(zone.destroy()).toMatchObject({ outstanding: 0 });
  expect(source.free.length).toBe(100);
  const release = source.options.release;
  expect(() => defineCache("x", { release } as unknown as CacheOptions)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => defineCache("x", undefined as unknown as CacheOptions)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => defineCache("x", { ...source.options, limit: -1 })).toThrow(coded("ERR_UMA_OPTION"));
});
