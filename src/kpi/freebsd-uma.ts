/** FreeBSD's uma.h as an interface: its callbacks, and its functions in the order of their arguments there. What they do: freebsd.ts. */
import type { AllocPages, FreePages } from "../backend/supplier/page-supplier.ts";
import type { Smr } from "../uma/smr.ts";
import type { Uma } from "../uma/uma.ts";
import type { Zone } from "../uma/zone.ts";

/** Returns 0 or nothing when done, anything else to refuse. */
export type uma_ctor = (mem: number, size: number, arg: unknown, flags: number) => number | void;
export type uma_dtor = (mem: number, size: number, arg: unknown) => void;
export type uma_init = (mem: number, size: number, flags: number) => number | void;
export type uma_fini = (mem: number, size: number) => void;
/** Stores up to `count` items in `store`. @returns how many. */
export type uma_import = (arg: unknown, store: number[], count: number, domain: number, flags: number) => number;
export type uma_release = (arg: unknown, store: readonly number[], count: number) => void;
export type uma_maxaction_t = (zone: uma_zone_t, flags: number) => void;

/** A zone's handle. */
export type uma_zone_t = Zone;

/** A limit, or a count, of a zone, as a sysctl shows it. */
export interface UmaSysctl {
  readonly read: () => number;
  /** Absent where the value cannot be set. */
  readonly write?: (value: number) => void;
}

export interface FreebsdUma {
  /** The attachment that these names work on. */
  readonly uma: Uma;
  /** Zones with a counter of so many bytes for each worker. */
  readonly pcpu_zone_4: uma_zone_t;
  readonly pcpu_zone_8: uma_zone_t;
  readonly pcpu_zone_16: uma_zone_t;
  readonly pcpu_zone_32: uma_zone_t;
  readonly pcpu_zone_64: uma_zone_t;
  uma_startup1(virtual_avail?: number): void;
  uma_startup2(hash?: unknown, elems?: number): void;
  uma_zsecond_create(
    name: string,
    ctor: uma_ctor | null,
    dtor: uma_dtor | null,
    zinit: uma_init | null,
    zfini: uma_fini | null,
    primary: uma_zone_t,
  ): uma_zone_t;
  uma_zcache_create(
    name: string,
    size: number,
    ctor: uma_ctor | null,
    dtor: uma_dtor | null,
    zinit: uma_init | null,
    zfini: uma_fini | null,
    zimport: uma_import,
    zrelease: uma_release,
    arg: unknown,
    flags: number,
  ): uma_zone_t;
  uma_zalloc_domain(zone: uma_zone_t, arg: unknown, domain: number, flags: number): number;
  uma_reclaim_domain(req: number, domain: number): void;
  uma_zone_reclaim_domain(zone: uma_zone_t, req: number, domain: number): void;
  uma_limit(): number;
  uma_zone_exhausted_nolock(zone: uma_zone_t): number;
  uma_zone_set_init(zone: uma_zone_t, uminit: uma_init): void;
  uma_zone_set_fini(zone: uma_zone_t, fini: uma_fini): void;
  uma_zone_set_zinit(zone: uma_zone_t, zinit: uma_init): void;
  uma_zone_set_zfini(zone: uma_zone_t, zfini: uma_fini): void;
  uma_zone_set_smr(zone: uma_zone_t, smr: Smr): void;
  uma_set_cache_align_mask(mask: number): void;
  uma_get_cache_align_mask(): number;
  /** The name of uma_set_cache_align_mask before 2023. */
  uma_set_align(align: number): void;
  uma_print_stats(print?: (line: string) => void): void;
  /** Whole pages straight from the heap; 0 = none. */
  uma_large_malloc(size: number, wait: number): number;
  uma_large_free(address: number): void;
  SYSCTL_UMA_MAX(zone: uma_zone_t): UmaSysctl;
  SYSCTL_UMA_CUR(zone: uma_zone_t): UmaSysctl;
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
