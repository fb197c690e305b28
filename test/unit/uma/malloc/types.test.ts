/** Types of malloc: records that dead workers left. */
import { expect, test } from "vitest";
import { MARK_ORPHAN } from "../../../../src/backend/memory/layout.ts";
import { defineMallocType, openTypes } from "../../../../src/uma/malloc/types.ts";
import type { Zone } from "../../../../src/index.ts";
import { expectSound, makeUma } from "../../../fixtures/zones.ts";

test("a record that was never linked, its maker being dead, is freed by the next who opens the types", () => {
  const uma = makeUma();
  openTypes(uma).counters(defineMallocType("linked", "stays"));
  const records = uma.core.open.find((zone) => zone?.name === "malloc types") as Zone;
  const { slabs, floor } = uma.core;
  const [linked] = Array.from(records.owned()) as number[];
  const unlinked = records.alloc();
  for (const record of [linked as number, unlinked]) floor.cells.u8[slabs.markOf(record, records.shift)] = MARK_ORPHAN;
  // As it was just before the link: its maker had looked for others of its name, and filled it in.
  floor.cells.i32[unlinked >>> 2] = linked as number;
  floor.cells.i32.fill(1, (unlinked >>> 2) + 1, (unlinked >>> 2) + 4);
  const types = openTypes(uma);
  expect(records.stats().used).toBe(1);
  expect(records.ownerOf(linked as number)).toBe(MARK_ORPHAN);
  expect(types.stats().map(({ name, description }) => [name, description])).toEqual([["linked", "stays"]]);
  expectSound(uma);
  uma.detach();
});
