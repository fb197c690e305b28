/**
 * What a memory lies in: a SharedArrayBuffer, the buffer of a shared WebAssembly.Memory, or, only when asked for by name, a
 * plain ArrayBuffer for one thread.
 *
 * Lengths are fixed: a view of a growable buffer that tracks its length costs 18 to 38 times as much per access, and a system
 * commits a large buffer lazily anyway. There is no silent fallback to an ArrayBuffer: a program that believes it shares memory
 * and does not is worse off than one that is told which headers are missing.
 */
import { UmaError, optionError } from "./errors.ts";
import { PAGE_BYTES } from "./layout.ts";

/** Where a memory can lie. */
export type MemoryBuffer = SharedArrayBuffer | ArrayBuffer;

/** Kinds by name, as in the option `kind`. */
export type BufferKind = "shared" | "wasm" | "array";

/** Smallest memory, bytes: the fixed regions for a few workers and some pages of heap. */
export const MIN_MEMORY_BYTES = 131_072;
/** Largest memory, bytes: an address stays a non-negative int32. */
export const MAX_MEMORY_BYTES = 2_147_483_648;

/** A `WebAssembly.Memory`, as far as it matters here. */
export interface WasmMemory {
  readonly buffer: MemoryBuffer;
}

const ISOLATION =
  "SharedArrayBuffer is missing: the page is not cross-origin isolated. Serve it with the headers " +
  '"Cross-Origin-Opener-Policy: same-origin" and "Cross-Origin-Embedder-Policy: require-corp", or ask for a memory of one ' +
  'thread with kind: "array"';

/**
 * Makes a buffer of `bytes` bytes.
 * @param bytes - length, bytes; a multiple of the page is cut from it.
 */
export function makeBuffer(kind: "shared" | "array", bytes: number): MemoryBuffer {
  checkBytes(bytes);
  if (kind === "array") return new ArrayBuffer(bytes);
  if (typeof SharedArrayBuffer === "undefined") throw new UmaError("ERR_UMA_NO_SHARED_MEMORY", ISOLATION);
  return new SharedArrayBuffer(bytes);
}

/** Checks a length for a memory, bytes. */
export function checkBytes(bytes: unknown): asserts bytes is number {
  if (typeof bytes !== "number" || !Number.isInteger(bytes) || bytes < MIN_MEMORY_BYTES || bytes > MAX_MEMORY_BYTES) {
    throw optionError("bytes", bytes, `an integer from ${MIN_MEMORY_BYTES} to ${MAX_MEMORY_BYTES}`);
  }
}

/** Whether `value` can carry a memory that several threads share. */
export function isShared(value: unknown): value is SharedArrayBuffer {
  return typeof SharedArrayBuffer !== "undefined" && value instanceof SharedArrayBuffer;
}

/** Accepts a buffer that somebody else made: shared, of fixed length. */
export function acceptBuffer(value: unknown): MemoryBuffer {
  if (isShared(value)) {
    if ((value as { growable?: boolean }).growable === true) {
      throw optionError("buffer", "a growable SharedArrayBuffer", "one of fixed length (reserve the maximum: it is committed lazily)");
    }
    checkBytes(value.byteLength);
    return value;
  }
  if (value instanceof ArrayBuffer) {
    checkBytes(value.byteLength);
    return value;
  }
  throw optionError("buffer", value, "a SharedArrayBuffer, a WebAssembly.Memory made with shared: true, or an ArrayBuffer");
}

/** The buffer of a wasm memory; it must be shared and must not grow afterwards (its views would stay short, not wrong). */
export function acceptWasm(memory: WasmMemory): SharedArrayBuffer {
  const buffer = memory?.buffer;
  if (!isShared(buffer)) throw optionError("wasm", memory, "a WebAssembly.Memory made with shared: true");
  checkBytes(buffer.byteLength);
  return buffer;
}

/** Checks the base of a memory in a buffer of `bytes` bytes: what lies below belongs to somebody else. */
export function checkBase(base: unknown, bytes: number): asserts base is number {
  if (typeof base !== "number" || !Number.isInteger(base) || base < 0 || base % PAGE_BYTES !== 0 || bytes - base < MIN_MEMORY_BYTES) {
    throw optionError("base", base, `a multiple of ${PAGE_BYTES} that leaves at least ${MIN_MEMORY_BYTES} bytes above it`);
  }
}
