/**
 * Theory: a set of 64-bit keys as one open-addressed table of two int32 lanes; 8 bytes a key, grown at 60 %. (0, 0) stands for empty.
 * With each key goes the lowest level at which it was entered: whoever enters a state with fewer preemptions behind him may go on to
 * states that the one before him could not.
 */
export const KNOWN = 0;
export const NEW = 1;
export const LOWER = 2;

export class Visited {
  size = 0;
  private mask: number;
  private table: Int32Array;
  private levels: Uint8Array;

  constructor(bits = 16) {
    this.mask = (1 << bits) - 1;
    this.table = new Int32Array(2 << bits);
    this.levels = new Uint8Array(1 << bits);
  }

  /** Adds a key. @returns KNOWN when it was there at this level or a lower one, LOWER when only at a higher one. */
  add(a: number, b: number, level = 0): typeof KNOWN | typeof NEW | typeof LOWER {
    if (a === 0 && b === 0) b = 1;
    const { table, levels, mask } = this;
    let at = (a & mask) << 1;
    for (;;) {
      const inA = table[at] as number;
      const inB = table[at + 1] as number;
      if (inA === 0 && inB === 0) break;
      if (inA === a && inB === b) {
        if ((levels[at >> 1] as number) <= level) return KNOWN;
        levels[at >> 1] = level;
        return LOWER;
      }
      at = (at + 2) & ((mask << 1) | 1);
    }
    table[at] = a;
    table[at + 1] = b;
    levels[at >> 1] = level;
    if (++this.size > mask * 0.6) this.grow();
    return NEW;
  }

  private grow(): void {
    const old = this.table;
    const oldLevels = this.levels;
    this.mask = (this.mask << 1) | 1;
    this.table = new Int32Array(old.length * 2);
    this.levels = new Uint8Array(oldLevels.length * 2);
    this.size = 0;
    for (let i = 0; i < old.length; i += 2) {
      const a = old[i] as number;
      const b = old[i + 1] as number;
      if (a !== 0 || b !== 0) this.add(a, b, oldLevels[i >> 1]);
    }
  }
}
