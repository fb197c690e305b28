import { describe, expect, test } from "vitest";
import {
  INTENT_EXTENT,
  INTENT_FRAMES,
  INTENT_HEADER,
  INTENT_KIND,
  INTENT_NONE,
  INTENT_PAGE,
  INTENT_SLAB,
  INTENT_WORDS,
  SLOT_INTENTS,
} from "../../../../src/backend/memory/layout.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { layGround } from "../../../fixtures/floors.ts";

function makeIntents() {
  const floor = layGround().tenant();
  return { i32: floor.cells.i32, intents: floor.intents, slotWord: floor.slotWord };
}

describe("intent frames", () => {
  test("stack up, each empty and of its kind, and are closed from the top", () => {
    const { i32, intents, slotWord } = makeIntents();
    const outer = intents.push(INTENT_SLAB);
    const inner = intents.push(INTENT_PAGE);
    expect([outer, inner]).toEqual([slotWord + SLOT_INTENTS, slotWord + SLOT_INTENTS + INTENT_WORDS]);
    expect([i32[outer + INTENT_KIND], i32[inner + INTENT_KIND]]).toEqual([INTENT_SLAB, INTENT_PAGE]);
    expect(intents.depth()).toBe(2);
    intents.pop(inner);
    intents.pop(outer);
    expect(intents.depth()).toBe(0);
  });

  test("are cleared when they are opened, whatever stood there", () => {
    const { i32, intents, slotWord } = makeIntents();
    i32.fill(9, slotWord + SLOT_INTENTS, slotWord + SLOT_INTENTS + INTENT_WORDS);
    const frame = intents.push(INTENT_PAGE);
    expect([...i32.slice(frame + 1, frame + INTENT_WORDS)]).toEqual(Array.from({ length: INTENT_WORDS - 1 }, () => 0));
  });

  test(`are ${INTENT_FRAMES} at the most: one more is told as a recursion of hooks, and the others stay`, () => {
    const { intents } = makeIntents();
    const frames = Array.from({ length: INTENT_FRAMES }, () => intents.push(INTENT_SLAB));
    expect(codeOf(() => intents.push(INTENT_SLAB))).toBe("ERR_UMA_HOOK_RECURSION");
    expect(intents.depth()).toBe(INTENT_FRAMES);
    for (const frame of frames.toReversed()) intents.pop(frame);
    expect(intents.depth()).toBe(0);
  });

  test("are not closed with something still in them", () => {
    const { i32, intents } = makeIntents();
    for (const word of [INTENT_EXTENT, INTENT_HEADER]) {
      const frame = intents.push(INTENT_SLAB);
      i32[frame + word] = 4096;
      expect(codeOf(() => intents.pop(frame))).toBe("ERR_UMA_INTERNAL");
    }
    expect(intents.depth()).toBe(2);
    expect(intents.abandoned()).toBe(true);
  });
});

describe("a frame that had to be left", () => {
  test("is abandoned, unless a hook is running that was called between two locks: then it is somebody's below", () => {
    const { i32, intents } = makeIntents();
    expect(intents.abandoned()).toBe(false);
    const frame = intents.push(INTENT_PAGE);
    i32[frame + INTENT_EXTENT] = 4096;
    expect(intents.abandoned()).toBe(true);
    intents.hooks++;
    expect(intents.abandoned()).toBe(false);
    intents.hooks--;
    const next = intents.push(INTENT_PAGE);
    intents.pop(next);
    expect([intents.abandoned(), intents.depth()]).toEqual([true, 1]);
  });

  test("above another does not keep that one from being closed, and stays itself", () => {
    const { i32, intents } = makeIntents();
    const outer = intents.push(INTENT_SLAB);
    const inner = intents.push(INTENT_PAGE);
    i32[inner + INTENT_EXTENT] = 4096;
    intents.pop(outer);
    expect(i32[outer + INTENT_KIND]).toBe(INTENT_NONE);
    expect([intents.depth(), intents.abandoned(), i32[inner + INTENT_EXTENT]]).toEqual([2, true, 4096]);
  });

  test("takes the closed ones below it along when it is closed at last", () => {
    const { i32, intents } = makeIntents();
    const outer = intents.push(INTENT_SLAB);
    const inner = intents.push(INTENT_PAGE);
    intents.pop(outer);
    expect(intents.depth()).toBe(2);
    i32[inner + INTENT_EXTENT] = 0;
    intents.pop(inner);
    expect(intents.depth()).toBe(0);
    expect(intents.abandoned()).toBe(false);
  });
});
