/**
 * The Solaris Porting Layer's kmem and vmem under their own names, thin over zones and the heap arena.
 *
 * Linux's SPL maps both on kmalloc up to a size, and on vmalloc beyond it, with five problems that its header lists: page tables that
 * are allocated with the wrong flags, spinning when addresses run out, one global lock, statistics that walk a list under that lock,
 * and wait words that do not work on virtual memory. Here sizes up to {@link SPL_ZONE_MAX} come from the zones of malloc's size
 * classes, and larger ones are whole pages straight from the heap arena; kmem_* and vmem_* differ in their books only. So what one
 * gives is bytes in a row in the memory, at any size, and none of the five is there (docs/linux-spl.md, test/kpi/spl.test.ts).
 *
 * In C the caller's function and line come from macros; here from two last arguments, or from the stack where they are needed.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import { laidOut, SMALL_MAX_BYTES } from "../uma/malloc/classes.ts";
import { type ZoneOptions, defineZone } from "../uma/definition.ts";
import { type Malloc, createMalloc } from "../uma/malloc/malloc.ts";
import { type MallocTypes, type TypeCounters, defineMallocType, openTypes } from "../uma/malloc/types.ts";
import { type SharedMap, defineMap, openMap } from "../uma/map/shared-map.ts";
import { callerText } from "../uma/sites.ts";
import type { Uma } from "../uma/uma.ts";
import type { Zone } from "../uma/zone.ts";

/** Largest size that comes from a zone, bytes; what is larger comes in whole pages straight from the heap arena. */
export const SPL_ZONE_MAX: number = SMALL_MAX_BYTES;
/** Default of spl_kmem_alloc_warn: sixteen pages. */
export const SPL_KMEM_ALLOC_WARN = 65_536;

export const KM_SLEEP = 0x0000;
export const KM_NOSLEEP = 0x0001;
export const KM_PUSHPAGE = 0x0004;
export const KM_ZERO = 0x1000;
export const KM_VMEM = 0x2000;

export const VMEM_ALLOC = 0x01;
export const VMEM_FREE = 0x02;

export const KMC_NOTOUCH = 0x0001;
export const KMC_NODEBUG = 0x0002;
export const KMC_NOMAGAZINE = 0x0004;
export const KMC_NOHASH = 0x0008;
export const KMC_QCACHE = 0x0010;
export const KMC_KMEM = 0x0020;
export const KMC_VMEM = 0x0040;
export const KMC_SLAB = 0x0080;
export const KMC_OFFSLAB = 0x0100;
export const KMC_NOEMERGENCY = 0x0200;
export const KMC_KVMEM = 0x0400;
export const KMC_RECLAIMABLE = 0x0800;

/** Answers of a move callback; stored with it, never asked for. */
export const KMEM_CBRC_YES = 0;
export const KMEM_CBRC_NO = 1;
export const KMEM_CBRC_LATER = 2;
export const KMEM_CBRC_DONT_NEED = 3;
export const KMEM_CBRC_DONT_KNOW = 4;

/** @returns 0 when done, anything else to refuse. */
export type spl_kmem_ctor_t = (obj: number, priv: unknown, flags: number) => number | void;
export type spl_kmem_dtor_t = (obj: number, priv: unknown) => void;
export type spl_kmem_reclaim_t = (priv: unknown) => void;
export type spl_kmem_move_t = (from: number, to: number, size: number, priv: unknown) => number;

/** kmem_cache_t */
export interface kmem_cache_t {
  readonly name: string;
  readonly zone: Zone;
  readonly reclaim: spl_kmem_reclaim_t | null;
  readonly priv: unknown;
  /** As kmem_cache_set_move left it: nothing is ever moved, as in the SPL. */
  move: spl_kmem_move_t | null;
}

/** An allocation that nobody has freed. */
export interface SplLeak {
  readonly address: number;
  /** Bytes, as asked for. */
  readonly size: number;
  readonly function: string;
  readonly file: string;
  readonly line: number;
}

