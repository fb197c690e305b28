/**
 * FreeBSD's uma.h under its own names: zones, for code that is carried over line by line.
 *
 * `createFreebsdUma(uma)` gives the functions for one memory; arguments are in uma.h's order. Pointers are item addresses, NULL
 * is 0. Callbacks may be today's (an int, 0 = done) or those of 2002 (void). Where 2002 and today differ in arguments, both are
 * understood: `uma_zdestroy(zone, M_NOWAIT)` answers EWOULDBLOCK while items are out, `uma_zdestroy(zone)` is today's.
 * What each name maps to, and every deviation with its reason: docs/kpi-map.md.
 */
import { UmaError } from "../backend/memory/errors.ts";
import type { MemoryBuffer } from "../backend/memory/buffer.ts";
import { PAGE_BYTES } from "../backend/memory/layout.ts";
import { defineCache } from "../uma/cache-zone.ts";
import { type ZoneOptions, defineZone } from "../uma/definition.ts";
import { type Malloc, createMalloc } from "../uma/malloc/malloc.ts";
import { type PcpuZone, openPcpu } from "../uma/pcpu.ts";
import { defineSecondary } from "../uma/secondary.ts";
import { Uma } from "../uma/uma.ts";
import type { Zone } from "../uma/zone.ts";
import {
  EWOULDBLOCK,
  M_USE_RESERVE,
  M_WAITOK,
  M_ZERO,
  UMA_ALIGN_CACHE,
  UMA_ANYDOMAIN,
  UMA_RECLAIM_DRAIN,
  UMA_RECLAIM_DRAIN_CPU,
  UMA_ZONE_MAXBUCKET,
  UMA_ZONE_NOBUCKET,
  UMA_ZONE_NOFREE,
  UMA_ZONE_NOTOUCH,
  UMA_ZONE_PCPU,
  UMA_ZONE_SMR,
  UMA_ZONE_UNMANAGED,
  UMA_ZONE_ZINIT,
} from "./freebsd-flags.ts";
import type { FreebsdUma, uma_ctor, uma_dtor, uma_fini, uma_init } from "./freebsd-uma.ts";

export * from "./freebsd-flags.ts";
export type * from "./freebsd-uma.ts";

