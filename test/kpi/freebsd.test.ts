import { expect, test } from "vitest";
import { Uma } from "../../src/index.ts";
import * as k from "../../src/kpi/freebsd.ts";

const coded = (code: string): unknown => expect.objectContaining({ code });

function setUp(): { uma: Uma; f: k.FreebsdUma } {
  const uma = Uma.create({ bytes: 2 ** 23, workers: 4 });
  return { uma, f: k.createFreebsdUma(uma) };
}

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

test("callbacks get the item, its size, the argument and the flags; one that answers an errno refuses", () => {
  const { uma, f } = setUp();
  const log: unknown[][] = [];
  let errno = 0;
  const zone = f.uma_zcreate(
    "callbacks",
    64,
    (...args) => (log.push(["ctor", ...args]), errno),
    (...args) => void log.push(["dtor", ...args]),
    (_mem, size) => void (size === 64 || log.push(["init", size])),
    null,
    k.UMA_ALIGN_PTR,
    0,
  );
  const item = f.uma_zalloc_arg(zone, "arg", k.M_NOWAIT);
  f.uma_zfree_arg(zone, item, "bye");
  expect(log).toEqual([
    ["ctor", item, 64, "arg", k.M_NOWAIT],
    ["dtor", item, 64, "bye"],
  ]);
  errno = 12;
  expect(f.uma_zalloc(zone, k.M_NOWAIT)).toBe(0);
  expect(f.uma_zalloc(zone, k.M_WAITOK)).toBe(0);
  expect(f.uma_zone_get_cur(zone)).toBe(0);
  finish(uma);
});

test("uma_zdestroy: EWOULDBLOCK of 2002 with a wait flag, for good without", () => {
  const { uma, f } = setUp();
  const zone = f.uma_zcreate("doomed", 64, null, null, null, null, k.UMA_ALIGN_CACHE, 0);
  const item = f.uma_zalloc(zone, k.M_WAITOK);
  expect(item % 64).toBe(0);
  expect(f.uma_zdestroy(zone, k.M_NOWAIT)).toBe(k.EWOULDBLOCK);
  f.uma_zfree(zone, item);
  expect(f.uma_zdestroy(zone, k.M_NOWAIT)).toBe(0);
  const again = f.uma_zcreate("doomed", 64, null, null, null, null, k.UMA_ALIGN_PTR, 0);
  f.uma_zalloc(again, k.M_NOWAIT);
  expect(f.uma_zdestroy(again)).toBe(0);
  finish(uma);
});

test("limits: set_max, get_max, get_cur, exhausted, warning, maxaction", () => {
  const { uma, f } = setUp();
  const zone = f.uma_zcreate("limited", 64, null, null, null, null, 0, 0);
  expect(f.uma_zone_get_max(zone)).toBe(0);
  expect(f.uma_zone_set_max(zone, 3)).toBe(3);
  let acted = 0;
  f.uma_zone_set_maxaction(zone, () => acted++);
  const items = [1, 2, 3, 4].map(() => f.uma_zalloc(zone, k.M_NOWAIT));
  expect(items.map(Boolean)).toEqual([true, true, true, false]);
  expect([f.uma_zone_get_max(zone), f.uma_zone_get_cur(zone), f.uma_zone_exhausted(zone), acted]).toEqual([3, 3, 0, 1]);
  finish(uma);
});

test("M_ZERO zeroes, M_USE_RESERVE takes from the reserve, NULL is freed without a word", () => {
  const { uma, f } = setUp();
  const zone = f.uma_zcreate("flags", 256, null, null, null, null, 0, k.UMA_ZONE_NOBUCKET);
  f.uma_zone_reserve(zone, 2);
  f.uma_zone_set_max(zone, 100);
  const item = f.uma_zalloc(zone, k.M_NOWAIT);
  uma.views.u8.fill(7, item, item + 256);
  f.uma_zfree(zone, item);
  expect(f.uma_zalloc(zone, k.M_NOWAIT | k.M_ZERO)).toBe(item);
  expect(uma.views.u8.slice(item, item + 256).every((byte) => byte === 0)).toBe(true);
  expect(f.uma_zalloc(zone, k.M_NOWAIT | k.M_USE_RESERVE)).not.toBe(0);
  f.uma_zfree(zone, 0);
  finish(uma);
});

test("per-CPU zones: only their own calls zero, each worker has its copy", () => {
  const { uma, f } = setUp();
  const zone = f.uma_zcreate("pcpu", 8, null, null, null, null, 0, k.UMA_ZONE_PCPU);
  const item = f.uma_zalloc_pcpu(zone, k.M_WAITOK | k.M_ZERO);
  expect(f.zpcpu_get(zone, item)).toBe(f.zpcpu_get_cpu(zone, item, uma.slot));
  expect(() => f.uma_zalloc(zone, k.M_ZERO)).toThrow(coded("ERR_UMA_OPTION"));
  f.uma_zfree_pcpu(zone, item);
  const plain = f.uma_zcreate("plain", 8, null, null, null, null, 0, 0);
  expect(() => f.uma_zalloc_pcpu(plain, k.M_NOWAIT)).toThrow(coded("ERR_UMA_OPTION"));
  finish(uma);
});

