/**
 * FreeBSD's uma.h under its own names: zones, for code that is carried over line by line.
 *
 * `createFreebsdUma(uma)` gives the functions for one memory; arguments are in uma.h's order. Pointers are item addresses, NULL
 * is 0. Callbacks may be today's (an int, 0 = done) or those of 2002 (void). Where 2002 and today differ in arguments, both are
 * understood: `uma_zdestroy(zone, M_NOWAIT)` answers EWOULDBLOCK while items are out, `uma_zdestroy(zone)` is today's.
 * What each name maps to, and every deviation with its reason: docs/kpi-map.md.
 */
import { UmaError } from "../backend/memory/errors.ts";
import type { AllocPages, FreePages } from "../backend/supplier/page-supplier.ts";
import { type ZoneOptions, defineZone } from "../uma/definition.ts";
import { type PcpuZone, openPcpu } from "../uma/pcpu.ts";
import type { Smr } from "../uma/smr.ts";
import type { Uma } from "../uma/uma.ts";
import type { Zone } from "../uma/zone.ts";

/** Wait flags, malloc.h. */
export const M_NOWAIT = 0x0001;
export const M_WAITOK = 0x0002;
export const M_ZERO = 0x0100;
export const M_NOVM = 0x0200;
export const M_USE_RESERVE = 0x0400;

/** Zone flags. The three of 2002 that are gone today have bits of their own here. */
export const UMA_ZONE_UNMANAGED = 0x0001;
export const UMA_ZONE_ZINIT = 0x0002;
export const UMA_ZONE_CONTIG = 0x0004;
export const UMA_ZONE_NOTOUCH = 0x0008;
export const UMA_ZONE_MALLOC = 0x0010;
export const UMA_ZONE_NOFREE = 0x0020;
export const UMA_ZONE_MTXCLASS = 0x0040;
export const UMA_ZONE_VM = 0x0080;
export const UMA_ZONE_NOTPAGE = 0x0100;
export const UMA_ZONE_NOBUCKET = 0x0400;
export const UMA_ZONE_MAXBUCKET = 0x0800;
export const UMA_ZONE_CACHESPREAD = 0x2000;
export const UMA_ZONE_NODUMP = 0x4000;
export const UMA_ZONE_PCPU = 0x8000;
export const UMA_ZONE_FIRSTTOUCH = 0x10000;
export const UMA_ZONE_ROUNDROBIN = 0x20000;
export const UMA_ZONE_SMR = 0x40000;
export const UMA_ZONE_NOKASAN = 0x80000;
export const UMA_ZONE_PAGEABLE = 0x100000;
export const UMA_ZONE_STATIC = 0x200000;
export const UMA_ZONE_OFFPAGE = 0x400000;

/** Alignments, as masks. */
export const UMA_ALIGN_PTR: number = 4 - 1;
export const UMA_ALIGN_LONG: number = 8 - 1;
export const UMA_ALIGN_INT: number = 4 - 1;
export const UMA_ALIGN_SHORT: number = 2 - 1;
export const UMA_ALIGN_CHAR: number = 1 - 1;
export const UMA_ALIGN_CACHE: number = 64 - 1;
export const UMA_SMALLEST_UNIT = 16;

/** Depths of a reclaim. */
export const UMA_RECLAIM_DRAIN = 1;
export const UMA_RECLAIM_DRAIN_CPU = 2;
export const UMA_RECLAIM_TRIM = 3;

/** errno.h */
export const EWOULDBLOCK = 35;

/** Returns 0 or nothing when done, anything else to refuse. */
export type uma_ctor = (mem: number, size: number, arg: unknown, flags: number) => number | void;
export type uma_dtor = (mem: number, size: number, arg: unknown) => void;
export type uma_init = (mem: number, size: number, flags: number) => number | void;
export type uma_fini = (mem: number, size: number) => void;

/** A zone's handle. */
export type uma_zone_t = Zone;

