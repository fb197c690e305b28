/** The number of entries, which bounds a map, whatever comes between the steps of those who change it. */
import { afterEach, expect, test, vi } from "vitest";
import { type MapDefinition, type SharedMap, Uma, defineMap, openMap } from "../../../../src/index.ts";
import { anotherCopy } from "../../../fixtures/zones.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** A memory, and a map as two of its workers see it. */
async function two(definition: MapDefinition): Promise<{ uma: Uma; mine: SharedMap; theirs: SharedMap; leave: () => void }> {
  const uma = Uma.create({ bytes: 4 * 2 ** 20, workers: 4, patience: 0 });
  const other = (await anotherCopy()).Uma.attach(uma.ticket(), { patience: 0 });
  const mine = openMap(uma, definition);
  return { uma, mine, theirs: openMap(other, definition), leave: () => void [other.detach(), uma.detach()] };
}

/** Has `work` done right after the `nth` atomic operation of one kind. */
function after(kind: "add" | "sub" | "load", nth: number, work: () => void): { came: () => boolean } {
  const operation = Atomics[kind] as (cells: Int32Array, at: number, value: number) => number;
  let done = 0;
  vi.spyOn(Atomics, kind).mockImplementation(((cells: Int32Array, at: number, value: number) => {
    const result = operation(cells, at, value);
    if (++done === nth) work();
    return result;
  }) as never);
  return {
    came: () => {
      vi.restoreAllMocks();
      return done >= nth;
    },
  };
}

test.each(["add", "sub", "load"] as const)("is right after a sweep in the middle of another's entries, after any %s", async (kind) => {
  const { mine, theirs, leave } = await two(defineMap("m", { capacity: 4 }));
  let came = true;
  for (let nth = 1; came; nth++) {
    mine.set(1, 1);
    const between = after(kind, nth, () => void mine.sweep());
    theirs.set(2, 2);
    theirs.delete(1);
    theirs.set(3, 3);
    came = between.came();
    expect(mine.size).toBe(2);
    for (const key of [4, 5]) mine.set(key, key);
    expect(() => theirs.set(6, 6)).toThrow(expect.objectContaining({ code: "ERR_UMA_LIMIT" }) as Error);
    for (const key of [2, 3, 4, 5]) mine.delete(key);
  }
  leave();
});

test("is right when entries come and go in front of a sweep and behind it", async () => {
  const { uma, mine, theirs, leave } = await two(defineMap("m", { capacity: 16 }));
  for (let key = 0; key < 8; key++) mine.set(key, key);
  let came = true;
  for (let nth = 1; came; nth++) {
    const between = after("load", nth, () => {
      vi.restoreAllMocks();
      for (let key = 0; key < 8; key++) theirs.delete((nth % 2) * 8 + 7 - key);
      for (let key = 0; key < 8; key++) theirs.set(((nth + 1) % 2) * 8 + key, key);
    });
    mine.sweep();
    came = between.came();
    const entries = [...mine.entries()].length;
    expect(mine.size).toBe(entries);
    for (const [key] of mine.entries()) mine.delete(key);
    for (let key = 0; key < 8; key++) mine.set((nth % 2) * 8 + key, key);
    expect(mine.size).toBe(8);
    uma.smr.synchronize(1000);
  }
  leave();
});

test("loses what a writer that was killed had added to it, and a full map has room again", async () => {
  const definition = defineMap("m", { capacity: 4 });
  const { uma, mine, leave } = await two(definition);
  for (const key of [1, 2, 3]) mine.set(key, key);
  const [table] = Array.from(uma.open(definition.table).owned());
  const COUNT = 1;
  Atomics.add(uma.core.floor.cells.i32, ((table as number) >>> 2) + COUNT, 1);
  mine.set(4, 4);
  expect(mine.size).toBe(4);
  expect(mine.verify()).toEqual([]);
  leave();
});
