/**
 * FreeBSD's malloc(9) and contigmalloc(9) under their own names, over zones: arguments in malloc.h's order, pointers are byte
 * addresses, NULL is 0. What each name maps to, and every deviation with its reason: docs/kpi-map.md.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import { type Malloc, createMalloc } from "../uma/malloc/malloc.ts";
import { type MallocType, type MallocTypes, type TypeStatistics, checkType, defineMallocType, openTypes } from "../uma/malloc/types.ts";
import type { Uma } from "../uma/uma.ts";
import { M_NOWAIT, M_USE_RESERVE, M_WAITOK, M_ZERO } from "./freebsd.ts";

export { M_NOWAIT, M_USE_RESERVE, M_WAITOK, M_ZERO };
/** Accepted, without effect: nothing is executed, and nothing dumped. */
export const M_EXEC = 0x4000;
export const M_NODUMP = 0x0800;
/** Refuse what could not be laid out at all: accepted, always true. */
export const M_NEVERFREED = 0x10000;

/** struct malloc_type */
export type malloc_type = MallocType;

/** A type that every thread defines alike. @source FreeBSD malloc.h */
export function MALLOC_DEFINE(shortdesc: string, longdesc = ""): malloc_type {
  return defineMallocType(shortdesc, longdesc);
}

export interface FreebsdMalloc {
  /** @returns the address; 0 with M_NOWAIT when there is none. With M_WAITOK it waits. */
  malloc(size: number, type: malloc_type, flags: number): number;
  mallocarray(nmemb: number, size: number, type: malloc_type, flags: number): number;
  /** `type` is the one it was allocated with: its books are kept by it. 0 is ignored. */
  free(addr: number, type: malloc_type): void;
  /** As free, and all bytes 0 first. */
  zfree(addr: number, type: malloc_type): void;
  realloc(addr: number, size: number, type: malloc_type, flags: number): number;
  /** As realloc; what could not be given another size is freed. */
  reallocf(addr: number, size: number, type: malloc_type, flags: number): number;
  malloc_usable_size(addr: number): number;
  /** Whole pages in a row in [low, high), at a multiple of `alignment`, not across a multiple of `boundary` (0: none). */
  contigmalloc(size: number, type: malloc_type, flags: number, low: number, high: number, alignment: number, boundary: number): number;
  contigfree(addr: number, size: number, type: malloc_type): void;
  /** Sets `count` allocations of `size` bytes aside for M_USE_RESERVE. */
  malloc_reserve(size: number, count: number): void;
  /** The figures of `vmstat -m`, and its table. */
  vmstat_m(): TypeStatistics[];
  vmstat_m_table(): Generator<string, void, void>;
}

/** The names of malloc.h for the memory that `uma` is attached to, in this thread. */
export function createFreebsdMalloc(uma: Uma, heap: Malloc = createMalloc(uma)): FreebsdMalloc {
  const { u8 } = uma.views;
  const types: MallocTypes = openTypes(uma);

  /** Exactly one of the two, as malloc(9) wants it. */
  function checkFlags(flags: number): void {
    const wait = flags & (M_NOWAIT | M_WAITOK);
    if (!Number.isInteger(flags) || wait === 0 || wait === (M_NOWAIT | M_WAITOK))
      throw optionError("flags of malloc", flags, "exactly one of M_NOWAIT and M_WAITOK, and others");
    if ((flags & M_USE_RESERVE) !== 0 && wait === M_WAITOK) throw optionError("flags of malloc", flags, "M_USE_RESERVE with M_NOWAIT only");
  }

  function take(size: number, flags: number): number {
    if ((flags & M_WAITOK) !== 0) return heap.allocWait(size);
    return (flags & M_USE_RESERVE) !== 0 ? heap.allocReserved(size) : heap.allocNow(size);
  }

  /** Books an allocation; `clear` bytes of it are zeroed. */
  function booked(p: number, size: number, type: malloc_type, clear: boolean): number {
    const counters = types.counters(type);
    if (p === 0) {
      counters.failed();
      return 0;
    }
    counters.allocated(heap.usableSize(p), size);
    if (clear) u8.fill(0, p, p + size);
    return p;
  }

  function malloc(size: number, type: malloc_type, flags: number): number {
    checkType(type);
    checkFlags(flags);
    types.counters(type);
    return booked(take(size, flags), size, type, (flags & M_ZERO) !== 0);
  }

  function free(addr: number, type: malloc_type): void {
    checkType(type);
    if (addr === 0) return;
    const counters = types.counters(type);
    const bytes = heap.usableSize(addr);
    heap.free(addr);
    counters.freed(bytes);
  }

  function realloc(addr: number, size: number, type: malloc_type, flags: number): number {
    if (addr === 0) return malloc(size, type, flags);
    checkType(type);
    checkFlags(flags);
    const counters = types.counters(type);
    const before = heap.usableSize(addr);
    let p = heap.realloc(addr, size);
    if (p === 0 && (flags & M_WAITOK) !== 0) {
      p = heap.allocWait(size);
      u8.copyWithin(p, addr, addr + Math.min(before, size));
      heap.free(addr);
    }
    if (p === 0) {
      counters.failed();
      return 0;
    }
    const after = heap.usableSize(p);
    if ((flags & M_ZERO) !== 0 && size > before) u8.fill(0, p + before, p + size);
    counters.freed(before);
    counters.allocated(after, size);
    return p;
  }

  function contigfree(addr: number, size: number, type: malloc_type): void {
    const bytes = heap.usableSize(addr);
    if (!Number.isInteger(size) || size < 0 || size > bytes || bytes - size >= uma.arenas.heap.quantum) {
      throw new UmaError("ERR_VMEM_SIZE", `contigfree of ${addr} with size ${size}: it has ${bytes} bytes`, { value: addr });
    }
    free(addr, type);
  }

  return {
    malloc,
    mallocarray(nmemb, size, type, flags) {
      if (!Number.isInteger(nmemb) || nmemb < 0) throw optionError("nmemb of mallocarray", nmemb, "an integer from 0 on");
      if (!Number.isInteger(size) || size < 0) throw optionError("size of mallocarray", size, "an integer from 0 on (bytes)");
      return malloc(nmemb * size, type, flags);
    },
    free,
    zfree(addr, type) {
      if (addr !== 0) u8.fill(0, addr, addr + heap.usableSize(addr));
      free(addr, type);
    },
    realloc,
    reallocf(addr, size, type, flags) {
      const p = realloc(addr, size, type, flags);
      if (p === 0 && addr !== 0) free(addr, type);
      return p;
    },
    malloc_usable_size: (addr) => (addr === 0 ? 0 : heap.usableSize(addr)),
    contigmalloc(size, type, flags, low, high, alignment, boundary) {
      checkType(type);
      checkFlags(flags);
      types.counters(type);
      const page = uma.arenas.heap.quantum;
      if (alignment < page && alignment !== 0 && page % alignment !== 0) throw optionError("alignment", alignment, "0, or a power of two");
      const constraints = { align: Math.max(alignment, page), nocross: boundary, min: low, max: Math.min(high, 2 ** 31) };
      let p = heap.contiguous(size, constraints);
      // What zones hold free may be what is in the way.
      if (p === 0 && (flags & M_WAITOK) !== 0 && uma.reclaim("drain").slabs > 0) p = heap.contiguous(size, constraints);
      return booked(p, size, type, (flags & M_ZERO) !== 0);
    },
    contigfree,
    malloc_reserve: (size, count) => heap.reserve(size, count),
    vmstat_m: () => types.stats(),
    vmstat_m_table: () => types.table(),
  };
}
