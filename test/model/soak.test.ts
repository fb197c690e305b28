/** A short run of what `npm run soak:model` does at length. */
import { expect, test } from "vitest";
import { anotherCopy } from "../fixtures/zones.ts";
import { seedFor } from "../fixtures/seeds.ts";
import { type Copy, World } from "./soak.ts";

test("three workers at zones of all kinds agree with a plain model, one step after the other", async () => {
  const copies = [await anotherCopy(), await anotherCopy(), await anotherCopy()] as unknown as Copy[];
  const seed = seedFor("model of zones, three workers");
  for (let world = 0; world < 3; world++) {
    const report = new World(copies, seed + world).run(30_000);
    expect(report.operations === 0 || report.allocations > 1000).toBe(true);
  }
});
