/**
 * vmalloc: one stretch of addresses over pages from anywhere in the heap.
 *
 * A heap that has lived for a while has free pages and no long free stretch. An area here takes single pages, wherever they lie, and
 * maps them side by side; the price is that its addresses mean nothing to a typed array: every access goes through the page table
 * (three loads), or through {@link Vmalloc.pieces}, which gives the stretches of the memory behind a range, for use without a copy.
 * Pages that happen to follow each other are one piece.
 *
 * When not to use it: for one page, which needs no page table; for what fits a free stretch, which `malloc` gives directly; and
 * wherever the work can be done a page at a time. It is right for a large buffer that is used in sequence and must look like one.
 *
 * Sizes are rounded up to pages. There is a guard page in front of each area, so what runs out of an area at either end is refused.
 */
import { UmaError, optionError } from "../../backend/memory/errors.ts";
import {
  MAP_COUNT_SHIFT,
  MAP_IO,
  MAP_LIVE,
  MAP_NOTE,
  MAP_TABLE_SPAN,
  MAP_WHAT,
  MARK_ORPHAN,
  PAGE_BYTES,
  VMAP_START,
} from "../../backend/memory/layout.ts";
import { slotOf } from "../../backend/memory/names.ts";
import type { Core } from "../core.ts";
import { EMPTY } from "../outcome.ts";
import type { Uma } from "../uma.ts";
import { MAP_MOST_BYTES } from "./page-table.ts";

/** Bytes that are not in one place: where a piece of a mapped range lies in the memory. */
export interface Piece {
  /** Byte address in the memory, and bytes from there on. */
  readonly address: number;
  readonly bytes: number;
}

/** A line of vmallocinfo. */
export interface AreaInfo {
  readonly address: number;
  readonly bytes: number;
  readonly pages: number;
  readonly kind: "vmalloc" | "ioremap";
  /** Slot of the worker whose it is; 127: that worker is dead. */
  readonly owner: number;
}

export interface VmallocOptions {
  /**
   * Bytes of addresses: a multiple of 2 MiB up to 2016 MiB. Decided by whoever comes first; later openers find what there is.
   * Default four times the memory, at least 64 MiB.
   */
  readonly bytes?: number;
  /** An area of this many bytes or more, or of one page only, is warned of, once for each reason and thread. Default 1 MiB; 0 = never. */
  readonly warnBytes?: number;
  /** Where warnings go; default console.warn. */
  readonly warn?: (message: string) => void;
}

export interface VmallocRequest {
  /** Never waits, not even for a lock: not for that of a page table either. */
  readonly nowait?: boolean;
  /** All bytes 0. */
  readonly zero?: boolean;
}

export interface VmallocStatistics {
  readonly areas: number;
  /** Bytes of their pages, and addresses in use with their guard pages. */
  readonly bytes: number;
  readonly used: number;
  readonly total: number;
  /** Tables of the page table. */
  readonly tables: number;
}

export interface Vmalloc {
  /** Mapped addresses lie in [start, end): behind every byte address. */
  readonly start: number;
  readonly end: number;
  /**
   * Maps `size` bytes, rounded up to pages.
   * @returns the address; 0 when there are no pages or no addresses (`uma.lastFailure`: EMPTY, BUSY).
   * @throws UmaError ERR_UMA_OPTION.
   */
  alloc(size: number, request?: VmallocRequest): number;
  /**
   * Gives an area back, whoever mapped it; 0 is ignored. Never fails for want of a lock: what cannot be finished is finished later.
   * @throws UmaError ERR_UMA_ADDRESS (half an area, no area, one freed before), ERR_VMEM_KIND (an ioremap's); nothing has changed then.
   */
  free(p: number): void;
  /** Whether `p` lies among the mapped addresses, mapped or not. */
  isMapped(p: number): boolean;
  /** Bytes of the area that begins at `p`. @throws UmaError ERR_UMA_ADDRESS. */
  sizeOf(p: number): number;
  /** Byte address in the memory of the byte at `p`. @throws UmaError ERR_UMA_ADDRESS where nothing is mapped. */
  at(p: number): number;
  /**
   * Where the bytes [p, p + size) lie, in order; neighbouring pages are one piece. Each piece is looked up when it is asked for.
   * @throws UmaError ERR_UMA_ADDRESS where nothing is mapped.
   */
  pieces(p: number, size: number): Generator<Piece, void, void>;
  /** Copies `from` to the bytes at `p`; copies the bytes at `p` into `into`. Checked as a whole first: nothing is copied in part. */
  copyIn(p: number, from: Uint8Array): void;
  copyOut(p: number, into: Uint8Array): void;
  fill(p: number, value: number, size: number): void;
  getU8(p: number): number;
  getI8(p: number): number;
  getU16(p: number): number;
  getI16(p: number): number;
  getU32(p: number): number;
  getI32(p: number): number;
  getF32(p: number): number;
  getF64(p: number): number;
  getU64(p: number): bigint;
  getI64(p: number): bigint;
  setU8(p: number, value: number): void;
  setI8(p: number, value: number): void;
  setU16(p: number, value: number): void;
  setI16(p: number, value: number): void;
  setU32(p: number, value: number): void;
  setI32(p: number, value: number): void;
  setF32(p: number, value: number): void;
  setF64(p: number, value: number): void;
  setU64(p: number, value: bigint): void;
  setI64(p: number, value: bigint): void;
  /** All areas, in the order of their addresses. Holds no lock, neither while it runs nor between two lines; /proc/vmallocinfo. */
  info(): Generator<AreaInfo, void, void>;
  stats(): VmallocStatistics;
}

