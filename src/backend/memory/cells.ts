/**
 * The cells: the only way in which the core touches shared memory.
 *
 * A memory is seen through three fixed-length views, `i32`, `u8` and `f64`. Every file of the core declares them as constants of
 * its factory (`const { i32, u8 } = cells`): a view that a factory captures is as fast as a module constant, every other place
 * costs 1.4 to 2.4 times as much. **The names matter:** the build tools that explore interleavings and place kill points
 * recognise a shared access by them, so a shared access is written in one of these forms and in no other:
 *
 *  - `i32[w]`, `u8[byte]`, `f64[w >> 1]`, read or assigned: a plain access;
 *  - `Atomics.op(i32 | u8, index, …)`;
 *  - `i32.fill`, `u8.fill`, `u8.copyWithin`, `u8.set`: one access in bulk, of memory that nobody else has yet.
 *
 * and nowhere in a constructor, a getter, a default parameter or a callback handed to a built-in (those cannot be cut).
 *
 * What orders plain accesses: each plainly written word has one writer at a time (the owner of the slot, or the holder of the
 * lock that guards it), and hands over by an Atomics operation on the lock or state word. What a dead worker wrote plainly is
 * read only after its death certificate.
 */
import type { MemoryBuffer } from "./buffer.ts";

/** The views of one memory, and whether its threads may wait. */
export interface Cells {
  readonly buffer: MemoryBuffer;
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
  readonly f64: Float64Array;
  /** Word index of the superblock. */
  readonly base: number;
  /** True when Atomics.wait is allowed in this thread and several threads can share the buffer. */
  readonly canWait: boolean;
}

/** Views over `buffer`, as far as whole words reach; `base` in bytes. */
export function createCells(buffer: MemoryBuffer, base: number, canWait: boolean): Cells {
  return {
    buffer,
    i32: new Int32Array(buffer, 0, buffer.byteLength >>> 2),
    u8: new Uint8Array(buffer),
    f64: new Float64Array(buffer, 0, buffer.byteLength >>> 3),
    base: base >>> 2,
    canWait,
  };
}

/** Tries whether this thread may block in Atomics.wait: a browser's main thread may not, and a plain ArrayBuffer cannot. */
export function threadCanWait(buffer: MemoryBuffer): boolean {
  if (typeof SharedArrayBuffer === "undefined" || !(buffer instanceof SharedArrayBuffer)) return false;
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}
