/**
 * Stamps: every object is filled with its number over its whole size, and every byte is looked at again before it is freed. An
 * allocator that gives two objects one byte, or writes into an object itself, cannot pass.
 */
export interface Stamps {
  /** Fills the `bytes` bytes at `p` (a multiple of 4) with `id`. */
  write(p: number, bytes: number, id: number): void;
  /** Whether the `bytes` bytes at `p` are all still `id`'s. */
  check(p: number, bytes: number, id: number): boolean;
}

/** From this many words on the built-in is faster than a loop. */
const FILL_WORDS = 32;

export function createStamps(buffer: SharedArrayBuffer | ArrayBuffer): Stamps {
  const i32 = new Int32Array(buffer, 0, buffer.byteLength >>> 2);
  const u8 = new Uint8Array(buffer);

  function write(p: number, bytes: number, id: number): void {
    const first = p >>> 2;
    const end = first + (bytes >>> 2);
    if (end - first >= FILL_WORDS) i32.fill(id, first, end);
    else for (let w = first; w < end; w++) i32[w] = id;
    for (let n = bytes & ~3; n < bytes; n++) u8[p + n] = id >>> ((n & 3) << 3);
  }

  function check(p: number, bytes: number, id: number): boolean {
    const end = (p >>> 2) + (bytes >>> 2);
    for (let w = p >>> 2; w < end; w++) if (i32[w] !== id) return false;
    for (let n = bytes & ~3; n < bytes; n++) if (u8[p + n] !== ((id >>> ((n & 3) << 3)) & 0xff)) return false;
    return true;
  }

  return { write, check };
}
