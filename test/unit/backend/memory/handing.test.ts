/** What one worker gives another is announced first, and nobody goes through what the other has while an announcement stands. */
import { expect, test } from "vitest";
import { SLOT_HANDING, SLOT_LEAVING } from "../../../../src/backend/memory/layout.ts";
import { layGround } from "../../../fixtures/floors.ts";

function giverAndTaker() {
  const ground = layGround();
  return { giver: ground.tenant(), taker: ground.tenant(), third: ground.tenant(), ...ground };
}

test("an announcement stands until it is withdrawn, and everybody sees for whom it is", () => {
  const { giver, taker, third, cells } = giverAndTaker();
  expect(giver.handing.begin(taker.me)).toBe(true);
  expect(cells.i32[giver.slotWord + SLOT_HANDING]).toBe(taker.me);
  expect([third.handing.isUnderWay(taker.me), third.handing.isUnderWay(giver.me)]).toEqual([true, false]);
  giver.handing.end();
  expect(third.handing.isUnderWay(taker.me)).toBe(false);
});

test("nothing is announced for the dead, for a slot that nobody has, and for who says that it leaves", () => {
  const { giver, taker, third, cells } = giverAndTaker();
  taker.handing.setLeaving(true);
  expect(giver.handing.begin(taker.me)).toBe(false);
  taker.handing.setLeaving(false);
  expect(giver.handing.begin(taker.me)).toBe(true);
  giver.handing.end();
  taker.slots.certify(taker.me);
  third.slots.certify(third.me);
  third.slots.retire(third.me);
  for (const gone of [taker.me, third.me]) expect(giver.handing.begin(gone)).toBe(false);
  expect(cells.i32[giver.slotWord + SLOT_HANDING]).toBe(0);
});

test("an announcement for somebody who dies stands, and its giver's own death ends it", () => {
  const { giver, taker, third } = giverAndTaker();
  giver.handing.begin(taker.me);
  taker.slots.certify(taker.me);
  expect(third.handing.isUnderWay(taker.me)).toBe(true);
  giver.slots.certify(giver.me);
  expect(third.handing.isUnderWay(taker.me)).toBe(false);
});

test("the next tenant of a slot neither leaves nor gives", () => {
  const { giver, taker, cells, tenant } = giverAndTaker();
  taker.handing.begin(giver.me);
  taker.handing.setLeaving(true);
  taker.slots.retire(taker.me);
  const next = tenant();
  expect(next.slot).toBe(taker.slot);
  expect([cells.i32[next.slotWord + SLOT_HANDING], cells.i32[next.slotWord + SLOT_LEAVING]]).toEqual([0, 0]);
});
