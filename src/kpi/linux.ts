/**
 * Linux's memory interfaces under their own names: kmalloc and its kin, pages by order, vmalloc, ioremap.
 *
 * `createLinux(uma)` gives the functions for one memory in one thread. Pointers are numbers, NULL is 0: byte addresses in the memory
 * from kmalloc and get_free_pages, mapped addresses (from VMALLOC_START on, behind every byte address) from vmalloc and ioremap, which
 * go through the page table. What each name maps to, and every deviation with its reason: docs/kpi-map.md; when vmalloc is the
 * right call, and when it is not: docs/linux-spl.md.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import { PAGE_BYTES, PAGE_SHIFT as SHIFT } from "../backend/memory/layout.ts";
import { type Malloc, createMalloc } from "../uma/malloc/malloc.ts";
import type { Uma } from "../uma/uma.ts";
import { ADDRESSES } from "../uma/vmalloc/areas.ts";
import { type ForeignBuffer, type IoMaps, createIoMaps } from "../uma/vmalloc/io.ts";
import type { Piece } from "../uma/vmalloc/access.ts";
import { type AreaInfo, type Vmalloc, type VmallocOptions, openVmalloc } from "../uma/vmalloc/vmalloc.ts";

export const PAGE_SIZE: number = PAGE_BYTES;
export const PAGE_SHIFT: number = SHIFT;
/** Largest order of get_free_pages: 4 MiB, as on most machines. */
export const MAX_ORDER = 10;

/** gfp.h: of what an allocation may do to be served, only this much has a meaning here. */
export const __GFP_HIGH = 0x20;
export const __GFP_ZERO = 0x100;
export const __GFP_DIRECT_RECLAIM = 0x400;
export const __GFP_KSWAPD_RECLAIM = 0x800;
export const __GFP_NOFAIL = 0x8000;
export const __GFP_NOWARN = 0x2000;
/** May wait for locks, and have zones give free memory back. */
export const GFP_KERNEL = 0xcc0;
/** Never waits, and may use what was reserved. */
export const GFP_ATOMIC: number = __GFP_HIGH | __GFP_KSWAPD_RECLAIM;
/** Never waits. */
export const GFP_NOWAIT: number = __GFP_KSWAPD_RECLAIM | __GFP_NOWARN;

/** As /proc/meminfo has them, bytes: counters, read without a lock. */
export interface VmallocMeminfo {
  readonly VmallocTotal: number;
  readonly VmallocUsed: number;
  /** Longest free stretch of addresses; a lower bound when there are many. */
  readonly VmallocChunk: number;
}

export interface Linux {
  readonly VMALLOC_START: number;
  readonly VMALLOC_END: number;
  readonly VMALLOC_TOTAL: number;

  kmalloc(size: number, flags: number): number;
  kzalloc(size: number, flags: number): number;
  kcalloc(n: number, size: number, flags: number): number;
  kmalloc_array(n: number, size: number, flags: number): number;
  /** A size of 0 frees. @returns the address, 0 when there is no memory: then the allocation is as it was. */
  krealloc(p: number, size: number, flags: number): number;
  kfree(p: number): void;
  ksize(p: number): number;

  /** 2^order pages in a row, at a multiple of their length. @returns the address; 0 when there is no such stretch. */
  __get_free_pages(flags: number, order: number): number;
  __get_free_page(flags: number): number;
  get_zeroed_page(flags: number): number;
  /** @throws UmaError ERR_VMEM_SIZE when the order is not the one they were taken with. */
  free_pages(p: number, order: number): void;
  free_page(p: number): void;

  vmalloc(size: number): number;
  vzalloc(size: number): number;
  __vmalloc(size: number, flags: number): number;
  vfree(p: number): void;
  is_vmalloc_addr(p: number): boolean;
  /** Byte address of the page behind a mapped address. */
  vmalloc_to_page(p: number): number;
  vmalloc_to_pfn(p: number): number;
  /** kmalloc where that serves, else vmalloc; kvfree frees either. */
  kvmalloc(size: number, flags: number): number;
  kvzalloc(size: number, flags: number): number;
  kvfree(p: number): void;
  /** The lines of /proc/vmallocinfo: no lock is held, neither while it runs nor between two lines. */
  vmallocinfo(): Generator<AreaInfo, void, void>;
  meminfo(): VmallocMeminfo;
  /** What stands behind a mapped range, for use without a copy. */
  vmap_pieces(p: number, size: number): Generator<Piece, void, void>;
  /** Access to what vmalloc gave, by type. */
  readonly mem: Vmalloc;

