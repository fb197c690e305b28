/**
 * Keys and values of a shared map: numbers of one kind each, as they lie in a node, and how a key is hashed.
 *
 * Multiplicative hashing (Knuth): the high bits of the product, so that runs of keys and multiples of powers of two spread.
 */
import { optionError } from "../../backend/memory/errors.ts";

/** What a key or a value is: an integer of 32 bits, a number, or the address of an item (an i32 that is never checked). */
export type MapType = "i32" | "u32" | "f64" | "item";

const GOLDEN = 0x9e3779b1;
const scratch = new Float64Array(1);
const scratchWords = new Int32Array(scratch.buffer);

export function checkType(option: string, type: unknown, zone: string): asserts type is MapType {
  if (type !== "i32" && type !== "u32" && type !== "f64" && type !== "item") {
    throw optionError(option, type, '"i32", "u32", "f64" or "item"', zone);
  }
}

/** Whether a number can be held as `type` without loss. */
export function holds(type: MapType, value: unknown): value is number {
  if (typeof value !== "number") return false;
  if (type === "f64") return true;
  return type === "u32" ? value >>> 0 === value : (value | 0) === value;
}

/** @returns a hash of 32 bits; 0 and −0, and all NaN, are one key. */
export function hashOf(type: MapType, key: number): number {
  if (type !== "f64") return Math.imul(key, GOLDEN);
  scratch[0] = key + 0;
  return Math.imul(scratchWords[0] ^ Math.imul(scratchWords[1], 0x85ebca6b), GOLDEN);
}
