/** Theory: undo by word. Old values are appended *before* the store that changes them; undone in reverse; the count is the commit word. */
import { JOURNAL, JOURNAL_COUNT, slotBase, type Memory } from "./layout.ts";

export interface Journal {
  put(slot: number, word: number, value: number): void;
  commit(slot: number): void;
  undo(slot: number): void;
}

export function createJournal({ i32 }: Memory): Journal {
  function put(slot: number, word: number, value: number): void {
    const base = slotBase(slot);
    const count = i32[base + JOURNAL_COUNT]!;
    const entry = base + JOURNAL + 2 * count;
    i32[entry] = word;
    i32[entry + 1] = i32[word]!;
    i32[base + JOURNAL_COUNT] = count + 1;
    i32[word] = value;
  }

  function commit(slot: number): void {
    i32[slotBase(slot) + JOURNAL_COUNT] = 0;
  }

  function undo(slot: number): void {
    const base = slotBase(slot);
    while (i32[base + JOURNAL_COUNT]! > 0) {
      const entry = base + JOURNAL + 2 * (i32[base + JOURNAL_COUNT]! - 1);
      i32[i32[entry]!] = i32[entry + 1]!;
      i32[base + JOURNAL_COUNT]!--;
    }
  }

  return { put, commit, undo };
}
