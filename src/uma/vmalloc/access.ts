/**
 * Access to mapped addresses: what a processor's memory unit does for a kernel, in software.
 *
 * The page table says where a page of addresses lies; what crosses from a page to the next is put together from both. Whole ranges
 * go piece by piece, and pages that follow each other are one piece. Between two places in the memory itself a copy makes no
 * objects; to and from other buffers it makes one for each piece, a view.
 */
import { UmaError, optionError } from "../../backend/memory/errors.ts";
import {
  MAP_ENTRY_WORDS,
  MAP_TABLE_ENTRIES,
  MAP_TABLE_SHIFT,
  MAP_TABLE_SPAN,
  MAP_WHAT,
  PAGE_BYTES,
  PAGE_SHIFT,
  VMAP_DIRECTORY,
  VMAP_START,
} from "../../backend/memory/layout.ts";
import type { Core } from "../core.ts";

/** Bytes that are not in one place: where a piece of a mapped range lies in the memory. */
export interface Piece {
  /** Byte address in the memory, and bytes from there on. */
  readonly address: number;
  readonly bytes: number;
}

/** Reading and writing at mapped addresses. */
export interface MappedAccess {
  /** Whether `p` lies among the mapped addresses, mapped or not. */
  isMapped(p: number): boolean;
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
}

/** For the addresses [VMAP_START, end), which are open. */
export function createAccess(core: Core, end: number): MappedAccess {
  const { u8, i32, buffer } = core.floor.cells;
  const { table } = core.areas;
  /** The record, once there, stays: word of the directory for the table of address 0, if there were one. */
  const DIRECTORY = table.record() + VMAP_DIRECTORY - VMAP_START / MAP_TABLE_SPAN;
  const START = VMAP_START;
  const END = end;
  const view = new DataView(buffer);
  /** What crosses from a page to the next is put together here. */
  const scratch = new DataView(new ArrayBuffer(8));
  const scratchBytes = new Uint8Array(scratch.buffer);

  function unmapped(p: number): UmaError {
    const where = typeof p === "number" && p >= START && p < END ? "nothing is mapped there" : `mapped addresses lie in [${START}, ${END})`;
    return new UmaError("ERR_UMA_ADDRESS", `no access at ${String(p)}: ${where}`, typeof p === "number" ? { value: p } : {});
  }

  /** Byte address behind `p`, 0 = none. */
  function lookUp(p: number): number {
    if (p >>> 0 !== p || p < START || p >= END) return 0;
    const entries = i32[DIRECTORY + (p >>> (MAP_TABLE_SHIFT + PAGE_SHIFT))];
    if (entries === 0) return 0;
    const what = i32[(entries >>> 2) + ((p >>> PAGE_SHIFT) & (MAP_TABLE_ENTRIES - 1)) * MAP_ENTRY_WORDS + MAP_WHAT];
    // Anything but a page has something in the low bits.
    return what !== 0 && (what & 4095) === 0 ? what + (p & 4095) : 0;
  }

  function at(p: number): number {
    const address = lookUp(p);
    if (address === 0) throw unmapped(p);
    return address;
  }

  /** Where the piece that {@link stretch} found begins. */
  let pieceAt = 0;

  /** Bytes from `p` on that lie in one stretch of the memory, `most` at the most. */
  function stretch(p: number, most: number): number {
    pieceAt = at(p);
    let bytes = PAGE_BYTES - (p & 4095);
    while (bytes < most && lookUp(p + bytes) === pieceAt + bytes) bytes += PAGE_BYTES;
    return bytes < most ? bytes : most;
  }

  function* pieces(p: number, size: number): Generator<Piece, void, void> {
    checkLength(size, "size of pieces");
    for (let done = 0; done < size; ) {
      const bytes = stretch(p + done, size - done);
      yield { address: pieceAt, bytes };
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
    const { length, byteOffset } = from;
    if (length === 0) return;
    checkRange(p, length);
    const here = from.buffer === buffer;
    for (let done = 0; done < length; ) {
      const bytes = stretch(p + done, length - done);
      if (here) u8.copyWithin(pieceAt, byteOffset + done, byteOffset + done + bytes);
      else u8.set(bytes === length ? from : from.subarray(done, done + bytes), pieceAt);
      done += bytes;
    }
  }

  function copyOut(p: number, into: Uint8Array): void {
    const { length, byteOffset } = into;
    if (length === 0) return;
    checkRange(p, length);
    const here = into.buffer === buffer;
    for (let done = 0; done < length; ) {
      const bytes = stretch(p + done, length - done);
      if (here) u8.copyWithin(byteOffset + done, pieceAt, pieceAt + bytes);
      else into.set(u8.subarray(pieceAt, pieceAt + bytes), done);
      done += bytes;
    }
  }

  function fill(p: number, value: number, size: number): void {
    if (size === 0) return;
    checkRange(p, size);
    for (let done = 0; done < size; ) {
      const bytes = stretch(p + done, size - done);
      u8.fill(value, pieceAt, pieceAt + bytes);
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
    isMapped: (p) => typeof p === "number" && p >= START && p < END,
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
  };
}