  /** Maps [offset, offset + size) of a buffer from elsewhere. */
  ioremap(buffer: ForeignBuffer, offset: number, size: number): number;
  iounmap(p: number): void;
  /** Says which buffer stands behind another worker's ioremap: buffers cannot lie in the shared page table. */
  ioremap_attach(p: number, buffer: ForeignBuffer): void;
  readb(p: number): number;
  readw(p: number): number;
  readl(p: number): number;
  readq(p: number): bigint;
  writeb(value: number, p: number): void;
  writew(value: number, p: number): void;
  writel(value: number, p: number): void;
  writeq(value: bigint, p: number): void;
  memcpy_fromio(to: Uint8Array, p: number, count?: number): void;
  memcpy_toio(p: number, from: Uint8Array, count?: number): void;
  memset_io(p: number, value: number, count: number): void;
}

/** An area as /proc/vmallocinfo writes it: its addresses, bytes, who mapped it (option `callers`), pages, kind. */
export function vmallocinfo_line({ address, bytes, pages, kind, caller }: AreaInfo): string {
  const hex = (p: number): string => `0x${p.toString(16)}`;
  return `${hex(address)}-${hex(address + bytes)} ${String(bytes).padStart(8)} ${caller === "" ? "-" : caller} pages=${pages} ${kind}`;
}