export interface FreebsdUma {
  uma_zcreate(
    name: string,
    size: number,
    ctor: uma_ctor | null,
    dtor: uma_dtor | null,
    uminit: uma_init | null,
    fini: uma_fini | null,
    align: number,
    flags: number,
  ): uma_zone_t;
  uma_zdestroy(zone: uma_zone_t, wait?: number): number;
  uma_zalloc(zone: uma_zone_t, flags: number): number;
  uma_zalloc_arg(zone: uma_zone_t, arg: unknown, flags: number): number;
  uma_zfree(zone: uma_zone_t, item: number): void;
  uma_zfree_arg(zone: uma_zone_t, item: number, arg: unknown): void;
  uma_zalloc_smr(zone: uma_zone_t, flags: number): number;
  uma_zfree_smr(zone: uma_zone_t, item: number): void;
  uma_zalloc_pcpu(zone: uma_zone_t, flags: number): number;
  uma_zalloc_pcpu_arg(zone: uma_zone_t, arg: unknown, flags: number): number;
  uma_zfree_pcpu(zone: uma_zone_t, item: number): void;
  uma_zfree_pcpu_arg(zone: uma_zone_t, item: number, arg: unknown): void;
  zpcpu_get(zone: uma_zone_t, item: number): number;
  zpcpu_get_cpu(zone: uma_zone_t, item: number, cpu: number): number;
  uma_zwait(zone: uma_zone_t): void;
  uma_prealloc(zone: uma_zone_t, itemcnt: number): void;
  uma_reclaim(req?: number): number;
  uma_zone_reclaim(zone: uma_zone_t, req: number): void;
  uma_reclaim_wakeup(): void;
  uma_set_limit(bytes: number): void;
  uma_size(): number;
  uma_avail(): number;
  uma_zone_set_max(zone: uma_zone_t, nitems: number): number;
  uma_zone_get_max(zone: uma_zone_t): number;
  uma_zone_set_maxcache(zone: uma_zone_t, nitems: number): void;
  uma_zone_set_warning(zone: uma_zone_t, warning: string): void;
  uma_zone_set_maxaction(zone: uma_zone_t, action: (zone: uma_zone_t, flags: number) => void): void;
  uma_zone_get_cur(zone: uma_zone_t): number;
  uma_zone_exhausted(zone: uma_zone_t): number;
  uma_zone_memory(zone: uma_zone_t): number;
  uma_zone_reserve(zone: uma_zone_t, nitems: number): void;
  uma_zone_reserve_kva(zone: uma_zone_t, nitems: number): number;
  uma_zone_set_obj(zone: uma_zone_t, obj: unknown, size: number): number;
  uma_zone_set_allocf(zone: uma_zone_t, allocf: AllocPages): void;
  uma_zone_set_freef(zone: uma_zone_t, freef: FreePages): void;
  uma_zone_get_smr(zone: uma_zone_t): Smr;
}

