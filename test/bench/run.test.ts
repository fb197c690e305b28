import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { QUICK, runSuite } from "../../bench/harness/run.ts";
import { createMeasure } from "../../bench/harness/measure.ts";
import type { Suite } from "../../bench/harness/suite.ts";
import { permutation } from "../../bench/programs/orders.ts";

const SUITES = new URL("../../bench/suites/", import.meta.url);
const files = readdirSync(SUITES).filter((file) => file.endsWith(".ts"));

describe.each(files)("bench/suites/%s", (file) => {
  it("declares a suite of its own name, with cases that differ and rows that have their cases", async () => {
    const { suite } = (await import(new URL(file, SUITES).href)) as { suite: Suite };
    expect(`${suite.name}.ts`).toBe(file);
    const cases = suite.cases.map((one) => `${one.name}, ${one.variant}`);
    expect(new Set(cases).size).toBe(cases.length);
    for (const row of suite.rows) {
      const needed = "figure" in row ? [row.figure.of] : row.over.flatMap(({ numerator, denominator }) => [numerator, denominator]);
      for (const [name, variant] of needed) expect(cases).toContain(`${name}, ${variant}`);
    }
  });
});

describe("a case's process", () => {
  const suite: Suite = { name: "fake", about: "", cases: [], rows: [] };

  it("that fails fails the run with its own words", async () => {
    const script = new URL("../fixtures/failing-case.mjs", import.meta.url);
    const cases = [{ name: "zone", variant: "1", program: () => ({ batch: () => 1 }) }];
    await expect(runSuite(script, suite, cases, QUICK, () => undefined)).rejects.toThrow("no such luck");
  });

  it("is asked for slices in turn, and its median stands in the results", async () => {
    const script = new URL("../fixtures/answering-case.mjs", import.meta.url);
    const program = (): { batch: () => number } => ({ batch: () => 1 });
    const cases = [
      { name: "zone", variant: "2", program, warmUp: false },
      { name: "zone", variant: "4", program, warmUp: false, maxSlices: 1 },
    ];
    const { results, measured } = await runSuite(script, suite, cases, { processes: 2, slices: 3, scale: 1 }, () => undefined);
    // Slice n of variant v takes v × n nanoseconds an operation: 1, 2, 3 times 2; and 1 times 4.
    expect(results).toEqual([
      { suite: "fake", name: "zone", variant: "2", nsPerOp: 4, min: 2, max: 6 },
      { suite: "fake", name: "zone", variant: "4", nsPerOp: 4, min: 4, max: 4 },
    ]);
    expect(measured.map((one) => one.figures)).toEqual([{ slices: 3 }, { slices: 1 }]);
  });
});

describe("a measure", () => {
  it("counts the operations that were done", () => {
    let done = 0;
    const measure = createMeasure({ batch: () => (done += 3) && 3 });
    const { ops, ns } = measure(1);
    expect(ops).toBe(done);
    expect(ns).toBeGreaterThanOrEqual(1e6);
  });
});

describe("a permutation", () => {
  it("has every number once, is shuffled, and is the same every time", () => {
    const order = permutation(4096, 2);
    expect(Int32Array.from(order).sort()).toEqual(Int32Array.from({ length: 4096 }, (_, n) => n));
    expect(order).not.toEqual(Int32Array.from(order).sort());
    expect(permutation(4096, 2)).toEqual(order);
    expect(permutation(4096, 3)).not.toEqual(order);
  });
});