/** The names of Linux for the memory that `uma` is attached to, in this thread. */
export function createLinux(uma: Uma, options: VmallocOptions = {}, heap: Malloc = createMalloc(uma)): Linux {
  const mem = openVmalloc(uma, options);
  const io: IoMaps = createIoMaps(uma, mem, options);
  const addresses = uma.arenas.open(ADDRESSES);
  const { u8 } = uma.views;

  function mayBlock(flags: number): boolean {
    if (!Number.isInteger(flags) || flags < 0) throw optionError("flags", flags, "GFP_KERNEL, GFP_ATOMIC, GFP_NOWAIT, with __GFP_…");
    return (flags & __GFP_DIRECT_RECLAIM) !== 0;
  }

  /** Tries, and once more after zones have given back what they can spare. */
  function withReclaim(take: () => number): number {
    const p = take();
    return p === 0 && uma.reclaim("drain").slabs > 0 ? take() : p;
  }

  function kmalloc(size: number, flags: number): number {
    let p: number;
    if (!mayBlock(flags)) p = (flags & __GFP_HIGH) === 0 ? heap.allocNow(size) : heap.allocReserved(size);
    else if ((flags & __GFP_NOFAIL) !== 0) p = heap.allocWait(size);
    else p = withReclaim(() => heap.malloc(size));
    if (p !== 0 && (flags & __GFP_ZERO) !== 0) u8.fill(0, p, p + size);
    return p;
  }

  function kmalloc_array(n: number, size: number, flags: number): number {
    if (!Number.isInteger(n) || n < 0) throw optionError("n of kmalloc_array", n, "an integer from 0 on");
    if (!Number.isInteger(size) || size < 0) throw optionError("size of kmalloc_array", size, "an integer from 0 on (bytes)");
    return kmalloc(n * size, flags);
  }

  function krealloc(p: number, size: number, flags: number): number {
    if (p === 0) return kmalloc(size, flags);
    if (size === 0) {
      heap.free(p);
      return 0;
    }
    const before = heap.usableSize(p);
    const q = mayBlock(flags) ? withReclaim(() => heap.realloc(p, size)) : hurried(() => heap.realloc(p, size));
    if (q !== 0 && (flags & __GFP_ZERO) !== 0 && size > before) u8.fill(0, q + before, q + size);
    return q;
  }

  /** Runs what must not wait for a lock. */
  function hurried<T>(work: () => T): T {
    const { locks } = uma.core.floor;
    locks.hurry++;
    try {
      return work();
    } finally {
      locks.hurry--;
    }
  }

  function checkOrder(order: number): number {
    if (!Number.isInteger(order) || order < 0 || order > MAX_ORDER) throw optionError("order", order, `an integer from 0 to ${MAX_ORDER}`);
    return PAGE_SIZE << order;
  }

  function get_free_pages(flags: number, order: number): number {
    const bytes = checkOrder(order);
    const take = (): number => heap.contiguous(bytes, { align: bytes });
    const p = mayBlock(flags) ? withReclaim(take) : hurried(take);
    if (p !== 0 && (flags & __GFP_ZERO) !== 0) u8.fill(0, p, p + bytes);
    return p;
  }

  function free_pages(p: number, order: number): void {
    const bytes = checkOrder(order);
    if (p === 0) return;
    const pages = heap.blockPages(p);
    if (pages !== 0 && pages * PAGE_SIZE !== bytes) {
      throw new UmaError("ERR_VMEM_SIZE", `free_pages of ${p} with order ${order}: it has ${pages} pages`, { value: p });
    }
    // No block begins there: the heap says what is wrong, unless it is an allocation of another kind.
    if (pages === 0 && heap.usableSize(p) > 0) throw new UmaError("ERR_VMEM_KIND", `free_pages of ${p}: it is kmalloc's`, { value: p });
    heap.free(p);
  }

  function __vmalloc(size: number, flags: number): number {
    return mem.alloc(size, { nowait: !mayBlock(flags), zero: (flags & __GFP_ZERO) !== 0 });
  }

  function kvmalloc(size: number, flags: number): number {
    const p = kmalloc(size, flags & ~__GFP_NOFAIL);
    return p !== 0 ? p : __vmalloc(size, flags);
  }

  function part(bytes: Uint8Array, count: number | undefined): Uint8Array {
    if (count === undefined) return bytes;
    if (!Number.isInteger(count) || count < 0 || count > bytes.length)
      throw optionError("count", count, `an integer from 0 to ${bytes.length} (bytes)`);
    return bytes.subarray(0, count);
  }

  return {
    VMALLOC_START: mem.start,
    VMALLOC_END: mem.end,
    VMALLOC_TOTAL: mem.end - mem.start,
    kmalloc,
    kzalloc: (size, flags) => kmalloc(size, flags | __GFP_ZERO),
    kcalloc: (n, size, flags) => kmalloc_array(n, size, flags | __GFP_ZERO),
    kmalloc_array,
    krealloc,
    kfree: (p) => heap.free(p),
    ksize: (p) => (p === 0 ? 0 : heap.usableSize(p)),
    __get_free_pages: get_free_pages,
    __get_free_page: (flags) => get_free_pages(flags, 0),
    get_zeroed_page: (flags) => get_free_pages(flags | __GFP_ZERO, 0),
    free_pages,
    free_page: (p) => free_pages(p, 0),
    vmalloc: (size) => mem.alloc(size),
    vzalloc: (size) => mem.alloc(size, { zero: true }),
    __vmalloc,
    vfree: (p) => mem.free(p),
    is_vmalloc_addr: (p) => mem.isMapped(p),
    vmalloc_to_page: (p) => Math.floor(mem.at(p) / PAGE_SIZE) * PAGE_SIZE,
    vmalloc_to_pfn: (p) => Math.floor(mem.at(p) / PAGE_SIZE),
    kvmalloc,
    kvzalloc: (size, flags) => kvmalloc(size, flags | __GFP_ZERO),
    kvfree(p) {
      if (mem.isMapped(p)) mem.free(p);
      else heap.free(p);
    },
    vmallocinfo: () => mem.info(),
    meminfo: () => ({
      VmallocTotal: addresses.size("total"),
      VmallocUsed: addresses.size("alloc"),
      VmallocChunk: addresses.size("largest"),
    }),
    vmap_pieces: (p, size) => mem.pieces(p, size),
    mem,
    ioremap: (buffer, offset, size) => io.map(buffer, offset, size),
    iounmap: (p) => io.unmap(p),
    ioremap_attach: (p, buffer) => io.attach(p, buffer),
    readb: (p) => io.read8(p),
    readw: (p) => io.read16(p),
    readl: (p) => io.read32(p),
    readq: (p) => io.read64(p),
    writeb: (value, p) => io.write8(p, value),
    writew: (value, p) => io.write16(p, value),
    writel: (value, p) => io.write32(p, value),
    writeq: (value, p) => io.write64(p, value),
    memcpy_fromio: (to, p, count) => io.copyFrom(p, part(to, count)),
    memcpy_toio: (p, from, count) => io.copyTo(p, part(from, count)),
    memset_io: (p, value, count) => io.fill(p, value, count),
  };
}
