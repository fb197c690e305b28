import { describe, expect, test } from "vitest";
import { JOURNAL_ENTRIES, SLOT_JOURNAL_COUNT } from "../../../../src/backend/memory/layout.ts";
import { randomFrom, seedFor } from "../../../fixtures/seeds.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { layGround } from "../../../fixtures/floors.ts";

function makeJournal() {
  const { tenant, geometry } = layGround();
  const floor = tenant();
  return { ...floor, i32: floor.cells.i32, u8: floor.cells.u8, free: geometry.heapStart >>> 2 };
}

describe("a transaction", () => {
  test("that is committed stays, and leaves nothing to undo", () => {
    const { journal, i32, u8, free, slotWord } = makeJournal();
    journal.set(free, 7);
    journal.add(free, 3);
    journal.setByte((free + 1) << 2, 200);
    expect(i32[slotWord + SLOT_JOURNAL_COUNT]).toBe(3);
    journal.commit();
    expect(i32[slotWord + SLOT_JOURNAL_COUNT]).toBe(0);
    journal.undo(slotWord);
    expect([i32[free], u8[(free + 1) << 2]]).toEqual([10, 200]);
  });

  test("that is undone leaves every word and byte as it was, whatever was stored over it meanwhile", () => {
    const { journal, i32, u8, free, slotWord } = makeJournal();
    i32[free] = -5;
    u8[(free + 1) << 2] = 0x80;
    journal.set(free, 1);
    journal.set(free, 2);
    journal.add(free, 40);
    journal.setByte((free + 1) << 2, 1);
    journal.setByte((free + 1) << 2, 255);
    journal.undo(slotWord);
    expect([i32[free], u8[(free + 1) << 2]]).toEqual([-5, 0x80]);
    expect(i32[slotWord + SLOT_JOURNAL_COUNT]).toBe(0);
  });

  test("leaves the neighbours of a byte alone, even those that change meanwhile", () => {
    const { journal, u8, free, slotWord } = makeJournal();
    const at = free << 2;
    journal.setByte(at + 1, 9);
    u8[at] = 1;
    u8[at + 2] = 2;
    journal.undo(slotWord);
    expect([...u8.slice(at, at + 3)]).toEqual([1, 0, 2]);
  });

  test("undone twice gives the same as undone once", () => {
    const { journal, i32, free, slotWord } = makeJournal();
    journal.set(free, 1);
    journal.undo(slotWord);
    i32[free] = 33;
    journal.undo(slotWord);
    expect(i32[free]).toBe(33);
  });

  test("whose words were noted beforehand is open from the store of its count on, and undone whole from then", () => {
    const { journal, i32, free, slotWord } = makeJournal();
    [i32[free], i32[free + 1]] = [5, 6];
    journal.note(0, free);
    journal.note(1, free + 1);
    journal.undo(slotWord);
    expect([i32[free], i32[free + 1]]).toEqual([5, 6]);
    journal.note(0, free);
    journal.note(1, free + 1);
    i32[slotWord + SLOT_JOURNAL_COUNT] = 2;
    i32[free] = 50;
    journal.undo(slotWord);
    expect([i32[free], i32[free + 1], i32[slotWord + SLOT_JOURNAL_COUNT]]).toEqual([5, 6, 0]);
  });

  test("can be undone by another worker, who knows only the slot", () => {
    const { tenant, cells, geometry } = layGround();
    const [dead, other] = [tenant(), tenant()];
    const word = geometry.heapStart >>> 2;
    dead.journal.set(word, 99);
    other.journal.undo(dead.slotWord);
    expect(cells.i32[word]).toBe(0);
    expect(cells.i32[dead.slotWord + SLOT_JOURNAL_COUNT]).toBe(0);
  });

  test("undone by a recoverer that dies at any entry is undone wholly by the next one", () => {
    const { journal, i32, free, slotWord } = makeJournal();
    for (let n = 0; n < 20; n++) journal.set(free + (n % 3), n + 1);
    const [count, before] = [i32[slotWord + SLOT_JOURNAL_COUNT] as number, i32.slice()];
    journal.undo(slotWord);
    const whole = i32.slice(free, free + 3);
    for (let died = 0; died <= count; died++) {
      i32.set(before);
      // The first recoverer stores back the last `died` entries and is gone, the count untouched.
      const entry = (n: number): [number, number] => [
        before[slotWord + 128 + 2 * n] as number,
        before[slotWord + 128 + 2 * n + 1] as number,
      ];
      for (let n = count - 1; n >= count - died; n--) i32[entry(n)[0]] = entry(n)[1];
      journal.undo(slotWord);
      expect([...i32.slice(free, free + 3)]).toEqual([...whole]);
    }
  });
});

describe("the journal's room", () => {
  test(`is ${JOURNAL_ENTRIES} changes; one more throws, and all of them can still be undone`, () => {
    const { journal, i32, free, slotWord } = makeJournal();
    expect(journal.room()).toBe(JOURNAL_ENTRIES);
    for (let n = 0; n < JOURNAL_ENTRIES; n++) journal.set(free + n, n + 1);
    expect(journal.room()).toBe(0);
    expect(codeOf(() => journal.set(free, 1234))).toBe("ERR_UMA_INTERNAL");
    expect(codeOf(() => journal.add(free, 1))).toBe("ERR_UMA_INTERNAL");
    expect(codeOf(() => journal.setByte(free << 2, 1))).toBe("ERR_UMA_INTERNAL");
    expect(i32[free]).toBe(1);
    journal.undo(slotWord);
    for (let n = 0; n < JOURNAL_ENTRIES; n++) expect(i32[free + n]).toBe(0);
    expect(journal.room()).toBe(JOURNAL_ENTRIES);
  });

  test("an overflow under a lock undoes the transaction and lets the lock go", () => {
    const { journal, locks, i32, free } = makeJournal();
    const lock = free + 100;
    const tooMuch = (): void => {
      locks.acquire(lock, 0);
      try {
        for (let n = 0; ; n++) journal.set(free + n, n + 1);
      } finally {
        locks.release();
      }
    };
    expect(codeOf(tooMuch)).toBe("ERR_UMA_INTERNAL");
    expect(i32[lock]).toBe(0);
    for (let n = 0; n < JOURNAL_ENTRIES; n++) expect(i32[free + n]).toBe(0);
  });
});

test("random transactions, cut at every length, always give back the memory before them", () => {
  const random = randomFrom(seedFor("journal"));
  const { journal, i32, u8, free, slotWord } = makeJournal();
  for (let round = 0; round < 300; round++) {
    const before = i32.slice(free, free + 16);
    for (let n = random.below(JOURNAL_ENTRIES); n >= 0; n--) {
      const word = free + random.below(16);
      const kind = random.below(3);
      if (kind === 0) journal.set(word, random.below(2 ** 32) | 0);
      else if (kind === 1) journal.add(word, random.below(1000) - 500);
      else journal.setByte((word << 2) + random.below(4), random.below(256));
    }
    if (random.below(2) === 0) {
      journal.undo(slotWord);
      expect([...i32.slice(free, free + 16)]).toEqual([...before]);
    } else {
      journal.commit();
    }
  }
  expect(u8.length).toBe(i32.length * 4);
});
