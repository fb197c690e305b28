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
