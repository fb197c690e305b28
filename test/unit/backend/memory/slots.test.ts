import { describe, expect, test, vi } from "vitest";
import {
  GENERATION_MASK,
  SLOT_ALONE,
  SLOT_HOST_LOCK,
  SLOT_INTENT_DEPTH,
  SLOT_ISSUER,
  SLOT_JOURNAL_COUNT,
  SLOT_OPEN,
  SLOT_PENDING_LOCK,
  SLOT_REAPER,
  SLOT_STATE,
  STATE_DEAD,
  STATE_FREE,
  STATE_LIVE,
  STATE_RESERVED,
} from "../../../../src/backend/memory/layout.ts";
import { createSlots } from "../../../../src/backend/memory/slots.ts";
import { generationOf, nameOf, slotOf, stateWord } from "../../../../src/backend/memory/names.ts";
import { layGround } from "../../../fixtures/floors.ts";

function makeSlots(workers = 4) {
  const { cells, geometry } = layGround({ workers });
  return { i32: cells.i32, slots: createSlots(cells, geometry.slots, workers) };
}

describe("the life of a slot", () => {
  test("goes from free over reserved and live to dead, and back to free at the next generation", () => {
    const { slots } = makeSlots();
    const name = slots.reserve(77);
    expect([slotOf(name), generationOf(name)]).toEqual([1, 0]);
    expect(slots.state(1)).toBe(STATE_RESERVED);
    expect(slots.isLive(name)).toBe(false);
    expect(slots.adopt(name)).toBe(true);
    expect(slots.isLive(name)).toBe(true);
    expect(slots.state(1)).toBe(STATE_LIVE);
    expect(slots.certify(name)).toBe(true);
    expect([slots.isLive(name), slots.isDead(name), slots.state(1)]).toEqual([false, true, STATE_DEAD]);
    expect(slots.claim(name, nameOf(2, 0))).toBe(true);
    slots.retire(name);
    expect(slots.state(1)).toBe(STATE_FREE);
    expect(slots.tenant(1)).toBe(nameOf(1, 1));
  });

  test("can be recovered when whoever reserves it dies as soon as it has, although its last recoverer lives", () => {
    const { i32, slots } = makeSlots();
    const recoverer = slots.reserve(0);
    slots.adopt(recoverer);
    const last = slots.reserve(recoverer);
    slots.certify(last);
    expect(slots.claim(last, recoverer)).toBe(true);
    slots.retire(last);
    const { compareExchange } = Atomics;
    const reserved = stateWord(1, STATE_RESERVED);
    const dies = vi.spyOn(Atomics, "compareExchange").mockImplementation(((view: Int32Array, at: number, from: number, to: number) => {
      const found = compareExchange(view, at, from, to);
      if (view === i32 && to === reserved) throw new Error("here it dies");
      return found;
    }) as never);
    expect(() => slots.reserve(nameOf(4, 0))).toThrow("here it dies");
    dies.mockRestore();
    const child = slots.tenant(slotOf(last));
    expect(slots.certify(child)).toBe(true);
    expect(slots.claim(child, nameOf(3, 0))).toBe(true);
  });

  test("records who issued the ticket", () => {
    const { i32, slots } = makeSlots();
    const name = slots.reserve(77);
    expect(i32[slots.wordOf(slotOf(name)) + SLOT_ISSUER]).toBe(77);
  });

  test("knows the tenant that somebody made the ticket for, and not who comes after it", () => {
    const { slots } = makeSlots();
    const name = slots.reserve(77);
    expect([slots.childAt(slotOf(name), 77), slots.childAt(slotOf(name), 78)]).toEqual([name, 0]);
    slots.adopt(name);
    slots.retire(name);
    // The record still names the issuer; the slot is nobody's.
    expect(slots.childAt(slotOf(name), 77)).toBe(0);
    const next = slots.reserve(78);
    expect([slots.childAt(slotOf(next), 77), slots.childAt(slotOf(next), 78)]).toEqual([0, next]);
  });

  test("slots are handed out lowest first, until all are taken: then 0", () => {
    const { slots } = makeSlots(3);
    expect([1, 2, 3].map(() => slotOf(slots.reserve(0)))).toEqual([1, 2, 3]);
    expect(slots.reserve(0)).toBe(0);
  });

  test("a new reservation finds a record without anything of the tenant before", () => {
    const { i32, slots } = makeSlots(1);
    const at = slots.wordOf(1);
    for (const word of [SLOT_REAPER, SLOT_PENDING_LOCK, SLOT_JOURNAL_COUNT, SLOT_INTENT_DEPTH, SLOT_OPEN, SLOT_OPEN + 31])
      i32[at + word] = 5;
    slots.reserve(0);
    for (const word of [SLOT_REAPER, SLOT_PENDING_LOCK, SLOT_JOURNAL_COUNT, SLOT_INTENT_DEPTH, SLOT_OPEN, SLOT_OPEN + 31])
      expect(i32[at + word]).toBe(0);
  });
});

