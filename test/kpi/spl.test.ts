/** The SPL's names, and the five problems that the SPL's vmem.h lists of vmalloc on Linux: none of them is here. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ARENA_LOCK, ARENA_SEGMENTS, KEG_LOCK, ZONE_KEG } from "../../src/backend/memory/layout.ts";
import { createMalloc, defineZone, Uma } from "../../src/index.ts";
import {
  KMC_NOMAGAZINE,
  KMEM_CBRC_NO,
  KM_NOSLEEP,
  KM_PUSHPAGE,
  KM_SLEEP,
  SPL_KMEM_ALLOC_WARN,
  SPL_ZONE_MAX,
  type Spl,
  VMEM_ALLOC,
  VMEM_FREE,
  createSpl,
} from "../../src/kpi/spl.ts";
import { GFP_KERNEL, GFP_NOWAIT, createLinux } from "../../src/kpi/linux.ts";
import { codeOf } from "../fixtures/codes.ts";

const MiB = 2 ** 20;
let uma: Uma;
let spl: Spl;
let warnings: string[];

function open(tracking = 0): Spl {
  return createSpl(uma, { tracking, warn: (message) => warnings.push(message) });
}

beforeEach(() => {
  warnings = [];
  uma = Uma.create({ bytes: 8 * MiB, workers: 4, patience: 300 });
  spl = open();
});

afterEach(() => {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

/** Runs `act` while somebody else holds the lock at word `lock`. */
function whileLocked<T>(lock: number, act: () => T): T {
  const { i32 } = uma.core.floor.cells;
  const stranger = uma.ticket();
  i32[lock] = stranger.name;
  try {
    return act();
  } finally {
    i32[lock] = 0;
    uma.reap(stranger);
  }
}

describe("kmem and vmem", () => {
  test.each([
    ["kmem_alloc", KM_SLEEP],
    ["kmem_alloc", KM_NOSLEEP],
    ["kmem_alloc", KM_PUSHPAGE],
    ["vmem_alloc", KM_SLEEP],
    ["vmem_alloc", KM_NOSLEEP],
  ] as const)("%s with flags %d: sizes up to the threshold from zones, larger ones from the arena", (name, flags) => {
    const free = (p: number, size: number): void => (name === "kmem_alloc" ? spl.kmem_free(p, size) : spl.vmem_free(p, size));
    for (const [size, fromZone] of [
      [1, true],
      [SPL_ZONE_MAX, true],
      [SPL_ZONE_MAX + 1, false],
      [1_000_000, false],
    ] as const) {
      const p = spl[name](size, flags);
      const zones = uma.stats().zones.filter((z) => z.name.startsWith("malloc-") && z.used > 0);
      expect(zones.length, String(size)).toBe(fromZone ? 1 : 0);
      free(p, size);
    }
    expect(spl.kmem_used() + spl.vmem_used()).toBe(0);
  });

  test("kmem_zalloc and vmem_zalloc zero what was used before", () => {
    for (const size of [64, 100_000]) {
      const used = spl.kmem_alloc(size, KM_SLEEP);
      uma.views.u8.fill(0xff, used, used + size);
      spl.kmem_free(used, size);
      const p = spl.kmem_zalloc(size, KM_SLEEP);
      expect(uma.views.u8.subarray(p, p + size).every((byte) => byte === 0)).toBe(true);
      spl.kmem_free(p, size);
      const q = spl.vmem_zalloc(size, KM_NOSLEEP);
      expect(uma.views.u8.subarray(q, q + size).every((byte) => byte === 0)).toBe(true);
      spl.vmem_free(q, size);
    }
  });

  test("a free with another size, of what was never allocated, or twice, is refused and changes nothing", () => {
    const p = spl.kmem_alloc(100, KM_SLEEP);
    const big = spl.vmem_alloc(50_000, KM_SLEEP);
    expect(codeOf(() => spl.kmem_free(p, 200))).toBe("ERR_VMEM_SIZE");
    expect(codeOf(() => spl.kmem_free(p, Number.NaN))).toBe("ERR_VMEM_SIZE");
    expect(codeOf(() => spl.vmem_free(big, 40_000))).toBe("ERR_VMEM_SIZE");
    expect(codeOf(() => spl.vmem_free(big + 4096, 45_904))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => spl.kmem_free(1, 1))).toBe("ERR_UMA_ADDRESS");
    spl.kmem_free(p, 100);
    expect(codeOf(() => spl.kmem_free(p, 100))).toBe("ERR_UMA_ADDRESS");
    spl.vmem_free(big, 50_000);
    expect(codeOf(() => spl.vmem_free(big, 50_000))).toBe("ERR_UMA_ADDRESS");
    expect(codeOf(() => spl.kmem_alloc(-1, KM_SLEEP))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => spl.kmem_alloc(100 * MiB, KM_SLEEP))).toBe("ERR_UMA_OPTION");
    spl.kmem_free(0, 10);
  });

  test("vmem_size moves up and down by what is allocated, and both together are the whole heap", () => {
    const all = spl.vmem_size(null, VMEM_ALLOC | VMEM_FREE);
    const alloc = spl.vmem_size(null, VMEM_ALLOC);
    const free = spl.vmem_size(null, VMEM_FREE);
    expect(alloc + free).toBe(all);
    const p = spl.vmem_alloc(MiB, KM_SLEEP);
    expect(spl.vmem_size(null, VMEM_ALLOC)).toBe(alloc + MiB);
    expect(spl.vmem_size(null, VMEM_FREE)).toBe(free - MiB);
    spl.vmem_free(p, MiB);
    expect(spl.vmem_size(null, VMEM_ALLOC)).toBe(alloc);
  });

  test("KM_SLEEP throws at once for what no free could provide", () => {
    expect(codeOf(() => spl.vmem_alloc(spl.vmem_size(null, VMEM_ALLOC | VMEM_FREE), KM_SLEEP))).toBe("ERR_UMA_EMPTY");
  });
});

