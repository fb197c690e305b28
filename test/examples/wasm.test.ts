/** The C program on zalloc's malloc: small, as `npm run example:wasm` runs it large. */
import { afterAll, describe, expect, test } from "vitest";
import { type Built, buildProgram, nativeReport } from "../../examples/wasm/build.ts";
import { NoCompiler } from "../../tools/wasm-compiler.ts";
import { type Town, createTown } from "../../examples/wasm/town.ts";

const YEARS = 4;
const PEOPLE = 200;
const BUILD_MS = 280_000;

function buildIfPossible(): Built | null {
  try {
    return buildProgram({ quick: true });
  } catch (error) {
    if (!(error instanceof NoCompiler)) throw error;
    console.log(`test/examples/wasm: skipped: ${error.message}`);
    return null;
  }
}

const built = buildIfPossible();

describe.skipIf(built === null)("SQLite on zalloc's malloc", { timeout: BUILD_MS }, () => {
  const program = built as Built;
  let town: Town;
  let expected: string[][];

  afterAll(() => town.uma.detach());

  test("two programs on one memory write what they write natively", async () => {
    expected = [1, 2].map((seed) => nativeReport(program, seed, YEARS, PEOPLE));
    town = createTown(program);
    const outcomes = await Promise.all([town.run(0, 1, YEARS, PEOPLE), town.run(1, 2, YEARS, PEOPLE)]);
    expect(expected[0]?.length).toBeGreaterThan(100);
    for (const [i, outcome] of outcomes.entries()) {
      expect(outcome.code).toBe(0);
      expect(outcome.lines).toEqual(expected[i]);
    }
    expect(town.heap.stats().used).toBe(0);
    expect(town.heap.stats().classes.reduce((sum, c) => sum + c.requests, 0)).toBeGreaterThan(10_000);
    expect(town.uma.verify().problems).toEqual([]);
  });

  test("when one is killed the other finishes, and nothing stays allocated", async () => {
    const [killed, other] = await Promise.all([town.run(0, 1, 200, PEOPLE, 60), town.run(1, 2, YEARS, PEOPLE)]);
    expect(killed.code).toBeNull();
    expect(killed.report?.zones.reduce((sum, zone) => sum + zone.freed, 0)).toBeGreaterThan(10);
    expect(other.code).toBe(0);
    expect(other.lines).toEqual(expected[1]);
    expect(town.heap.stats().used).toBe(0);
    expect(town.uma.verify().problems).toEqual([]);
  });

  test("a program in the dead one's place starts from nothing", async () => {
    const again = await town.run(0, 1, YEARS, PEOPLE);
    expect(again.code).toBe(0);
    expect(again.lines).toEqual(expected[0]);
  });

  test("without memory it is told so, as C is", async () => {
    const hog = town.heap.malloc(2 ** 20);
    const hogs = [hog];
    for (let p = town.heap.malloc(2 ** 20); p !== 0; p = town.heap.malloc(2 ** 20)) hogs.push(p);
    const poor = await town.run(0, 1, 200, 5000);
    expect(poor.code).toBe(1);
    expect(poor.lines.at(-1)).toMatch(/^error: .*out of memory|no memory/);
    for (const p of hogs) town.heap.free(p);
    expect(town.heap.stats().used).toBe(0);
    expect(town.uma.verify().problems).toEqual([]);
  });
});
