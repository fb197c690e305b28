import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CaseResult, faults, type Results, rounded, writeResults } from "../../bench/harness/results.ts";

const one: CaseResult = { suite: "pair", name: "zone", variant: "64 random", nsPerOp: 2.5, min: 2, max: 4 };
const results: Results = { node: process.version, cases: [one, { ...one, variant: "1" }] };

describe("results", () => {
  it("are a version and cases of six fields", () => {
    expect(faults(results)).toEqual([]);
  });

  it.each<[string, unknown]>([
    ["no object", null],
    ["a field too many", { ...results, machine: "mine" }],
    ["no version", { ...results, node: "twenty" }],
    ["cases that are no array", { ...results, cases: {} }],
    ["a case with a field too many", { ...results, cases: [{ ...one, unit: "ns" }] }],
    ["a case without a field", { ...results, cases: [{ ...one, max: undefined }] }],
    ["a case without a name", { ...results, cases: [{ ...one, name: "" }] }],
    ["no time", { ...results, cases: [{ ...one, nsPerOp: 0, min: 0 }] }],
    ["a time that is no number", { ...results, cases: [{ ...one, nsPerOp: Number.NaN }] }],
    ["a median above the greatest", { ...results, cases: [{ ...one, nsPerOp: 5 }] }],
    ["a case that is there twice", { ...results, cases: [one, one] }],
  ])("are refused with %s", (_, faulty) => {
    expect(faults(faulty)).not.toEqual([]);
  });

  it("keep four digits, large or small", () => {
    expect(rounded(1.234567)).toBe(1.235);
    expect(rounded(5_820_123.4)).toBe(5_820_000);
  });
});

describe("results.json", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "zalloc-bench-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it("reads as what was written", () => {
    const file = join(directory, "results.json");
    writeResults(file, results);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(results);
  });

  it("is valid without any case, too", () => {
    const file = join(directory, "empty.json");
    writeResults(file, { node: process.version, cases: [] });
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ node: process.version, cases: [] });
  });

  it("is not written when the results are faulty", () => {
    const file = join(directory, "faulty.json");
    expect(() => writeResults(file, { node: process.version, cases: [{ ...one, min: 3 }] })).toThrow("nsPerOp must lie between");
    expect(() => readFileSync(file)).toThrow("ENOENT");
  });
});