describe("a tenant that certifies itself", () => {
  test("is dead, and has not ended before somebody else says so", () => {
    const { slots } = makeSlots();
    const name = slots.reserve(0);
    slots.adopt(name);
    slots.leaveBehind(name);
    expect([slots.isDead(name), slots.standsAlone(name), slots.hasEnded(name)]).toEqual([true, true, false]);
    expect(slots.certify(name)).toBe(true);
    expect([slots.isDead(name), slots.standsAlone(name), slots.hasEnded(name)]).toEqual([true, false, true]);
    expect(slots.certify(name)).toBe(false);
  });

  test("and is killed while it does has ended when that is said", () => {
    const { i32, slots } = makeSlots();
    const name = slots.reserve(0);
    slots.adopt(name);
    i32[slots.wordOf(slotOf(name)) + SLOT_ALONE] = name;
    expect([slots.isLive(name), slots.hasEnded(name)]).toEqual([true, false]);
    expect(slots.certify(name)).toBe(true);
    expect(slots.hasEnded(name)).toBe(true);
  });

  test("or is certified by a lock has not ended, and has when more is known; that it had ended before stands", () => {
    const { slots } = makeSlots();
    const name = slots.reserve(0);
    slots.certifyByLock(name);
    expect(slots.takesPart(name)).toBe(true);
    slots.adopt(name);
    slots.certifyByLock(name);
    expect([slots.isDead(name), slots.wasFoundByLock(name), slots.standsAlone(name), slots.hasEnded(name)]).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(slots.certify(name)).toBe(true);
    slots.certifyByLock(name);
    expect([slots.wasFoundByLock(name), slots.hasEnded(name)]).toEqual([false, true]);
  });

  test("has ended if that is said while a lock tells of it", () => {
    const { i32, slots } = makeSlots(1);
    const name = slots.reserve(0);
    slots.adopt(name);
    const { compareExchange } = Atomics;
    const alone = slots.wordOf(1) + SLOT_ALONE;
    let said = false;
    const meets = vi.spyOn(Atomics, "compareExchange").mockImplementation(((view: Int32Array, at: number, from: number, to: number) => {
      if (view === i32 && at === alone && !said) {
        said = true;
        slots.certify(name);
      }
      return compareExchange(view, at, from, to);
    }) as never);
    slots.certifyByLock(name);
    meets.mockRestore();
    expect(slots.hasEnded(name)).toBe(true);
  });

  test("has not ended either for whoever looks while its slot gets its next tenant", () => {
    const { i32, slots } = makeSlots(1);
    const name = slots.reserve(0);
    slots.adopt(name);
    slots.leaveBehind(name);
    const { load } = Atomics;
    const alone = slots.wordOf(1) + SLOT_ALONE;
    const looks = vi.spyOn(Atomics, "load").mockImplementation(((view: Int32Array, at: number) => {
      if (view === i32 && at === alone && slots.tenant(1) === name) {
        slots.retire(name);
        slots.reserve(0);
      }
      return load(view, at);
    }) as never);
    expect(slots.hasEnded(name)).toBe(false);
    looks.mockRestore();
    expect(generationOf(slots.tenant(1))).toBe(1);
  });
});

