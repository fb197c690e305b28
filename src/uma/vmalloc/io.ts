/**
 * ioremap: mapped addresses over a buffer from elsewhere (another SharedArrayBuffer, a wasm program's memory), a device's registers
 * if one likes. Nothing is allocated but addresses.
 *
 * Addresses are taken for whole pages: an offset that is no page's start is rounded down, and the address given back lies as far
 * into the first page as the offset did. What may be read and written is exactly the range that was asked for.
 *
 * The range stands in the shared page table, so all workers see it, and it outlives its maker. A buffer cannot stand there: a
 * worker that gets a mapped address from another gets the buffer with it, and says so by {@link IoMaps.attach}.
 *
 * Accesses of 1, 2 and 4 bytes at multiples of their size are single ones, in order (Atomics) if the buffer is shared; others are
 * plain. All are little-endian.
 */
import { UmaError, optionError } from "../../backend/memory/errors.ts";
import { MAP_COUNT_SHIFT, MAP_FOREIGN, MAP_IO, MAP_LIVE, MAP_NOTE, MAP_WHAT, PAGE_BYTES } from "../../backend/memory/layout.ts";
import type { Uma } from "../uma.ts";
import { type Vmalloc, siteOfCaller } from "./vmalloc.ts";

/** What can stand behind an ioremap. */
export type ForeignBuffer = SharedArrayBuffer | ArrayBuffer;

export interface IoMaps {
  /**
   * Maps [offset, offset + size) of `buffer`.
   * @returns the address of its first byte; 0 when there are no addresses (`uma.lastFailure`).
   * @throws UmaError ERR_UMA_OPTION when the range does not lie in the buffer.
   * @source Linux ioremap
   */
  map(buffer: ForeignBuffer, offset: number, size: number): number;
  /** Takes a mapping away, by any address in its first page. @throws UmaError ERR_UMA_ADDRESS, ERR_VMEM_KIND. */
  unmap(p: number): void;
  /** Says which buffer stands behind a mapping of another worker's. @throws UmaError ERR_UMA_ADDRESS; ERR_UMA_OPTION when it is too short. */
  attach(p: number, buffer: ForeignBuffer): void;
  /** @throws UmaError ERR_UMA_ADDRESS outside every mapped range; ERR_UMA_FOREIGN where this thread has not got the buffer. */
  read8(p: number): number;
  read16(p: number): number;
  read32(p: number): number;
  read64(p: number): bigint;
  write8(p: number, value: number): void;
  write16(p: number, value: number): void;
  write32(p: number, value: number): void;
  write64(p: number, value: bigint): void;
  /** Copies from and to the mapped range; the whole range is checked first. */
  copyFrom(p: number, into: Uint8Array): void;
  copyTo(p: number, from: Uint8Array): void;
  fill(p: number, value: number, size: number): void;
}

/** A mapping as this thread knows it: addresses [low, high), and what `low` is in the buffer. */
interface Mapping {
  readonly base: number;
  readonly note: number;
  readonly low: number;
  readonly high: number;
  readonly offset: number;
  readonly buffer: ForeignBuffer;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly halves: Uint16Array;
}

/** Of a buffer that is nobody's protocol: these are not the accesses that a memory stands on. */
const { load, store } = Atomics;

const MOST_PAGES = 2 ** 22;

