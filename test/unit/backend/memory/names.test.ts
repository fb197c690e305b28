import { expect, test } from "vitest";
import { GENERATION_MASK, LOCK_WAITERS, MAX_WORKERS, STATE_DEAD, STATE_FREE, STATE_LIVE } from "../../../../src/backend/memory/layout.ts";
import { generationOf, nameOf, slotOf, stateGeneration, stateOf, stateWord } from "../../../../src/backend/memory/names.ts";

const GENERATIONS = [0, 1, 2, 1000, GENERATION_MASK];

test("a name gives back the slot and the generation it was made from, for the first and last of both", () => {
  for (const slot of [1, 2, 63, MAX_WORKERS]) {
    for (const generation of GENERATIONS) {
      const name = nameOf(slot, generation);
      expect([slotOf(name), generationOf(name)]).toEqual([slot, generation]);
    }
  }
});

test("a name leaves the lock's waiters bit free, and is read past it", () => {
  const name = nameOf(MAX_WORKERS, GENERATION_MASK);
  expect(name & LOCK_WAITERS).toBe(0);
  expect(name).toBeGreaterThan(0);
  expect(slotOf(name | LOCK_WAITERS)).toBe(MAX_WORKERS);
  expect(generationOf(name | LOCK_WAITERS)).toBe(GENERATION_MASK);
});

test("names of one slot at different generations differ, and none is 0", () => {
  const names = GENERATIONS.map((generation) => nameOf(7, generation));
  expect(new Set(names).size).toBe(names.length);
  expect(names).not.toContain(0);
});

test("a state word holds state and generation", () => {
  for (const state of [STATE_FREE, STATE_LIVE, STATE_DEAD]) {
    for (const generation of GENERATIONS) {
      const word = stateWord(generation, state);
      expect([stateOf(word), stateGeneration(word)]).toEqual([state, generation]);
    }
  }
});