describe("warnings and leaks", () => {
  test("a large kmem_alloc warns with its caller, once for each, and a vmem_alloc does not", () => {
    function greedy(): number {
      return spl.kmem_alloc(SPL_KMEM_ALLOC_WARN + 1, KM_SLEEP);
    }
    const taken = [greedy(), greedy(), spl.kmem_alloc(100_000, KM_NOSLEEP, "named", 42)];
    const quiet = spl.vmem_alloc(100_000, KM_SLEEP);
    expect(warnings).toEqual([
      expect.stringMatching(/^large kmem_alloc\(65537\) in greedy spl\.test\.ts:\d+: use vmem_alloc/),
      expect.stringMatching(/^large kmem_alloc\(100000\) in named :42: /),
    ]);
    spl.kmem_free(taken[0] as number, SPL_KMEM_ALLOC_WARN + 1);
    spl.kmem_free(taken[1] as number, SPL_KMEM_ALLOC_WARN + 1);
    spl.kmem_free(taken[2] as number, 100_000);
    spl.vmem_free(quiet, 100_000);
  });

  test("spl_vmem_fini says what leaks: bytes without tracking; address, size, function and line with it", () => {
    const lost = spl.kmem_alloc(100, KM_SLEEP);
    expect(spl.spl_vmem_fini()).toEqual({ kmem: 112, vmem: 0, leaks: [], untracked: 0 });
    spl.kmem_free(lost, 100);
    warnings = [];
    const tracked = open(100);
    expect(tracked.spl_vmem_init()).toBe(0);
    function leaky(): number {
      return tracked.vmem_zalloc(20_000, KM_SLEEP);
    }
    const one = leaky();
    const other = tracked.kmem_alloc(24, KM_NOSLEEP, "named", 7);
    const freed = tracked.kmem_alloc(24, KM_SLEEP);
    tracked.kmem_free(freed, 24);
    expect(codeOf(() => tracked.kmem_free(other, 25))).toBe("ERR_VMEM_SIZE");
    const report = tracked.spl_vmem_fini();
    expect(report).toMatchObject({ kmem: 32, vmem: 20_480, untracked: 0 });
    expect(report.leaks).toHaveLength(2);
    expect(report.leaks).toContainEqual({ address: one, size: 20_000, function: "leaky", file: "spl.test.ts", line: expect.any(Number) });
    expect(report.leaks).toContainEqual({ address: other, size: 24, function: "named", file: "", line: 7 });
    expect(report.leaks.find((leak) => leak.address === one)?.line).toBeGreaterThan(100);
    expect(warnings[0]).toBe("leaked: kmem 32 bytes, vmem 20480 bytes");
    expect(warnings.slice(1).join("\n")).toContain("20000 bytes of leaky, spl.test.ts:");
    tracked.vmem_free(one, 20_000);
    tracked.kmem_free(other, 24);
    expect(tracked.spl_vmem_fini()).toEqual({ kmem: 0, vmem: 0, leaks: [], untracked: 0 });
  });

  test("what finds no room in the table is counted, and freed like everything else", () => {
    const tracked = open(2);
    const taken = [1, 2, 3].map(() => tracked.kmem_alloc(10, KM_SLEEP));
    expect(tracked.spl_vmem_fini()).toMatchObject({ untracked: 1 });
    for (const p of taken) tracked.kmem_free(p, 10);
    expect(tracked.spl_vmem_fini().leaks).toEqual([]);
  });
});

