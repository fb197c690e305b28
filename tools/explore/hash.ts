/**
 * Theory: states are told apart by 64 bits, kept as two 32-bit lanes with independent multipliers (JavaScript has no
 * fast 64-bit integers). At ten million states the chance that any two distinct ones collide is about 3·10⁻⁶; a collision
 * could only hide states, never invent a failure.
 */

const floats = new Float64Array(1);
const halves = new Int32Array(floats.buffer);

/** Murmur3's finaliser. */
export function mixA(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** Another one (from "lowbias32"). */
export function mixB(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

export const foldA = (hash: number, value: number): number => mixA((Math.imul(hash, 0x9e3779b1) + value) | 0);
export const foldB = (hash: number, value: number): number => mixB((Math.imul(hash, 0x2c1b3c6d) ^ (value + 0x297a2d39)) | 0);

/** The contribution of one memory word: both lanes depend on address and value. */
export const wordA = (word: number, value: number): number => mixA(Math.imul(word + 1, 0x9e3779b1) ^ Math.imul(value, 0x85ebca77));
export const wordB = (word: number, value: number): number =>
  mixB((Math.imul(value, 0x27d4eb2f) + Math.imul(word + 0x165667b1, 0xc2b2ae3d)) | 0);

/** Two lanes of any value; objects count as one and the same. */
export class Lanes {
  a = 0;
  b = 0;

  of(value: unknown): this {
    switch (typeof value) {
      case "number":
        if ((value | 0) === value) return this.set(value, 1);
        floats[0] = value;
        return this.set(foldA(halves[0] as number, halves[1] as number), foldB(halves[1] as number, halves[0] as number));
      case "boolean":
        return this.set(value ? 11 : 12, 2);
      case "undefined":
        return this.set(13, 3);
      case "string":
      case "bigint":
      case "symbol":
        return this.text(String(value));
      default:
        return this.set(value === null ? 14 : 15, 4);
    }
  }

  private text(text: string): this {
    let a = text.length;
    let b = 5;
    for (let i = 0; i < text.length; i++) {
      a = foldA(a, text.charCodeAt(i));
      b = foldB(b, text.charCodeAt(i));
    }
    return this.set(a, b);
  }

  private set(a: number, kind: number): this {
    this.a = foldA(a, kind);
    this.b = foldB(a ^ 0x5bd1e995, kind);
    return this;
  }
}
