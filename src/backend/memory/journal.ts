/**
 * The undo journal: what makes a change of several shared words all or nothing, whenever its worker dies.
 *
 * Each worker slot has one journal. Before a word of a transaction is stored, its place and old value are appended and the count
 * is raised; then the word is stored. The count is put back to 0 when all is done, **before** the lock is let go: that store is
 * the commit. A worker that dies in between leaves a count above 0; whoever recovers it stores the old values back, last first,
 * and only then lets the dead worker's lock go. Undoing twice gives the same memory, so a recoverer may die, too.
 *
 * A transaction whose words are known beforehand may note all of them first and raise the count once, before its first store.
 *
 * Entries: {word index, old word}, or {~byte address, old byte} for a mark (its neighbours in the word belong to others).
 * The journal is written by plain stores: only its own worker, or the recoverer of that worker, ever looks at it.
 * A transaction holds at most JOURNAL_ENTRIES changes; longer work commits in pieces, each of which leaves all invariants true.
 */
import type { Cells } from "./cells.ts";
import { UmaError } from "./errors.ts";
import * as layout from "./layout.ts";

const { JOURNAL_ENTRIES, SLOT_JOURNAL, SLOT_JOURNAL_COUNT } = layout;

export interface Journal {
  /** Stores `value` in word `w` as part of the transaction. */
  readonly set: (w: number, value: number) => void;
  /** Stores the number `value` in words `w` and `w + 1` (`w` even) as part of the transaction: two entries. */
  readonly setNumber: (w: number, value: number) => void;
  /** Adds `delta` to word `w` as part of the transaction. */
  readonly add: (w: number, delta: number) => void;
  /** Stores `value` in byte `at` as part of the transaction. */
  readonly setByte: (at: number, value: number) => void;
  /**
   * The first half of several changes at once: notes the words and puts the entries in force by one store; then they are stored
   * plainly. Costs half of as many `set`s, which each wait for the count of the one before.
   */
  readonly note2: (w0: number, w1: number) => void;
  readonly note3: (w0: number, w1: number, w2: number) => void;
  readonly note4: (w0: number, w1: number, w2: number, w3: number) => void;
  readonly note5: (w0: number, w1: number, w2: number, w3: number, w4: number) => void;
  /**
   * Notes word `w` and its old value as entry `n` of a transaction that is not open yet. The caller opens it with the number of its
   * entries in JOURNAL_COUNT once all are noted, and stores their words after that.
   */
  readonly note: (n: number, w: number) => void;
  /** Makes the transaction's changes final. */
  readonly commit: () => void;
  /** Entries that the open transaction can still take. */
  readonly room: () => number;
  /** Undoes the open transaction of the slot at word `slotWord`, if there is one; repeatable. */
  readonly undo: (slotWord: number) => void;
}

/** The journal of the slot whose record begins at word `slotWord`. */
export function createJournal(cells: Pick<Cells, "i32" | "u8" | "f64">, slotWord: number): Journal {
  const { i32, u8, f64 } = cells;
  const COUNT = slotWord + SLOT_JOURNAL_COUNT;
  const ENTRIES = slotWord + SLOT_JOURNAL;

  function append(where: number, old: number): void {
    const n = i32[COUNT];
    if (n >= JOURNAL_ENTRIES) throw tooLong(n);
    i32[ENTRIES + 2 * n] = where;
    i32[ENTRIES + 2 * n + 1] = old;
    i32[COUNT] = n + 1;
  }

  function set(w: number, value: number): void {
    append(w, i32[w]);
    i32[w] = value;
  }

  function tooLong(n: number): UmaError {
    return new UmaError("ERR_UMA_INTERNAL", `a transaction of more than ${JOURNAL_ENTRIES} changes; it was undone`, { value: n });
  }

  function setNumber(w: number, value: number): void {
    note2(w, w + 1);
    f64[w >> 1] = value;
  }

  function entry(at: number, w: number): void {
    i32[at] = w;
    i32[at + 1] = i32[w];
  }

  function note2(w0: number, w1: number): void {
    const n = i32[COUNT];
    if (n > JOURNAL_ENTRIES - 2) throw tooLong(n);
    entry(ENTRIES + 2 * n, w0);
    entry(ENTRIES + 2 * n + 2, w1);
    i32[COUNT] = n + 2;
  }

  function note3(w0: number, w1: number, w2: number): void {
    const n = i32[COUNT];
    if (n > JOURNAL_ENTRIES - 3) throw tooLong(n);
    entry(ENTRIES + 2 * n, w0);
    entry(ENTRIES + 2 * n + 2, w1);
    entry(ENTRIES + 2 * n + 4, w2);
    i32[COUNT] = n + 3;
  }

  function note4(w0: number, w1: number, w2: number, w3: number): void {
    const n = i32[COUNT];
    if (n > JOURNAL_ENTRIES - 4) throw tooLong(n);
    entry(ENTRIES + 2 * n, w0);
    entry(ENTRIES + 2 * n + 2, w1);
    entry(ENTRIES + 2 * n + 4, w2);
    entry(ENTRIES + 2 * n + 6, w3);
    i32[COUNT] = n + 4;
  }

  function note5(w0: number, w1: number, w2: number, w3: number, w4: number): void {
    const n = i32[COUNT];
    if (n > JOURNAL_ENTRIES - 5) throw tooLong(n);
    entry(ENTRIES + 2 * n, w0);
    entry(ENTRIES + 2 * n + 2, w1);
    entry(ENTRIES + 2 * n + 4, w2);
    entry(ENTRIES + 2 * n + 6, w3);
    entry(ENTRIES + 2 * n + 8, w4);
    i32[COUNT] = n + 5;
  }

  function add(w: number, delta: number): void {
    const old = i32[w];
    append(w, old);
    i32[w] = old + delta;
  }

  function setByte(at: number, value: number): void {
    append(~at, u8[at]);
    u8[at] = value;
  }

  function note(n: number, w: number): void {
    i32[ENTRIES + 2 * n] = w;
    i32[ENTRIES + 2 * n + 1] = i32[w];
  }

  function commit(): void {
    i32[COUNT] = 0;
  }

  function room(): number {
    return JOURNAL_ENTRIES - i32[COUNT];
  }

  function undo(ofSlot: number): void {
    for (let n = i32[ofSlot + SLOT_JOURNAL_COUNT] - 1; n >= 0; n--) {
      const where = i32[ofSlot + SLOT_JOURNAL + 2 * n];
      const old = i32[ofSlot + SLOT_JOURNAL + 2 * n + 1];
      if (where < 0) u8[~where] = old;
      else i32[where] = old;
    }
    // Others look at a dead worker's count, to see whether this has been done.
    Atomics.store(i32, ofSlot + SLOT_JOURNAL_COUNT, 0);
  }

  return { set, setNumber, add, setByte, note, note2, note3, note4, note5, commit, room, undo };
}