describe("kmem_cache", () => {
  test("runs ctor and dtor at every allocation and free, with the private argument, and refuses what ctor refuses", () => {
    const seen: string[] = [];
    let refuse = false;
    const cache = spl.kmem_cache_create(
      "objects",
      100,
      64,
      (_obj, priv, flags) => {
        seen.push(`ctor ${String(priv)} ${flags}`);
        return refuse ? 1 : 0;
      },
      (_obj, priv) => seen.push(`dtor ${String(priv)}`),
      null,
      "mine",
      null,
      0,
    );
    const obj = spl.kmem_cache_alloc(cache, KM_NOSLEEP);
    expect(obj % 64).toBe(0);
    spl.kmem_cache_free(cache, obj);
    expect(seen).toEqual(["ctor mine 1", "dtor mine"]);
    refuse = true;
    expect(spl.kmem_cache_alloc(cache, KM_NOSLEEP)).toBe(0);
    refuse = false;
    expect(codeOf(() => spl.kmem_cache_free(cache, obj))).toBe("ERR_UMA_DOUBLE_FREE");
    const kept = spl.kmem_cache_alloc(cache, KM_SLEEP);
    expect(kept).toBeGreaterThan(0);
    expect(spl.kmem_cache_destroy(cache)).toBe(1);
  });

  test("stores a move callback and never calls it, and asks the reclaim callback before it gives slabs back", () => {
    let asked = 0;
    const held: number[] = [];
    const cache = spl.kmem_cache_create(
      "reaped",
      256,
      0,
      null,
      null,
      () => {
        asked++;
        for (const obj of held.splice(0)) spl.kmem_cache_free(cache, obj);
      },
      null,
      null,
      KMC_NOMAGAZINE,
    );
    spl.kmem_cache_set_move(cache, () => KMEM_CBRC_NO);
    expect(cache.move?.(1, 2, 3, null)).toBe(KMEM_CBRC_NO);
    for (let n = 0; n < 500; n++) held.push(spl.kmem_cache_alloc(cache, KM_SLEEP));
    spl.kmem_reap();
    expect(asked).toBe(1);
    expect(cache.zone.stats()).toMatchObject({ used: 0, pages: 0 });
    spl.kmem_cache_reap_now(cache);
    expect(asked).toBe(2);
    expect(spl.kmem_cache_destroy(cache)).toBe(0);
  });
});