/** @param options.callers - notes who maps, as the option of that name does for vmalloc. */
export function createIoMaps(uma: Uma, addresses: Vmalloc, { callers = false }: { readonly callers?: boolean } = {}): IoMaps {
  const { core } = uma;
  const { areas } = core;
  const { i32 } = core.floor.cells;
  /** By the page of the base address. */
  const known = new Map<number, Mapping>();
  /** The mapping used last: accesses come in runs. */
  let last: Mapping | null = null;

  function map(buffer: ForeignBuffer, offset: number, size: number): number {
    const length = lengthOf(buffer);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > length)
      throw optionError("offset of ioremap", offset, `an integer from 0 to ${length} (bytes)`);
    if (!Number.isSafeInteger(size) || size < 1 || size > length - offset)
      throw optionError("size of ioremap", size, `an integer from 1 to ${length - offset} (bytes)`);
    const first = offset % PAGE_BYTES;
    const page = (offset - first) / PAGE_BYTES;
    const pages = Math.ceil((first + size) / PAGE_BYTES);
    if (page + pages > MOST_PAGES)
      throw optionError("offset of ioremap", offset, `below ${MOST_PAGES * PAGE_BYTES}, with the size (bytes)`);
    const foreign = { page, first, spare: pages * PAGE_BYTES - first - size };
    const base = areas.make({ pages, foreign, caller: siteOfCaller(core, callers), mayWait: true });
    if (base === 0) {
      core.failure = areas.outcome();
      return 0;
    }
    learn(base, buffer);
    return base + first;
  }

  function lengthOf(buffer: ForeignBuffer): number {
    const shared = typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer;
    if (!shared && !(buffer instanceof ArrayBuffer))
      throw optionError("buffer of ioremap", buffer, "a SharedArrayBuffer or an ArrayBuffer");
    return buffer.byteLength;
  }

  /** What the page table says of the mapping in whose first page `p` lies; null = none. */
  function boundsAt(p: number): { base: number; note: number; low: number; high: number; offset: number } | null {
    if (!addresses.isMapped(p)) return null;
    const base = Math.floor(p / PAGE_BYTES) * PAGE_BYTES;
    const header = areas.headerAt(base);
    const what = header === 0 ? 0 : i32[header + MAP_WHAT];
    if ((what & (MAP_LIVE | MAP_IO)) !== (MAP_LIVE | MAP_IO)) return null;
    const entry = areas.table.entryOf(base);
    const place = entry === 0 ? 0 : i32[entry + MAP_WHAT];
    const note = entry === 0 ? 0 : i32[entry + MAP_NOTE];
    if ((place & MAP_FOREIGN) === 0) return null;
    const first = note & (PAGE_BYTES - 1);
    const high = base + areas.pagesIn(what) * PAGE_BYTES - (note >>> 12);
    return { base, note: place, low: base + first, high, offset: (place >>> MAP_COUNT_SHIFT) * PAGE_BYTES + first };
  }

  function learn(p: number, buffer: ForeignBuffer): void {
    const bounds = boundsAt(p);
    if (bounds === null) throw areas.refusal(p, "ioremap");
    const needed = bounds.offset + bounds.high - bounds.low;
    if (lengthOf(buffer) < needed) throw optionError("buffer of attach", buffer.byteLength, `a buffer of at least ${needed} bytes`);
    known.set(bounds.base, {
      ...bounds,
      buffer,
      view: new DataView(buffer),
      bytes: new Uint8Array(buffer),
      words: new Uint32Array(buffer, 0, buffer.byteLength >>> 2),
      halves: new Uint16Array(buffer, 0, buffer.byteLength >>> 1),
    });
    last = null;
  }

  function unmap(p: number): void {
    const base = Math.floor(p / PAGE_BYTES) * PAGE_BYTES;
    areas.remove(base, true);
    known.delete(base);
    last = null;
  }

  /** The mapping that [p, p + bytes) lies in. */
  function mappingOf(p: number, bytes: number): Mapping {
    const m = last !== null && p >= last.low && p < last.high ? last : find(p);
    // Another worker may have taken it away, or something else may be there by now.
    const now = boundsAt(m.base);
    if (now === null || now.high !== m.high || now.note !== m.note) {
      known.delete(m.base);
      last = null;
      throw outside(p, bytes);
    }
    last = m;
    if (!Number.isInteger(p) || p < m.low || p + bytes > m.high) throw outside(p, bytes);
    return m;
  }

  function find(p: number): Mapping {
    if (!Number.isInteger(p)) throw outside(p, 1);
    for (const m of known.values()) if (p >= m.base && p < m.high) return m;
    for (const area of addresses.info()) {
      if (area.kind !== "ioremap" || p < area.address || p >= area.address + area.bytes || known.has(area.address)) continue;
      throw new UmaError("ERR_UMA_FOREIGN", `${p} is mapped over a buffer that this thread has not got: attach it first`, { value: p });
    }
    throw outside(p, 1);
  }

  function outside(p: number, bytes: number): UmaError {
    const details = typeof p === "number" ? { value: p } : {};
    return new UmaError("ERR_UMA_ADDRESS", `${bytes} bytes at ${String(p)} do not lie in one range of ioremap`, details);
  }

  function isSingle(m: Mapping, at: number, bytes: number): boolean {
    return at % bytes === 0 && !(m.buffer instanceof ArrayBuffer);
  }

  function read16(p: number): number {
    const m = mappingOf(p, 2);
    const at = p - m.low + m.offset;
    return isSingle(m, at, 2) ? load(m.halves, at >>> 1) : m.view.getUint16(at, true);
  }

  function read32(p: number): number {
    const m = mappingOf(p, 4);
    const at = p - m.low + m.offset;
    return isSingle(m, at, 4) ? load(m.words, at / 4) : m.view.getUint32(at, true);
  }

  function write16(p: number, value: number): void {
    const m = mappingOf(p, 2);
    const at = p - m.low + m.offset;
    if (isSingle(m, at, 2)) store(m.halves, at / 2, value);
    else m.view.setUint16(at, value, true);
  }

  function write32(p: number, value: number): void {
    const m = mappingOf(p, 4);
    const at = p - m.low + m.offset;
    if (isSingle(m, at, 4)) store(m.words, at / 4, value);
    else m.view.setUint32(at, value, true);
  }

  function read8(p: number): number {
    const m = mappingOf(p, 1);
    return load(m.bytes, p - m.low + m.offset);
  }

  function write8(p: number, value: number): void {
    const m = mappingOf(p, 1);
    store(m.bytes, p - m.low + m.offset, value);
  }

  function read64(p: number): bigint {
    const m = mappingOf(p, 8);
    return m.view.getBigUint64(p - m.low + m.offset, true);
  }

  function write64(p: number, value: bigint): void {
    const m = mappingOf(p, 8);
    m.view.setBigUint64(p - m.low + m.offset, value, true);
  }

  function copyFrom(p: number, into: Uint8Array): void {
    if (into.length === 0) return;
    const m = mappingOf(p, into.length);
    const at = p - m.low + m.offset;
    into.set(m.bytes.subarray(at, at + into.length));
  }

  function copyTo(p: number, from: Uint8Array): void {
    if (from.length === 0) return;
    const m = mappingOf(p, from.length);
    m.bytes.set(from, p - m.low + m.offset);
  }

  function fill(p: number, value: number, size: number): void {
    if (!Number.isSafeInteger(size) || size < 0) throw optionError("size of memset_io", size, "an integer from 0 on (bytes)");
    if (size === 0) return;
    const m = mappingOf(p, size);
    const at = p - m.low + m.offset;
    m.bytes.fill(value, at, at + size);
  }

  return {
    map,
    unmap,
    attach: learn,
    read8,
    read16,
    read32,
    read64,
    write8,
    write16,
    write32,
    write64,
    copyFrom,
    copyTo,
    fill,
  };
}