describe("late calls meet another generation and do nothing", () => {
  test("a ticket is good for one attach", () => {
    const { slots } = makeSlots();
    const name = slots.reserve(0);
    expect(slots.adopt(name)).toBe(true);
    expect(slots.adopt(name)).toBe(false);
  });

  test("a ticket that was withdrawn says of no lock that it is held, whenever it is withdrawn: the next tenant's word stands", () => {
    for (const when of ["before", "meanwhile"] as const) {
      const { i32, slots } = makeSlots(1);
      const at = slots.wordOf(1) + SLOT_HOST_LOCK;
      const first = slots.reserve(0);
      const next = (): void => {
        slots.certify(first);
        slots.retire(first);
        const second = slots.reserve(0);
        expect([slots.announceLock(second), slots.adopt(second)]).toEqual([true, true]);
      };
      if (when === "before") next();
      const { compareExchange } = Atomics;
      let moved = when === "before";
      const late = vi.spyOn(Atomics, "compareExchange").mockImplementation(((view: Int32Array, word: number, from: number, to: number) => {
        if (word === at && !moved) {
          moved = true;
          next();
        }
        return compareExchange(view, word, from, to);
      }) as never);
      expect(slots.announceLock(first)).toBe(false);
      late.mockRestore();
      expect(i32[at]).toBe(slots.tenant(1));
    }
  });

  test("a ticket that was withdrawn cannot be used any more", () => {
    const { slots } = makeSlots();
    const name = slots.reserve(0);
    expect(slots.certify(name)).toBe(true);
    expect(slots.adopt(name)).toBe(false);
  });

  test("a certificate counts once, and never for the next tenant", () => {
    const { slots } = makeSlots(1);
    const first = slots.reserve(0);
    slots.adopt(first);
    expect(slots.certify(first)).toBe(true);
    expect(slots.certify(first)).toBe(false);
    slots.claim(first, nameOf(9, 9));
    slots.retire(first);
    const second = slots.reserve(0);
    slots.adopt(second);
    expect(slots.certify(first)).toBe(false);
    expect(slots.isLive(second)).toBe(true);
  });

  test("a late retirement does not free the slot of the next tenant", () => {
    const { slots } = makeSlots(1);
    const first = slots.reserve(0);
    slots.adopt(first);
    slots.certify(first);
    slots.retire(first);
    const second = slots.reserve(0);
    slots.adopt(second);
    slots.retire(first);
    expect(slots.isLive(second)).toBe(true);
  });

  test("the generation comes round to 0 after its last value", () => {
    const { i32, slots } = makeSlots(1);
    i32[slots.wordOf(1) + SLOT_STATE] = stateWord(GENERATION_MASK, STATE_FREE);
    const last = slots.reserve(0);
    expect(generationOf(last)).toBe(GENERATION_MASK);
    slots.adopt(last);
    slots.certify(last);
    slots.retire(last);
    expect(slots.tenant(1)).toBe(nameOf(1, 0));
  });
});

describe("claiming a recovery", () => {
  test("is refused for whoever is not dead", () => {
    const { slots } = makeSlots();
    const name = slots.reserve(0);
    expect(slots.claim(name, nameOf(2, 0))).toBe(false);
    slots.adopt(name);
    expect(slots.claim(name, nameOf(2, 0))).toBe(false);
  });

  test("is one live worker's at a time; a dead recoverer is replaced", () => {
    const { slots } = makeSlots();
    const [victim, first, second] = [slots.reserve(0), slots.reserve(0), slots.reserve(0)] as [number, number, number];
    for (const name of [victim, first, second]) slots.adopt(name);
    slots.certify(victim);
    expect(slots.claim(victim, first)).toBe(true);
    expect(slots.claim(victim, first)).toBe(true);
    expect(slots.claim(victim, second)).toBe(false);
    slots.certify(first);
    expect(slots.claim(victim, second)).toBe(true);
    // Given up by whoever has it, and nobody else.
    slots.unclaim(victim, first);
    expect(slots.reaper(victim)).toBe(second);
    slots.unclaim(victim, second);
    expect(slots.reaper(victim)).toBe(0);
    expect(slots.claim(victim, nameOf(4, 0))).toBe(true);
  });

  test("is over once the slot is free again", () => {
    const { slots } = makeSlots();
    const victim = slots.reserve(0);
    slots.adopt(victim);
    slots.certify(victim);
    slots.claim(victim, nameOf(2, 0));
    slots.retire(victim);
    expect(slots.claim(victim, nameOf(3, 0))).toBe(false);
  });
});
