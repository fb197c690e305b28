/** A short storm; `npm run storm -- --minutes N` makes long ones. */
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildCrashTrees, type CrashTrees } from "../../tools/crash/trees.ts";
import { runStorm } from "../../tools/storm/storm.ts";

const NAME = `storm-test-${process.pid}`;
const SEED = Date.now() % 1_000_000;

let trees: CrashTrees;
beforeAll(() => {
  trees = buildCrashTrees(NAME);
});
afterAll(() => rmSync(new URL(`../../build/${NAME}`, import.meta.url), { recursive: true, force: true }));

describe("workers that are terminated at random and replaced", () => {
  test(`lose nothing, get nothing twice and block nobody (seed ${SEED})`, async () => {
    let calms = 0;
    let recoveries = 0;
    // A slow machine gets to its first deaths late.
    for (let round = 0; recoveries <= 2 || calms === 0; round++) {
      const seed = SEED + round;
      const tally = await runStorm({ dist: trees.dist, folder: dirname(trees.instrumented), seed, milliseconds: 8000 });
      expect(tally.problems, `seed ${seed}`).toEqual([]);
      expect(tally.operations).toBeGreaterThan(0);
      calms += tally.calms;
      recoveries += tally.recoveries;
    }
  });
});