/** The names of uma.h for the memory that `uma` is attached to, in this thread. */
export function createFreebsdUma(uma: Uma): FreebsdUma {
  const { u8 } = uma.views;
  const perCpu = new Map<Zone, PcpuZone>();
  let cacheMask = UMA_ALIGN_CACHE;
  let malloc: Malloc | null = null;
  /** What the allocation under way was asked with; ctor gets it. */
  let flagsNow = 0;

  function uma_zcreate(...[name, size, ctor, dtor, uminit, fini, align, flags]: Parameters<FreebsdUma["uma_zcreate"]>): Zone {
    const has = (flag: number): boolean => (flags & flag) !== 0;
    const options: ZoneOptions = {
      size,
      align: Math.max((align === UMA_ALIGN_CACHE ? cacheMask : align) + 1, 1),
      ...uses(size, ctor, dtor),
      ...(uminit === null ? {} : { init: initOf(size, uminit) }),
      ...(fini === null ? {} : { fini: finiOf(size, fini) }),
      // Any zone may become a primary later.
      secondaries: !has(UMA_ZONE_PCPU),
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

  /** ctor and dtor as options. */
  function uses(size: number, ctor: uma_ctor | null, dtor: uma_dtor | null): Pick<ZoneOptions, "ctor" | "dtor"> {
    return {
      ...(ctor === null ? {} : { ctor: (mem: number, arg: unknown) => done(ctor(mem, size, arg, flagsNow)) }),
      ...(dtor === null ? {} : { dtor: (mem: number, arg: unknown) => dtor(mem, size, arg) }),
    };
  }

  function initOf(size: number, init: uma_init): (mem: number) => boolean {
    return (mem) => done(init(mem, size, flagsNow));
  }

  function finiOf(size: number, fini: uma_fini): (mem: number) => void {
    return (mem) => fini(mem, size);
  }

  function between(size: number, zinit: uma_init | null, zfini: uma_fini | null): Pick<ZoneOptions, "zoneInit" | "zoneFini"> {
    return {
      ...(zinit === null ? {} : { zoneInit: initOf(size, zinit) }),
      ...(zfini === null ? {} : { zoneFini: finiOf(size, zfini) }),
    };
  }

  function uma_zsecond_create(...[name, ctor, dtor, zinit, zfini, primary]: Parameters<FreebsdUma["uma_zsecond_create"]>): Zone {
    const { size } = primary;
    return uma.open(defineSecondary(name, primary.definition, { ...uses(size, ctor, dtor), ...between(size, zinit, zfini) }));
  }

  function uma_zcache_create(
    ...[name, size, ctor, dtor, zinit, zfini, zimport, zrelease, arg, flags]: Parameters<FreebsdUma["uma_zcache_create"]>
  ): Zone {
    const has = (flag: number): boolean => (flags & flag) !== 0;
    const definition = defineCache(name, {
      size: Math.max(1, size),
      ...uses(size, ctor, dtor),
      ...between(size, zinit, zfini),
      import: (store, count) => zimport(arg, store, count, UMA_ANYDOMAIN, flagsNow),
      release: (store, count) => zrelease(arg, store, count),
      ...(has(UMA_ZONE_NOBUCKET) ? { bucket: 0 } : {}),
      unmanaged: has(UMA_ZONE_UNMANAGED),
      maxBucket: has(UMA_ZONE_MAXBUCKET),
    });
    return uma.open(definition);
  }

  function oneDomain(domain: number): void {
    if (domain === 0 || domain === UMA_ANYDOMAIN) return;
    throw new UmaError("ERR_UMA_OPTION", `domain ${String(domain)}: a memory has one, number 0; or UMA_ANYDOMAIN`, { value: domain });
  }

  function pcpuZone(size: number): Zone {
    return uma_zcreate(`pcpu-${size}`, size, null, null, null, null, UMA_ALIGN_CACHE, UMA_ZONE_PCPU);
  }

  function uma_set_cache_align_mask(mask: number): void {
    if (!Number.isInteger(mask) || mask < 0 || mask >= PAGE_BYTES || (mask & (mask + 1)) !== 0) {
      throw new UmaError("ERR_UMA_OPTION", `mask ${String(mask)}: one less than a power of two up to ${PAGE_BYTES}`, { value: mask });
    }
    cacheMask = mask;
  }

  function uma_large_malloc(size: number): number {
    malloc ??= createMalloc(uma);
    return malloc.alignedAlloc(PAGE_BYTES, Math.ceil(Math.max(size, 1) / PAGE_BYTES) * PAGE_BYTES);
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
    if (zone.definition.origin !== null) {
      // As in uma.h: an import that has none makes NULL, also of M_WAITOK; only a limit is waited for.
      const item = zone.tryAlloc(arg);
      if (item !== 0 || uma.lastFailure !== "LIMIT") return item;
    }
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
    uma,
    get pcpu_zone_4() {
      return pcpuZone(4);
    },
    get pcpu_zone_8() {
      return pcpuZone(8);
    },
    get pcpu_zone_16() {
      return pcpuZone(16);
    },
    get pcpu_zone_32() {
      return pcpuZone(32);
    },
    get pcpu_zone_64() {
      return pcpuZone(64);
    },
    uma_startup1: () => undefined,
    uma_startup2: () => undefined,
    uma_zcreate,
    uma_zsecond_create,
    uma_zcache_create,
    uma_zdestroy,
    uma_zalloc_domain(zone, arg, domain, flags) {
      oneDomain(domain);
      return uma_zalloc_arg(zone, arg, flags);
    },
    uma_reclaim_domain(req, domain) {
      oneDomain(domain);
      uma.reclaim(mode(req));
    },
    uma_zone_reclaim_domain(zone, req, domain) {
      oneDomain(domain);
      zone.reclaim(mode(req));
    },
    uma_limit: () => uma.memoryLimit,
    uma_zone_exhausted_nolock: (zone) => (zone.exhausted() ? 1 : 0),
    uma_zone_set_init: (zone, uminit) => zone.setInit(initOf(zone.size, uminit)),
    uma_zone_set_fini: (zone, fini) => zone.setFini(finiOf(zone.size, fini)),
    uma_zone_set_zinit: (zone, zinit) => zone.setZoneInit(initOf(zone.size, zinit)),
    uma_zone_set_zfini: (zone, zfini) => zone.setZoneFini(finiOf(zone.size, zfini)),
    uma_zone_set_smr(zone, smr) {
      if (smr !== uma.smr) throw new UmaError("ERR_UMA_OPTION", "smr: a memory has one, uma_zone_get_smr's", { zone: zone.name });
      zone.setSmr();
    },
    uma_set_cache_align_mask,
    uma_get_cache_align_mask: () => cacheMask,
    uma_set_align: uma_set_cache_align_mask,
    uma_print_stats(print = (line) => console.warn(line)) {
      for (const line of uma.table()) print(line);
    },
    uma_large_malloc,
    uma_large_free: (address) => malloc?.free(address),
    SYSCTL_UMA_MAX: (zone) => ({ read: () => zone.getMax(), write: (value) => zone.setMax(value) }),
    SYSCTL_UMA_CUR: (zone) => ({ read: () => zone.getCur() }),
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

/**
 * Makes a memory in `bootmem`, attaches this thread to it, and gives its names: where a program of 2002 hands UMA its first pages. Records
 * of the first zones lie in `npages` pages set aside at its beginning; the heap behind them serves slabs from the first call on.
 * @throws UmaError ERR_UMA_OPTION.
 * @source FreeBSD uma.h uma_startup
 */
export function uma_startup(bootmem: MemoryBuffer, npages = 4): FreebsdUma {
  return createFreebsdUma(Uma.create({ buffer: bootmem, bootPages: npages }));
}