test("SMR zones, prealloc, reclaim, reserve_kva, set_obj, memory", () => {
  const { uma, f } = setUp();
  const smr = f.uma_zcreate("smr", 64, null, null, null, null, 0, k.UMA_ZONE_SMR);
  f.uma_zfree_smr(smr, f.uma_zalloc_smr(smr, k.M_WAITOK | k.M_ZERO));
  expect(f.uma_zone_get_smr(smr)).toBe(uma.smr);
  const zone = f.uma_zcreate("memory", 64, null, null, null, null, 0, k.UMA_ZONE_MAXBUCKET);
  f.uma_prealloc(zone, 1000);
  expect(f.uma_zone_memory(zone)).toBeGreaterThanOrEqual(64_000);
  f.uma_zone_reclaim(zone, k.UMA_RECLAIM_DRAIN);
  expect(f.uma_zone_memory(zone)).toBe(0);
  expect(f.uma_zone_reserve_kva(zone, 100)).toBe(1);
  expect(f.uma_zone_get_max(zone)).toBe(100);
  const object = f.uma_zcreate("object", 64, null, null, null, null, 0, 0);
  expect(f.uma_zone_set_obj(object, null, 6400)).toBe(1);
  expect(f.uma_zone_get_max(object)).toBe(100);
  expect(f.uma_zone_reserve_kva(f.uma_zcreate("huge", 4096, null, null, null, null, 0, 0), 1_000_000)).toBe(0);
  expect(f.uma_reclaim()).toBe(0);
  expect(f.uma_size()).toBeGreaterThan(0);
  expect(f.uma_avail()).toBeGreaterThan(0);
  f.uma_zwait(zone);
  finish(uma);
});

test("secondary zones: hooks of their own on the primary's slabs", () => {
  const { uma, f } = setUp();
  const log: string[] = [];
  const note =
    (what: string) =>
    (mem: number, size: number): number => {
      log.push(`${what} ${size} ${mem > 0}`);
      return 0;
    };
  const mbuf = f.uma_zcreate("mbuf", 256, null, null, note("init"), note("fini"), k.UMA_ALIGN_PTR, 0);
  const packet = f.uma_zsecond_create("packet", note("ctor"), note("dtor"), note("zinit"), note("zfini"), mbuf);
  const item = f.uma_zalloc(packet, k.M_WAITOK);
  expect(() => f.uma_zfree(mbuf, item)).toThrow(coded("ERR_UMA_WRONG_ZONE"));
  f.uma_zfree(packet, item);
  expect(() => f.uma_zdestroy(mbuf)).toThrow(coded("ERR_UMA_SECONDARIES"));
  f.uma_zdestroy(packet);
  f.uma_zdestroy(mbuf);
  const times = (what: string): number => log.filter((entry) => entry === `${what} 256 true`).length;
  expect([times("init"), times("zinit"), times("ctor")]).toEqual([times("fini"), times("zfini"), times("dtor")]);
  expect(times("zinit")).toBeGreaterThan(0);
  finish(uma);
});

test("cache zones: import and release get their argument, an empty source makes NULL also of M_WAITOK", () => {
  const { uma, f } = setUp();
  const free = [11, 12, 13];
  const seen: unknown[] = [];
  const zone = f.uma_zcache_create(
    "ids",
    0,
    null,
    null,
    null,
    null,
    (arg, store, count, domain, flags) => {
      seen.push([arg, domain, flags]);
      let n = 0;
      while (n < count && free.length > 0) store[n++] = free.pop() as number;
      return n;
    },
    (arg, store, count) => void (seen.push(arg), free.push(...store.slice(0, count))),
    "arg",
    0,
  );
  const items = [1, 2, 3].map(() => f.uma_zalloc(zone, k.M_NOWAIT));
  expect(items.toSorted((a, b) => a - b)).toEqual([11, 12, 13]);
  expect(f.uma_zalloc(zone, k.M_WAITOK)).toBe(0);
  for (const item of items) f.uma_zfree(zone, item);
  f.uma_zone_reclaim(zone, k.UMA_RECLAIM_DRAIN);
  expect(free.length).toBe(3);
  expect(seen).toEqual([["arg", k.UMA_ANYDOMAIN, k.M_NOWAIT], ["arg", k.UMA_ANYDOMAIN, k.M_WAITOK], "arg"]);
  finish(uma);
});

