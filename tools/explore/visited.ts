/** Theory: a set of 64-bit keys as one open-addressed table of two int32 lanes; 8 bytes a key, grown at 60 %. (0, 0) stands for empty. */
export class Visited {
  size = 0;
  private mask: number;
  private table: Int32Array;

  constructor(bits = 16) {
    this.mask = (1 << bits) - 1;
    this.table = new Int32Array(2 << bits);
  }

  /** Adds a key; false when it was there. */
  add(a: number, b: number): boolean {
    if (a === 0 && b === 0) b = 1;
    const { table, mask } = this;
    let at = (a & mask) << 1;
    for (;;) {
      const inA = table[at] as number;
      const inB = table[at + 1] as number;
      if (inA === 0 && inB === 0) break;
      if (inA === a && inB === b) return false;
      at = (at + 2) & ((mask << 1) | 1);
    }
    table[at] = a;
    table[at + 1] = b;
    if (++this.size > mask * 0.6) this.grow();
    return true;
  }

  private grow(): void {
    const old = this.table;
    this.mask = (this.mask << 1) | 1;
    this.table = new Int32Array(old.length * 2);
    this.size = 0;
    for (let i = 0; i < old.length; i += 2) {
      const a = old[i] as number;
      const b = old[i + 1] as number;
      if (a !== 0 || b !== 0) this.add(a, b);
    }
  }
}