/** What spl_vmem_fini found. */
export interface SplLeakReport {
  /** Bytes outstanding, as laid out, of kmem_* and of vmem_*. */
  readonly kmem: number;
  readonly vmem: number;
  /** With tracking: each of them, in the order of their addresses. */
  readonly leaks: readonly SplLeak[];
  /** With tracking: allocations that found no room in the table. */
  readonly untracked: number;
}

export interface SplOptions {
  /** Allocations that can be tracked at a time: address, size, function, line. 0 (default) = none. The same in all threads. */
  readonly tracking?: number;
  /** kmem_alloc of more bytes than this warns, once for each caller; 0 = never. */
  readonly spl_kmem_alloc_warn?: number;
  /** Where warnings and leaks go; default console.warn. */
  readonly warn?: (message: string) => void;
}

export interface Spl {
  /** @returns the address; 0 with KM_NOSLEEP when there is none. KM_SLEEP waits, and throws ERR_UMA_EMPTY for more than the memory has. */
  kmem_alloc(size: number, flags: number, func?: string, line?: number): number;
  kmem_zalloc(size: number, flags: number, func?: string, line?: number): number;
  /** @throws UmaError ERR_VMEM_SIZE when `size` is not what it was allocated with; as malloc's free. Nothing has changed then. */
  kmem_free(ptr: number, size: number): void;
  vmem_alloc(size: number, flags: number, func?: string, line?: number): number;
  vmem_zalloc(size: number, flags: number, func?: string, line?: number): number;
  vmem_free(ptr: number, size: number): void;
  /**
   * Bytes of the heap in use (VMEM_ALLOC), free (VMEM_FREE), or both: counters, read without a lock.
   * @param vmp - null: there is no other arena.
   */
  vmem_size(vmp: null, typemask: number): number;
  kmem_cache_create(
    name: string,
    size: number,
    align: number,
    ctor: spl_kmem_ctor_t | null,
    dtor: spl_kmem_dtor_t | null,
    reclaim: spl_kmem_reclaim_t | null,
    priv: unknown,
    vmp: null,
    flags: number,
  ): kmem_cache_t;
  kmem_cache_alloc(cache: kmem_cache_t, flags: number): number;
  kmem_cache_free(cache: kmem_cache_t, obj: number): void;
  /** @returns objects outstanding, which are leaked. */
  kmem_cache_destroy(cache: kmem_cache_t): number;
  kmem_cache_set_move(cache: kmem_cache_t, move: spl_kmem_move_t): void;
  kmem_cache_reap_now(cache: kmem_cache_t): void;
  /** All caches made here. */
  kmem_reap(): void;
  /** Bytes outstanding of kmem_* (all threads), as laid out. */
  kmem_used(): number;
  vmem_used(): number;
  /** @returns 0. */
  spl_vmem_init(): number;
  /** Warns of what was not freed, and says what it is. */
  spl_vmem_fini(): SplLeakReport;
}

const KMEM = defineMallocType("spl kmem", "kmem_alloc of the SPL");
const VMEM = defineMallocType("spl vmem", "vmem_alloc of the SPL");
const LEAKS_SHOWN = 20;

