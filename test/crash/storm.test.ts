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
    const tally = await runStorm({ dist: trees.dist, folder: dirname(trees.instrumented), seed: SEED, milliseconds: 8000 });
    expect(tally.problems, `seed ${SEED}`).toEqual([]);
    expect(tally.calms).toBeGreaterThan(0);
    expect(tally.operations).toBeGreaterThan(0);
    expect(tally.recoveries).toBeGreaterThan(2);
  });
});