test("setters: init, fini, zinit, zfini and smr before the first allocation", () => {
  const { uma, f } = setUp();
  const log: string[] = [];
  const zone = f.uma_zcreate("set", 64, null, null, null, null, 0, k.UMA_ZONE_NOBUCKET);
  f.uma_zone_set_init(zone, (_mem, size) => void log.push(`init ${size}`));
  f.uma_zone_set_fini(zone, (_mem, size) => void log.push(`fini ${size}`));
  f.uma_zone_set_zinit(zone, (_mem, size) => void log.push(`zinit ${size}`));
  f.uma_zone_set_zfini(zone, (_mem, size) => void log.push(`zfini ${size}`));
  f.uma_zfree(zone, f.uma_zalloc(zone, k.M_NOWAIT));
  f.uma_zone_reclaim(zone, k.UMA_RECLAIM_DRAIN);
  expect(new Set(log)).toEqual(new Set(["init 64", "zinit 64", "zfini 64", "fini 64"]));
  const smr = f.uma_zcreate("smr", 64, null, null, null, null, 0, 0);
  expect(() => f.uma_zone_set_smr(smr, {} as never)).toThrow(coded("ERR_UMA_OPTION"));
  f.uma_zone_set_smr(smr, f.uma_zone_get_smr(smr));
  f.uma_zfree_smr(smr, f.uma_zalloc_smr(smr, k.M_NOWAIT));
  finish(uma);
});

test("there is one domain; limits of the memory and of caches can be read", () => {
  const { uma, f } = setUp();
  const zone = f.uma_zcreate("domains", 64, null, null, null, null, 0, 0);
  for (const domain of [0, k.UMA_ANYDOMAIN]) {
    f.uma_zfree(zone, f.uma_zalloc_domain(zone, null, domain, k.M_NOWAIT));
    f.uma_zone_reclaim_domain(zone, k.UMA_RECLAIM_TRIM, domain);
    f.uma_reclaim_domain(k.UMA_RECLAIM_DRAIN_CPU, domain);
  }
  expect(() => f.uma_zalloc_domain(zone, null, 1, k.M_NOWAIT)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => f.uma_reclaim_domain(k.UMA_RECLAIM_TRIM, 7)).toThrow(coded("ERR_UMA_OPTION"));
  f.uma_set_limit(1_000_000);
  expect(f.uma_limit()).toBe(245 * 4096);
  expect(f.uma_zone_exhausted_nolock(zone)).toBe(0);
  const max = f.SYSCTL_UMA_MAX(zone);
  max.write?.(5);
  expect([max.read(), f.uma_zone_get_max(zone), f.SYSCTL_UMA_CUR(zone).read()]).toEqual([5, 5, 0]);
  finish(uma);
});

test("cache alignment, large blocks, the shared per-CPU zones, statistics", () => {
  const { uma, f } = setUp();
  expect(f.uma_get_cache_align_mask()).toBe(63);
  f.uma_set_cache_align_mask(127);
  expect(f.uma_zalloc(f.uma_zcreate("aligned", 100, null, null, null, null, k.UMA_ALIGN_CACHE, 0), k.M_NOWAIT) % 128).toBe(0);
  f.uma_set_align(63);
  expect(() => f.uma_set_cache_align_mask(100)).toThrow(coded("ERR_UMA_OPTION"));
  expect([k.UMA_ALIGN_CACHE_AND_MASK(255), k.UMA_ALIGNOF(8)]).toEqual([255, 7]);
  const block = f.uma_large_malloc(10_000, k.M_NOWAIT);
  expect(block % 4096).toBe(0);
  f.uma_large_free(block);
  const counter = f.uma_zalloc_pcpu(f.pcpu_zone_8, k.M_WAITOK | k.M_ZERO);
  f.uma_zfree_pcpu(f.pcpu_zone_8, counter);
  for (const zone of [f.pcpu_zone_4, f.pcpu_zone_16, f.pcpu_zone_32, f.pcpu_zone_64]) expect(zone.name).toMatch(/^pcpu-/);
  const lines: string[] = [];
  f.uma_print_stats((line) => lines.push(line));
  expect(lines.some((line) => line.startsWith("pcpu-8:"))).toBe(true);
  finish(uma);
});

test("uma_startup begins in memory it is handed", () => {
  const f = k.uma_startup(new SharedArrayBuffer(2 ** 21), 8);
  f.uma_startup1();
  const zone = f.uma_zcreate("early", 64, null, null, null, null, 0, 0);
  const item = f.uma_zalloc(zone, k.M_NOWAIT);
  f.uma_startup2(null, 0);
  f.uma_zfree(zone, item);
  expect(() => k.uma_startup(new ArrayBuffer(64))).toThrow(coded("ERR_UMA_OPTION"));
  finish(f.uma);
});