describe("the five problems of vmalloc", () => {
  test("1. hidden blocking: without sleep nothing waits anywhere below, not for the lock of a page table, a tag or a slab", () => {
    const linux = createLinux(uma, { warnBytes: 0 });
    const small = spl.kmem_alloc(64, KM_SLEEP);
    const { heap, areas } = uma.core;
    const { i32 } = uma.core.floor.cells;
    const wait = vi.spyOn(Atomics, "wait");
    whileLocked(heap.arena + ARENA_LOCK, () => {
      expect(spl.vmem_alloc(100_000, KM_NOSLEEP)).toBe(0);
      expect(uma.lastFailure).toBe("BUSY");
      expect(spl.kmem_alloc(5000, KM_NOSLEEP)).toBe(0);
      expect(linux.__vmalloc(3 * MiB, GFP_NOWAIT)).toBe(0);
      expect(linux.__get_free_pages(GFP_NOWAIT, 2)).toBe(0);
    });
    whileLocked((i32[areas.table.record()] as number) + ARENA_LOCK, () => {
      expect(linux.__vmalloc(8192, GFP_NOWAIT)).toBe(0);
      expect(uma.lastFailure).toBe("BUSY");
    });
    expect(wait).not.toHaveBeenCalled();
    whileLocked(heap.arena + ARENA_LOCK, () => expect(linux.__get_free_pages(GFP_KERNEL, 2)).toBe(0));
    expect(wait).toHaveBeenCalled();
    wait.mockRestore();
    spl.kmem_free(small, 64);
  });

  test("2. exhaustion: without sleep the answer is NULL at once; with it the thread sleeps and is counted, and never spins", () => {
    const taken: number[] = [];
    for (let p = spl.vmem_alloc(MiB / 2, KM_NOSLEEP); p !== 0; p = spl.vmem_alloc(MiB / 2, KM_NOSLEEP)) taken.push(p);
    const { search, fail } = uma.arenas.heap.stats();
    const heapOnly = uma.core.heap;
    const cpu = process.cpuUsage();
    const started = performance.now();
    expect(codeOf(() => sleepFor(250))).toBe("ERR_UMA_TIMEOUT");
    const elapsed = performance.now() - started;
    const busy = process.cpuUsage(cpu);
    expect(elapsed).toBeGreaterThan(200);
    expect((busy.user + busy.system) / 1000).toBeLessThan(elapsed * 0.8);
    // A look when it came, and one after each nap of 100 ms: a thread that spins looks a million times.
    expect(uma.arenas.heap.stats().fail - fail).toBeLessThan(12);
    expect(uma.arenas.heap.stats().search - search).toBeLessThan(100);
    expect(heapOnly.counts().inUse).toBeGreaterThan(0);
    for (const p of taken) spl.vmem_free(p, MiB / 2);
  });

  function sleepFor(timeout: number): number {
    return createMalloc(uma).allocWait(MiB / 2, { timeout });
  }

  test("3. one global lock: what others hold (a zone, the addresses, even the heap) does not keep cached sizes from being served", () => {
    const linux = createLinux(uma, { warnBytes: 0 });
    for (const p of Array.from({ length: 8 }, () => spl.kmem_alloc(64, KM_SLEEP))) spl.kmem_free(p, 64);
    const other = uma.open(defineZone("other", { size: 64 }));
    const { heap, areas } = uma.core;
    const { i32 } = uma.core.floor.cells;
    const locks = [
      heap.arena + ARENA_LOCK,
      (i32[areas.table.record()] as number) + ARENA_LOCK,
      (i32[other.zone + ZONE_KEG] as number) + KEG_LOCK,
    ];
    for (const lock of locks) {
      whileLocked(lock, () => {
        for (let n = 0; n < 100; n++) {
          const p = spl.kmem_alloc(64, KM_NOSLEEP);
          expect(p).not.toBe(0);
          spl.kmem_free(p, 64);
        }
      });
    }
    whileLocked(locks[1] as number, () => {
      const pages = linux.__get_free_pages(GFP_NOWAIT, 1);
      expect(pages).not.toBe(0);
      linux.free_pages(pages, 1);
    });
    // Nine in ten allocations of a size class never see a lock: a bucket takes them.
    const zone = uma.stats().zones.find((z) => z.name === "malloc-64");
    expect(zone?.used).toBe(0);
    const segments = i32[heap.arena + ARENA_SEGMENTS] as number;
    const many = Array.from({ length: 5000 }, () => spl.kmem_alloc(64, KM_SLEEP));
    expect((i32[heap.arena + ARENA_SEGMENTS] as number) - segments).toBeLessThan(150);
    for (const p of many) spl.kmem_free(p, 64);
  });

  test("4. statistics: reading them waits for no lock and costs the same for one mapping and for hundreds; the list can be left half read", () => {
    const linux = createLinux(uma, { warnBytes: 0 });
    const areas = Array.from({ length: 300 }, () => linux.vmalloc(4096));
    const { heap, areas: all } = uma.core;
    const { i32 } = uma.core.floor.cells;
    const lines = linux.vmallocinfo();
    lines.next();
    whileLocked(heap.arena + ARENA_LOCK, () => {
      whileLocked((i32[all.table.record()] as number) + ARENA_LOCK, () => {
        expect(spl.vmem_size(null, VMEM_ALLOC)).toBeGreaterThan(0);
        expect(linux.meminfo().VmallocUsed).toBe(300 * 8192);
        expect([...linux.vmallocinfo()]).toHaveLength(300);
      });
    });
    // A reader that has stopped in the middle keeps nobody from freeing and mapping.
    for (const p of areas) linux.vfree(p);
    const p = linux.vmalloc(8192);
    linux.vfree(p);
    expect([...lines].length).toBeLessThanOrEqual(1);
  });

  test("5. wait words: a word inside any allocation can be waited on and woken", async () => {
    for (const size of [64, 100_000]) {
      const p = spl.vmem_zalloc(size, KM_SLEEP);
      const word = (p + size - 4) >> 2;
      const wait = Atomics.waitAsync(uma.views.i32, word, 0, 5000);
      expect(wait.async).toBe(true);
      Atomics.store(uma.views.i32, word, 1);
      expect(Atomics.notify(uma.views.i32, word)).toBe(1);
      expect(await wait.value).toBe("ok");
      spl.vmem_free(p, size);
    }
    // What vmalloc maps is scattered, but a word never is: its place in the memory can be waited on.
    const linux = createLinux(uma, { warnBytes: 0 });
    const p = linux.vzalloc(20_000);
    const word = linux.mem.at(p + 8192) >> 2;
    const wait = Atomics.waitAsync(uma.views.i32, word, 0, 5000);
    linux.mem.setI32(p + 8192, 1);
    expect(Atomics.notify(uma.views.i32, word)).toBe(1);
    expect(await wait.value).toBe("ok");
    linux.vfree(p);
  });
});
