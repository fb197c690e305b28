/**
 * The ledger of a crash run: what a worker itself says it owned, in a memory of its own that the library never sees.
 *
 * Per zone SLOTS places. Before an allocation the zone's OPEN word says how many items may be coming; they are stored after the
 * allocation has returned. Before a free the place holds −item, afterwards 0. A worker is killed inside the library only, so
 * at a kill the ledger says what was open: items that may or may not have been allocated, others that may or may not have been freed.
 */

/** Places a zone. */
export const SLOTS = 24;
/** Items a zone that somebody else allocated and the victim frees. */
export const MAIL = 8;
/** Hooks that ran out of order. */
export const VIOLATIONS = 0;
/** The step a history is in. */
export const STEP = 1;
/** The parent's wish what the peer do, and whether it is quiet. */
export const PAUSE = 2;
export const PAUSED = 3;
/** Wishes: be at work; give everything back and sleep; sleep with what there is, until the next victim wakes it. */
export const WORK = 0;
export const QUIET = 1;
export const NAP = 2;
/** Peers that died of an error. */
export const ERRORS = 4;
const HEAD = 16;
/** Words for a theme's own use. */
export const EXTRA = 512;

/** Told of each item that comes and goes: storms find items that are handed out twice by it. */
export interface Oracle {
  comes(z: number, item: number): void;
  goes(z: number, item: number): void;
}

export function ledgerWords(zones: number): number {
  return HEAD + zones * (1 + SLOTS + MAIL) + EXTRA;
}

export class Ledger {
  readonly words: Int32Array;
  readonly zones: number;
  oracle: Oracle | null = null;

  constructor(words: Int32Array, zones: number) {
    this.words = words;
    this.zones = zones;
  }

  /** A ledger in words of its own: shared ones, or this thread's. */
  static make(zones: number, shared: boolean): Ledger {
    const bytes = 4 * ledgerWords(zones);
    return new Ledger(new Int32Array(shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes)), zones);
  }

  /** The theme's own words. */
  get extra(): Int32Array {
    const from = HEAD + this.zones * (1 + SLOTS + MAIL);
    return this.words.subarray(from, from + EXTRA);
  }

  /** Forgets everything but the peer's state. */
  clear(): void {
    this.words[VIOLATIONS] = 0;
    this.words[STEP] = 0;
    this.words.fill(0, HEAD);
  }

  /** Index of place k of zone z. */
  at(z: number, k: number): number {
    return HEAD + this.zones + z * SLOTS + k;
  }

  mailAt(z: number, n: number): number {
    return HEAD + this.zones * (1 + SLOTS) + z * MAIL + n;
  }

  /** Items of zone z that may be coming. */
  open(z: number): number {
    return this.words[HEAD + z] ?? 0;
  }

  /** Says so. */
  expect(z: number, more: number): void {
    this.words[HEAD + z] = this.open(z) + more;
  }

  /** First empty place of a zone, from k on and round; −1 = none. */
  emptyPlace(z: number, k: number): number {
    for (let n = 0; n < SLOTS; n++) if (this.words[this.at(z, (k + n) % SLOTS)] === 0) return (k + n) % SLOTS;
    return -1;
  }

  /** Takes an item into place k. */
  take(z: number, k: number, alloc: () => number): number {
    this.expect(z, 1);
    let item = 0;
    try {
      item = alloc();
    } finally {
      if (item !== 0) this.oracle?.comes(z, item);
      this.words[this.at(z, k)] = item;
      this.expect(z, -1);
    }
    return item;
  }

  /** Takes many, or none, into empty places: at most as many as there are. */
  takeMany(z: number, count: number, alloc: (into: number[]) => boolean): void {
    const places: number[] = [];
    for (let k = 0; k < SLOTS && places.length < count; k++) if (this.words[this.at(z, k)] === 0) places.push(k);
    const into: number[] = places.map(() => 0);
    this.expect(z, places.length);
    try {
      alloc(into);
    } finally {
      for (const [n, k] of places.entries()) {
        const item = into[n] ?? 0;
        if (item !== 0) this.oracle?.comes(z, item);
        this.words[this.at(z, k)] = item;
      }
      this.expect(z, -places.length);
    }
  }

  /**
   * Frees what is in place k (or in a place of the mail), if there is something. @returns whether there was.
   * @param free - may answer that the item still waits to be freed: then its place stays in doubt until `ended` is told.
   */
  give(z: number, index: number, free: (item: number) => "waits" | void): boolean {
    const item = this.words[index] ?? 0;
    if (item <= 0) return false;
    this.words[index] = -item;
    this.oracle?.goes(z, item);
    if (free(item) !== "waits") this.words[index] = 0;
    return true;
  }

  /** Empties the place of an item whose free was waiting, if it waits no longer. */
  ended(index: number, waits: (item: number) => boolean): void {
    const word = this.words[index] ?? 0;
    if (word < 0 && !waits(-word)) this.words[index] = 0;
  }

  /** Frees up to `count` items at once. @param waits - whether one of them still waits to be freed: then its place stays in doubt. */
  giveMany(z: number, count: number, free: (items: number[]) => void, waits: (item: number) => boolean = () => false): void {
    const indexes: number[] = [];
    for (let k = 0; k < SLOTS && indexes.length < count; k++) if ((this.words[this.at(z, k)] ?? 0) > 0) indexes.push(this.at(z, k));
    const items = indexes.map((index) => this.words[index] ?? 0);
    for (const [n, index] of indexes.entries()) {
      this.words[index] = -(items[n] as number);
      this.oracle?.goes(z, items[n] as number);
    }
    free(items);
    for (const [n, index] of indexes.entries()) if (!waits(items[n] as number)) this.words[index] = 0;
  }

  /** While `work` is under way, the zone's items may or may not be freed. */
  doubt(z: number, work: () => void): void {
    const places = this.words.subarray(this.at(z, 0), this.at(z, SLOTS));
    for (const [k, item] of places.entries()) places[k] = -Math.abs(item);
    work();
    for (const [k, item] of places.entries()) places[k] = Math.abs(item);
  }

  /** What was surely owned, and what may have been. */
  entries(z: number): { sure: number[]; unsure: number[] } {
    return split(this.words.subarray(this.at(z, 0), this.at(z, SLOTS)));
  }

  mailOf(z: number): { sure: number[]; unsure: number[] } {
    return split(this.words.subarray(this.mailAt(z, 0), this.mailAt(z, MAIL)));
  }
}

function split(words: Int32Array): { sure: number[]; unsure: number[] } {
  const sure: number[] = [];
  const unsure: number[] = [];
  for (const word of words) {
    if (word > 0) sure.push(word);
    else if (word < 0) unsure.push(-word);
  }
  return { sure, unsure };
}