const MOST_BYTES = MAP_MOST_BYTES;
const LEAST_BYTES = 32 * MAP_TABLE_SPAN;
const WARN_BYTES = 2 ** 20;

/**
 * Opens the mapped addresses of a memory in this thread, making them if nobody has yet: two pages of the heap, and one more for each
 * 2 MiB of addresses that are ever used.
 * @throws UmaError ERR_UMA_OPTION; ERR_UMA_EMPTY, ERR_UMA_BUSY.
 */
export function openVmalloc(uma: Uma, options: VmallocOptions = {}): Vmalloc {
  const { core } = uma;
  const { areas } = core;
  areas.open(checkBytes(options.bytes, core));
  const { u8, i32, buffer } = core.floor.cells;
  const { heapEnd } = core.floor.geometry;
  const entryOf = (p: number): number => areas.table.entryOf(p);
  const START = VMAP_START;
  const END = START + areas.total();
  const view = new DataView(buffer);
  /** What crosses from a page to the next is put together here. */
  const scratch = new DataView(new ArrayBuffer(8));
  const scratchBytes = new Uint8Array(scratch.buffer);
  const { warnBytes = WARN_BYTES, warn = (message: string): void => console.warn(message) } = options;
  const warned = new Set<string>();

  function checkSize(size: number, what: string): number {
    if (!Number.isSafeInteger(size) || size < 1 || size > heapEnd) throw optionError(what, size, `an integer from 1 to ${heapEnd} (bytes)`);
    return Math.ceil(size / PAGE_BYTES);
  }

  function alloc(size: number, { nowait = false, zero = false }: VmallocRequest = {}): number {
    const pages = checkSize(size, "size of vmalloc");
    warnOf(pages);
    const p = nowait ? hurried(pages) : patient(pages);
    if (p !== 0 && zero) fill(p, 0, pages * PAGE_BYTES);
    return p;
  }

  function patient(pages: number): number {
    const request = { pages, foreign: null, mayWait: true };
    let p = areas.make(request);
    // Memory that zones hold in reserve is memory all the same.
    if (p === 0 && areas.outcome() === EMPTY && uma.reclaim("drain").slabs > 0) p = areas.make(request);
    core.failure = p === 0 ? areas.outcome() : core.failure;
    return p;
  }

  function hurried(pages: number): number {
    const { locks } = core.floor;
    locks.hurry++;
    try {
      const p = areas.make({ pages, foreign: null, mayWait: false });
      core.failure = p === 0 ? areas.outcome() : core.failure;
      return p;
    } finally {
      locks.hurry--;
    }
  }

  function warnOf(pages: number): void {
    if (warnBytes <= 0) return;
    const bytes = pages * PAGE_BYTES;
    const why =
      pages === 1
        ? "one page needs no mapping: take a page (get_free_pages, malloc)"
        : bytes >= warnBytes
          ? "single pages, worked through one by one, would do and cost less; map only what must look like one stretch"
          : "";
    if (why === "" || warned.has(why)) return;
    warned.add(why);
    warn(`vmalloc of ${bytes} bytes: ${why}`);
  }

  function unmapped(p: number): UmaError {
    const where = typeof p === "number" && p >= START && p < END ? "nothing is mapped there" : `mapped addresses lie in [${START}, ${END})`;
    return new UmaError("ERR_UMA_ADDRESS", `no access at ${String(p)}: ${where}`, typeof p === "number" ? { value: p } : {});
  }

  /** Byte address behind `p`, 0 = none. */
  function lookUp(p: number): number {
    if (p >>> 0 !== p || p < START || p >= END) return 0;
    const entry = entryOf(p);
    if (entry === 0) return 0;
    const what = i32[entry + MAP_WHAT];
    // Anything but a page has something in the low bits.
    return what !== 0 && (what & 4095) === 0 ? what + (p & 4095) : 0;
  }

  function at(p: number): number {
    const address = lookUp(p);
    if (address === 0) throw unmapped(p);
    return address;
  }

  /** Bytes from `p` on that lie in one stretch of the memory, `most` at the most. */
  function stretch(p: number, most: number): number {
    let bytes = PAGE_BYTES - (p & 4095);
    let address = lookUp(p) + bytes;
    while (bytes < most && lookUp(p + bytes) === address) {
      bytes += PAGE_BYTES;
      address += PAGE_BYTES;
    }
    return bytes < most ? bytes : most;
  }

  function* pieces(p: number, size: number): Generator<Piece, void, void> {
    checkLength(size, "size of pieces");
    for (let done = 0; done < size; ) {
      const address = at(p + done);
      const bytes = stretch(p + done, size - done);
      yield { address, bytes };
      done += bytes;
    }
  }

  function checkLength(size: number, what: string): void {
    if (!Number.isSafeInteger(size) || size < 0) throw optionError(what, size, "an integer from 0 on (bytes)");
  }

  /** Refuses a range of which any page is not mapped. */
  function checkRange(p: number, size: number): void {
    checkLength(size, "size of a mapped range");
    at(p);
    for (let q = p - (p % PAGE_BYTES) + PAGE_BYTES; q < p + size; q += PAGE_BYTES) at(q);
  }

  function copyIn(p: number, from: Uint8Array): void {
    if (from.length === 0) return;
    checkRange(p, from.length);
    for (let done = 0; done < from.length; ) {
      const bytes = stretch(p + done, from.length - done);
      u8.set(bytes === from.length ? from : from.subarray(done, done + bytes), at(p + done));
      done += bytes;
    }
  }

  function copyOut(p: number, into: Uint8Array): void {
    if (into.length === 0) return;
    checkRange(p, into.length);
    for (let done = 0; done < into.length; ) {
      const bytes = stretch(p + done, into.length - done);
      const address = at(p + done);
      into.set(u8.subarray(address, address + bytes), done);
      done += bytes;
    }
  }

  function fill(p: number, value: number, size: number): void {
    if (size === 0) return;
    checkRange(p, size);
    for (let done = 0; done < size; ) {
      const bytes = stretch(p + done, size - done);
      const address = at(p + done);
      u8.fill(value, address, address + bytes);
      done += bytes;
    }
  }

  /** The `bytes` bytes at `p` where they can be read as one: in the memory, or put together in the scratch. @returns their address; −1 = scratch. */
  function reach(p: number, bytes: number): number {
    const address = at(p);
    if ((p & 4095) <= PAGE_BYTES - bytes) return address;
    const next = at(p + bytes - 1);
    for (let n = 0; n < bytes; n++) {
      const here = PAGE_BYTES - (p & 4095);
      scratchBytes[n] = u8[n < here ? address + n : next - (bytes - 1 - n)];
    }
    return -1;
  }

  /** Where a value of `bytes` bytes is to be written: its address, or −1: into the scratch, and {@link spread} from there. */
  function target(p: number, bytes: number): number {
    const address = at(p);
    if ((p & 4095) <= PAGE_BYTES - bytes) return address;
    at(p + bytes - 1);
    return -1;
  }

  function spread(p: number, bytes: number): void {
    for (let n = 0; n < bytes; n++) u8[at(p + n)] = scratchBytes[n] as number;
  }

  function* info(): Generator<AreaInfo, void, void> {
    for (let guard = areas.next(START - PAGE_BYTES); guard !== 0; guard = areas.next(guard)) {
      const header = entryOf(guard);
      const what = i32[header + MAP_WHAT];
      const owner = i32[header + MAP_NOTE];
      if ((what & MAP_LIVE) === 0) continue;
      const pages = what >>> MAP_COUNT_SHIFT;
      yield {
        address: guard + PAGE_BYTES,
        bytes: pages * PAGE_BYTES,
        pages,
        kind: (what & MAP_IO) === 0 ? "vmalloc" : "ioremap",
        owner: owner === MARK_ORPHAN ? MARK_ORPHAN : slotOf(owner),
      };
    }
  }

  function sizeOf(p: number): number {
    const header = areas.headerAt(p);
    if (header === 0 || (i32[header + MAP_WHAT] & MAP_LIVE) === 0) throw areas.refusal(p, "sizeOf");
    return (i32[header + MAP_WHAT] >>> MAP_COUNT_SHIFT) * PAGE_BYTES;
  }

  function stats(): VmallocStatistics {
    let count = 0;
    let pages = 0;
    let used = 0;
    for (const area of info()) {
      count++;
      used += area.bytes + PAGE_BYTES;
      if (area.kind === "vmalloc") pages += area.pages;
    }
    return { areas: count, bytes: pages * PAGE_BYTES, used, total: END - START, tables: areas.table.tables() };
  }

  /** Reads `bytes` bytes at `p` by `read`, which is told where they are. */
  function get<T>(p: number, bytes: number, read: (from: DataView, address: number) => T): T {
    const address = reach(p, bytes);
    return address < 0 ? read(scratch, 0) : read(view, address);
  }

  function put(p: number, bytes: number, write: (into: DataView, address: number) => void): void {
    const address = target(p, bytes);
    if (address >= 0) return write(view, address);
    write(scratch, 0);
    spread(p, bytes);
  }

  return {
    start: START,
    end: END,
    alloc,
    free(p) {
      if (p !== 0) areas.remove(p, false);
    },
    isMapped: (p) => typeof p === "number" && p >= START && p < END,
    sizeOf,
    at,
    pieces,
    copyIn,
    copyOut,
    fill,
    getU8: (p) => u8[at(p)] as number,
    getI8: (p) => view.getInt8(at(p)),
    getU16: (p) => get(p, 2, (from, address) => from.getUint16(address, true)),
    getI16: (p) => get(p, 2, (from, address) => from.getInt16(address, true)),
    getU32: (p) => get(p, 4, (from, address) => from.getUint32(address, true)),
    getI32: (p) => get(p, 4, (from, address) => from.getInt32(address, true)),
    getF32: (p) => get(p, 4, (from, address) => from.getFloat32(address, true)),
    getF64: (p) => get(p, 8, (from, address) => from.getFloat64(address, true)),
    getU64: (p) => get(p, 8, (from, address) => from.getBigUint64(address, true)),
    getI64: (p) => get(p, 8, (from, address) => from.getBigInt64(address, true)),
    setU8: (p, value) => view.setUint8(at(p), value),
    setI8: (p, value) => view.setInt8(at(p), value),
    setU16: (p, value) => put(p, 2, (into, address) => into.setUint16(address, value, true)),
    setI16: (p, value) => put(p, 2, (into, address) => into.setInt16(address, value, true)),
    setU32: (p, value) => put(p, 4, (into, address) => into.setUint32(address, value, true)),
    setI32: (p, value) => put(p, 4, (into, address) => into.setInt32(address, value, true)),
    setF32: (p, value) => put(p, 4, (into, address) => into.setFloat32(address, value, true)),
    setF64: (p, value) => put(p, 8, (into, address) => into.setFloat64(address, value, true)),
    setU64: (p, value) => put(p, 8, (into, address) => into.setBigUint64(address, value, true)),
    setI64: (p, value) => put(p, 8, (into, address) => into.setBigInt64(address, value, true)),
    info,
    stats,
  };
}

function checkBytes(given: number | undefined, core: Core): number {
  const { heapEnd } = core.floor.geometry;
  const roomy = Math.ceil((4 * heapEnd) / MAP_TABLE_SPAN) * MAP_TABLE_SPAN;
  const bytes = given ?? Math.min(MOST_BYTES, Math.max(LEAST_BYTES, roomy));
  if (Number.isInteger(bytes) && bytes >= MAP_TABLE_SPAN && bytes <= MOST_BYTES && bytes % MAP_TABLE_SPAN === 0) return bytes;
  throw optionError("bytes of vmalloc", bytes, `a multiple of ${MAP_TABLE_SPAN} from ${MAP_TABLE_SPAN} to ${MOST_BYTES} (bytes)`);
}
