import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { traceFile } from "../../src/cli/shipped-traces.ts";
import { ALLOC, FREE, REALLOC, readTrace } from "../../src/cli/trace.ts";
import { UsageError } from "../../src/cli/usage-error.ts";
import { type Op, headerOf, traceOf } from "./traces.ts";

const folder = mkdtempSync(join(tmpdir(), "zalloc-trace-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(bytes: Uint8Array): string {
  const path = join(folder, "t.trace.gz");
  writeFileSync(path, bytes);
  return path;
}

const OPS: readonly Op[] = [
  { kind: "alloc", size: 0 },
  { kind: "alloc", size: 300, thread: 2 },
  { kind: "realloc", id: 1, size: 200_000, thread: 1 },
  { kind: "free", id: 0, thread: 2 },
];

describe("readTrace", () => {
  test("gives every operation with its thread, object and size", () => {
    const trace = readTrace(file(traceOf(OPS)));
    expect([...trace.kinds]).toEqual([ALLOC, ALLOC, REALLOC, FREE]);
    expect([...trace.threadOf]).toEqual([0, 2, 1, 2]);
    expect([...trace.objectOf]).toEqual([0, 1, 2, 0]);
    expect([...trace.sizes]).toEqual([0, 300, 200_000]);
    expect([...trace.madeFrom]).toEqual([-1, -1, 1]);
    expect(trace).toMatchObject({ name: "test", threads: 3, allocs: 2, frees: 1, reallocs: 1, peakBytes: 200_000, leftover: 1 });
  });

  test.each([
    ["sqlite", { threads: 1, allocs: 65_483, reallocs: 87, leftover: 16, peakBytes: 3_550_281 }],
    ["node", { threads: 12, allocs: 762_128, reallocs: 3890, leftover: 13_367, peakBytes: 13_375_082 }],
  ])("reads the shipped trace %s", (name, counts) => {
    expect(readTrace(traceFile(name, "/"))).toMatchObject(counts);
  });

  const whole = traceOf(OPS);
  test.each<[string, string | Uint8Array, RegExp]>([
    ["cut short", whole.subarray(0, whole.length - 12), /truncated/],
    ["cut within the header of gzip", whole.subarray(0, 5), /truncated/],
    ["empty", new Uint8Array(0), /truncated|no allocation trace/],
    ["of text", "alloc 1\n", /no allocation trace/],
    ["gzip of text", gzipSync("alloc 1\nfree 1\n"), /header line/],
    ["gzip of other JSON", gzipSync('{"name":"x"}\n'), /no count "alloc"/],
    ["gzip of null", gzipSync("null\n"), /header line/],
    ["with negative counts", traceOf(OPS, { ...headerOf(OPS), peak: -1 }), /no count "peak"/],
    ["with counts that disagree", traceOf(OPS, { ...headerOf(OPS), ops: 5 }), /counts of its header disagree/],
    ["with fewer operations than it says", traceOf(OPS.slice(0, 3), headerOf(OPS)), /truncated|damaged/],
    ["with far fewer operations than it says", traceOf(OPS, { ...headerOf(OPS), alloc: 1e7, ops: 1e7 + 2 }), /truncated/],
    ["with more operations than it says", traceOf([...OPS, { kind: "free", id: 2 }], headerOf(OPS)), /more than the 4 operations/],
    ["with another peak than it says", traceOf(OPS, { ...headerOf(OPS), peak: 7 }), /not those that its header counts/],
    ["of a thread too many", traceOf(OPS, { ...headerOf(OPS), threads: 2 }), /is of thread 2/],
    ["that frees twice", traceOf([...OPS.slice(0, 3), { kind: "free", id: 1 }], headerOf(OPS)), /frees object 1, which is not alive/],
    ["that frees what is still to come", traceOf([...OPS.slice(0, 3), { kind: "free", id: 3 }], headerOf(OPS)), /not alive/],
  ])("refuses a file %s in one line", (_, bytes, why) => {
    const path = file(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
    let message = "";
    try {
      readTrace(path);
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
      message = (error as Error).message;
    }
    expect(message).toMatch(why);
    expect(message).toContain(path);
    expect(message).not.toContain("\n");
  });

  test("refuses a file that is not there", () => {
    expect(() => readTrace(join(folder, "none"))).toThrow(/cannot read .*ENOENT/);
  });
});
