import { describe, expect, test } from "vitest";
import { drive } from "../fixtures/arena-driver.ts";
import { ARENA_FORMS } from "../fixtures/arena-forms.ts";
import { seedFor } from "../fixtures/seeds.ts";

describe.each(ARENA_FORMS)("an arena $name agrees with a plain set of intervals", ({ name, world: makeWorld }) => {
  test.each([1, 4])("through ten thousand random operations over five spans, with a quantum of %i", (quantum) => {
    const world = makeWorld();
    const seed = seedFor(`vmem model, ${name}, quantum ${quantum}`);
    const { arena } = drive(world.make({ quantum }), seed, 10_000);
    expect(arena.size("alloc")).toBe(0);
    expect(arena.stats().alloc).toBe(arena.stats().free);
    expect(world.problems()).toEqual([]);
    world.end();
  });
});