/** The names of uma.h for the memory that `uma` is attached to, in this thread. */
export function createFreebsdUma(uma: Uma): FreebsdUma {
  const { u8 } = uma.views;
  const perCpu = new Map<Zone, PcpuZone>();
  /** What the allocation under way was asked with; ctor gets it. */
  let flagsNow = 0;

  function uma_zcreate(...[name, size, ctor, dtor, uminit, fini, align, flags]: Parameters<FreebsdUma["uma_zcreate"]>): Zone {
    const has = (flag: number): boolean => (flags & flag) !== 0;
    const options: ZoneOptions = {
      size,
      align: Math.max(align + 1, 1),
      ...(ctor === null ? {} : { ctor: (mem, arg) => done(ctor(mem, size, arg, flagsNow)) }),
      ...(dtor === null ? {} : { dtor: (mem, arg) => dtor(mem, size, arg) }),
      ...(uminit === null ? {} : { init: (mem) => done(uminit(mem, size, flagsNow)) }),
      ...(fini === null ? {} : { fini: (mem) => fini(mem, size) }),
      ...(has(UMA_ZONE_NOBUCKET) ? { bucket: 0 } : {}),
      zinit: has(UMA_ZONE_ZINIT),
      nofree: has(UMA_ZONE_NOFREE),
      unmanaged: has(UMA_ZONE_UNMANAGED),
      maxBucket: has(UMA_ZONE_MAXBUCKET),
      notouch: has(UMA_ZONE_NOTOUCH),
      smr: has(UMA_ZONE_SMR),
    };
    if (!has(UMA_ZONE_PCPU)) return uma.open(defineZone(name, options));
    const pcpu = openPcpu(uma, name, options);
    perCpu.set(pcpu.zone, pcpu);
    return pcpu.zone;
  }

  function done(answer: number | void): boolean {
    return answer === undefined || answer === 0;
  }

  function uma_zalloc_arg(zone: Zone, arg: unknown, flags: number): number {
    if (perCpu.has(zone) && (flags & M_ZERO) !== 0) {
      throw new UmaError("ERR_UMA_OPTION", `M_ZERO in the per-worker zone "${zone.name}" is uma_zalloc_pcpu's`, { zone: zone.name });
    }
    const outer = flagsNow;
    flagsNow = flags;
    try {
      const item = take(zone, arg, flags);
      if (item !== 0 && (flags & M_ZERO) !== 0) u8.fill(0, item, item + zone.size);
      return item;
    } finally {
      flagsNow = outer;
    }
  }

  function take(zone: Zone, arg: unknown, flags: number): number {
    if ((flags & M_WAITOK) === 0) return (flags & M_USE_RESERVE) === 0 ? zone.tryAlloc(arg) : zone.allocReserved(arg);
    try {
      return zone.allocWait({}, arg);
    } catch (thrown) {
      // As in uma.h: a ctor that fails makes NULL, also of M_WAITOK.
      if (thrown instanceof UmaError && thrown.code === "ERR_UMA_HOOK" && thrown.cause === undefined) return 0;
      throw thrown;
    }
  }

  function uma_zdestroy(zone: Zone, wait?: number): number {
    if (wait === undefined) {
      zone.destroy({ force: true });
      return 0;
    }
    try {
      zone.destroy();
      return 0;
    } catch (thrown) {
      if (thrown instanceof UmaError && thrown.code === "ERR_UMA_OUTSTANDING") return EWOULDBLOCK;
      throw thrown;
    }
  }

  function pcpuOf(zone: Zone): PcpuZone {
    const found = perCpu.get(zone);
    if (found !== undefined) return found;
    throw new UmaError("ERR_UMA_OPTION", `zone "${zone.name}" was not made with UMA_ZONE_PCPU`, { zone: zone.name });
  }

  function uma_zalloc_pcpu_arg(zone: Zone, arg: unknown, flags: number): number {
    const { stride, copies } = pcpuOf(zone);
    const item = uma_zalloc_arg(zone, arg, flags & ~M_ZERO);
    if (item !== 0 && (flags & M_ZERO) !== 0) u8.fill(0, item, item + stride * copies);
    return item;
  }

  const mode = (req: number): "trim" | "drain" | "drain-cpu" =>
    req === UMA_RECLAIM_DRAIN_CPU ? "drain-cpu" : req === UMA_RECLAIM_DRAIN ? "drain" : "trim";

  return {
    uma_zcreate,
    uma_zdestroy,
    uma_zalloc: (zone, flags) => uma_zalloc_arg(zone, undefined, flags),
    uma_zalloc_arg,
    uma_zfree: (zone, item) => zone.free(item),
    uma_zfree_arg: (zone, item, arg) => zone.free(item, arg),
    uma_zalloc_smr(zone, flags) {
      const item = zone.allocSmr();
      if (item !== 0 && (flags & M_ZERO) !== 0) u8.fill(0, item, item + zone.size);
      return item;
    },
    uma_zfree_smr: (zone, item) => zone.freeSmr(item),
    uma_zalloc_pcpu: (zone, flags) => uma_zalloc_pcpu_arg(zone, undefined, flags),
    uma_zalloc_pcpu_arg,
    uma_zfree_pcpu: (zone, item) => pcpuOf(zone).free(item),
    uma_zfree_pcpu_arg: (zone, item, arg) => pcpuOf(zone).zone.free(item, arg),
    zpcpu_get: (zone, item) => pcpuOf(zone).mine(item),
    zpcpu_get_cpu: (zone, item, cpu) => pcpuOf(zone).copyOf(item, cpu),
    uma_zwait: (zone) => zone.free(zone.allocWait()),
    uma_prealloc: (zone, itemcnt) => zone.prealloc(itemcnt),
    uma_reclaim(req = UMA_RECLAIM_DRAIN) {
      uma.reclaim(mode(req));
      return 0;
    },
    uma_zone_reclaim: (zone, req) => void zone.reclaim(mode(req)),
    uma_reclaim_wakeup: () => void uma.reclaim("drain-cpu"),
    uma_set_limit: (bytes) => uma.setMemoryLimit(bytes),
    uma_size: () => uma.stats().heapInUse,
    uma_avail: () => uma.stats().heapFree,
    uma_zone_set_max(zone, nitems) {
      zone.setMax(nitems);
      return nitems;
    },
    uma_zone_get_max: (zone) => zone.getMax(),
    uma_zone_set_maxcache: (zone, nitems) => zone.setMaxCache(nitems),
    uma_zone_set_warning: (zone, warning) => zone.setWarning(warning),
    uma_zone_set_maxaction: (zone, action) => zone.setMaxAction((full) => action(full, 0)),
    uma_zone_get_cur: (zone) => zone.getCur(),
    uma_zone_exhausted: (zone) => (zone.exhausted() ? 1 : 0),
    uma_zone_memory: (zone) => zone.stats().bytes,
    uma_zone_reserve: (zone, nitems) => zone.reserve(nitems),
    uma_zone_reserve_kva: (zone, nitems) => (zone.reserveKva(nitems) ? 1 : 0),
    uma_zone_set_obj: (zone, _obj, size) => (zone.reserveKva(Math.max(1, Math.floor(size / zone.rsize))) ? 1 : 0),
    uma_zone_set_allocf: (zone, allocf) => zone.setAllocf(allocf),
    uma_zone_set_freef: (zone, freef) => zone.setFreef(freef),
    uma_zone_get_smr: () => uma.smr,
  };
}