/** The names of the SPL for the memory that `uma` is attached to, in this thread. */
export function createSpl(uma: Uma, options: SplOptions = {}, heap: Malloc = createMalloc(uma)): Spl {
  const { u8 } = uma.views;
  const { sites, floor } = uma.core;
  const { locks } = floor;
  const { tracking = 0, spl_kmem_alloc_warn = SPL_KMEM_ALLOC_WARN, warn = (message: string): void => console.warn(message) } = options;
  const types: MallocTypes = openTypes(uma);
  const kmem = types.counters(KMEM);
  const vmem = types.counters(VMEM);
  const caches = new Set<kmem_cache_t>();
  const warned = new Set<string>();
  let untracked = 0;
  if (!Number.isInteger(tracking) || tracking < 0 || tracking > 2 ** 24)
    throw optionError("tracking", tracking, "an integer from 0 to 16777216");
  const sizes = tracking === 0 ? null : openMap(uma, defineMap("spl sizes", { capacity: tracking, key: "i32", value: "i32" }));
  const callers = tracking === 0 ? null : openMap(uma, defineMap("spl callers", { capacity: tracking, key: "i32", value: "i32" }));

  /** "function file:line" of whoever called the library, or as it was told. */
  function caller(func: string | undefined, line: number | undefined): string {
    return func === undefined ? callerText() : `${func} :${line ?? 0}`.slice(-80);
  }

  function take(size: number, flags: number): number {
    if ((flags & KM_NOSLEEP) !== 0) return heap.allocNow(size);
    const p = (flags & KM_PUSHPAGE) !== 0 ? heap.allocReserved(size) : 0;
    return p !== 0 ? p : heap.allocWait(size);
  }

  function alloc(counters: TypeCounters, size: number, flags: number, func?: string, line?: number): number {
    if (!Number.isInteger(flags)) throw optionError("flags", flags, "KM_SLEEP, KM_NOSLEEP, KM_PUSHPAGE, with KM_ZERO");
    const p = take(size, flags);
    if (p === 0) {
      counters.failed();
      return 0;
    }
    if ((flags & KM_ZERO) !== 0) u8.fill(0, p, p + size);
    counters.allocated(heap.usableSize(p), size);
    if (sizes !== null) track(p, size, caller(func, line), (flags & KM_NOSLEEP) !== 0);
    if (counters === kmem) warnOf(size, func, line);
    return p;
  }

  /** Before the caller has it: a free by anybody finds it. What finds no room, or a lock taken, is counted instead. */
  function track(p: number, size: number, text: string, hurry: boolean): void {
    if (hurry) locks.hurry++;
    try {
      callers?.set(p, sites.idOf(text));
      sizes?.set(p, size);
    } catch (error) {
      if (!(error instanceof UmaError)) throw error;
      untracked++;
    } finally {
      if (hurry) locks.hurry--;
    }
  }

  function warnOf(size: number, func?: string, line?: number): void {
    if (spl_kmem_alloc_warn <= 0 || size <= spl_kmem_alloc_warn) return;
    const who = caller(func, line);
    if (warned.has(who)) return;
    warned.add(who);
    warn(`large kmem_alloc(${size}) in ${who}: use vmem_alloc, or raise spl_kmem_alloc_warn (${spl_kmem_alloc_warn})`);
  }

  function free(counters: TypeCounters, p: number, size: number, name: string): void {
    if (p === 0) return;
    const bytes = heap.usableSize(p);
    const tracked = sizes?.get(p);
    const right = Number.isInteger(size) && size >= 0 && laidOut(size) === bytes && (tracked === undefined || tracked === size);
    if (!right) {
      const has = tracked ?? bytes;
      throw new UmaError("ERR_VMEM_SIZE", `${name} of ${p} with size ${String(size)}: it was allocated with ${has} bytes`, { value: p });
    }
    if (tracked !== undefined) sizes?.delete(p);
    callers?.delete(p);
    heap.free(p);
    counters.freed(bytes);
  }

  function* leaks(map: SharedMap): Generator<SplLeak, void, void> {
    for (const [address, size] of map.entries()) {
      const parts = /^(.*) (.*):(\d+)$/.exec(sites.textOf(callers?.get(address) ?? 0));
      yield { address, size, function: parts?.[1] ?? "?", file: parts?.[2] ?? "", line: Number(parts?.[3] ?? 0) };
    }
  }

  function used(name: string): number {
    return types.stats().find((type) => type.name === name)?.memUse ?? 0;
  }

  function spl_vmem_fini(): SplLeakReport {
    const found = sizes === null ? [] : [...leaks(sizes)].sort((one, other) => one.address - other.address);
    const report = { kmem: used(KMEM.name), vmem: used(VMEM.name), leaks: found, untracked };
    if (report.kmem + report.vmem > 0) warn(`leaked: kmem ${report.kmem} bytes, vmem ${report.vmem} bytes`);
    for (const { address, size, function: func, file, line } of found.slice(0, LEAKS_SHOWN)) {
      const head = Array.from(u8.subarray(address, address + Math.min(8, size)), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
      warn(`  ${address}: ${size} bytes of ${func}, ${file === "" ? "" : `${file}:`}${line}: ${head}`);
    }
    return report;
  }

  function kmem_cache_create(
    ...[name, size, align, ctor, dtor, reclaim, priv, vmp, flags]: Parameters<Spl["kmem_cache_create"]>
  ): kmem_cache_t {
    if (vmp !== null) throw optionError("vmp of kmem_cache_create", vmp, "null: caches have their pages from the heap", name);
    const zoneOptions: ZoneOptions = {
      size,
      ...(align > 0 ? { align } : {}),
      ...(ctor === null ? {} : { ctor: (obj, how) => (ctor(obj, priv, Number(how)) ?? 0) === 0 }),
      ...(dtor === null ? {} : { dtor: (obj) => dtor(obj, priv) }),
      ...((flags & KMC_NOMAGAZINE) === 0 ? {} : { bucket: 0 }),
      notouch: (flags & KMC_NOTOUCH) !== 0,
    };
    const cache: kmem_cache_t = { name, zone: uma.open(defineZone(name, zoneOptions)), reclaim, priv, move: null };
    caches.add(cache);
    return cache;
  }

  function kmem_cache_alloc({ zone }: kmem_cache_t, flags: number): number {
    let obj: number;
    if ((flags & KM_NOSLEEP) !== 0) {
      locks.hurry++;
      try {
        obj = zone.tryAlloc(flags);
      } finally {
        locks.hurry--;
      }
    } else {
      obj = (flags & KM_PUSHPAGE) !== 0 ? zone.allocReserved(flags) : 0;
      if (obj === 0) obj = zone.allocWait({}, flags);
    }
    if (obj !== 0 && (flags & KM_ZERO) !== 0) u8.fill(0, obj, obj + zone.size);
    return obj;
  }

  function reap(cache: kmem_cache_t): void {
    cache.reclaim?.(cache.priv);
    cache.zone.reclaim("drain-cpu");
  }

  return {
    kmem_alloc: (size, flags, func, line) => alloc(kmem, size, flags, func, line),
    kmem_zalloc: (size, flags, func, line) => alloc(kmem, size, flags | KM_ZERO, func, line),
    kmem_free: (ptr, size) => free(kmem, ptr, size, "kmem_free"),
    vmem_alloc: (size, flags, func, line) => alloc(vmem, size, flags, func, line),
    vmem_zalloc: (size, flags, func, line) => alloc(vmem, size, flags | KM_ZERO, func, line),
    vmem_free: (ptr, size) => free(vmem, ptr, size, "vmem_free"),
    vmem_size(vmp, typemask) {
      if (vmp !== null) throw optionError("vmp of vmem_size", vmp, "null");
      const { heap: pages } = uma.arenas;
      return ((typemask & VMEM_ALLOC) === 0 ? 0 : pages.size("alloc")) + ((typemask & VMEM_FREE) === 0 ? 0 : pages.size("free"));
    },
    kmem_cache_create,
    kmem_cache_alloc,
    kmem_cache_free: ({ zone }, obj) => zone.free(obj),
    kmem_cache_destroy(cache) {
      caches.delete(cache);
      return cache.zone.destroy({ force: true }).outstanding;
    },
    kmem_cache_set_move(cache, move) {
      cache.move = move;
    },
    kmem_cache_reap_now: reap,
    kmem_reap() {
      for (const cache of caches) reap(cache);
    },
    kmem_used: () => used(KMEM.name),
    vmem_used: () => used(VMEM.name),
    spl_vmem_init: () => 0,
    spl_vmem_fini,
  };
}
