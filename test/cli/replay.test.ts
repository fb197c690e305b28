import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { traceFile } from "../../src/cli/shipped-traces.ts";
import { randomFrom, randomOps, traceOf } from "./traces.ts";

const folder = mkdtempSync(join(tmpdir(), "zalloc-replay-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line as `npm start` does. */
function zalloc(...args: string[]): Promise<Outcome> {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const child = spawn(
    process.execPath,
    ["node_modules/tsx/dist/cli.mjs", "--import", "./test/fixtures/ts-hook.mjs", "src/cli/main.ts", ...args],
    { cwd: root, env: { ...process.env, INIT_CWD: folder, NODE_OPTIONS: "" } },
  );
  let out = "";
  let err = "";
  child.stdout.on("data", (text) => (out += String(text)));
  child.stderr.on("data", (text) => (err += String(text)));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out, err })));
}

function expectGood({ code, out, err }: Outcome): void {
  expect(err).toBe("");
  expect(out).toMatch(/^wrong stamps: 0$/m);
  expect(out).toMatch(/^lost: 0 /m);
  expect(out).toMatch(/^verify: ok$/m);
  expect(out).toMatch(/^peak memory: .* held for .* live, \d\.\d\d times/m);
  expect(out).toMatch(/^malloc-48: /m);
  expect(code).toBe(0);
}

describe("replay", () => {
  test("of the sqlite trace on one worker does every operation and holds little more than what lives", async () => {
    const outcome = await zalloc("--trace", "sqlite", "--workers", "1");
    expectGood(outcome);
    expect(outcome.out).toMatch(/^operations: 131,037 of 131,037 in /m);
    expect(outcome.out).toMatch(/^objects: 65,570, /m);
    expect(outcome.out).toContain("16 objects alive at the end, as in the trace");
    const ratio = Number(/live, (\d\.\d\d) times/.exec(outcome.out)?.[1]);
    expect(ratio).toBeLessThanOrEqual(1.35);
    expect(outcome.out).toMatch(/allocations alone, warm .* ms .* ms .* times/);
  });

  test("of one thread on two workers deals its operations out in slices", async () => {
    const outcome = await zalloc("replay", "--trace", "sqlite", "--workers", "2");
    expectGood(outcome);
    expect(outcome.out).toContain("dealt out in slices");
    expect(outcome.out).toMatch(/^operations: 131,037 of 131,037 in /m);
  });

  test("of a trace of many threads on three workers loses nothing", async () => {
    const seed = Number(process.env["ZALLOC_SEED"] ?? Date.now() % 2 ** 31);
    const file = join(folder, `random-${seed}.trace.gz`);
    writeFileSync(file, traceOf(randomOps(20_000, 5, randomFrom(seed))));
    const outcome = await zalloc("--trace", `random-${seed}.trace.gz`, "--workers", "3");
    expectGood(outcome);
    expect(outcome.out).toMatch(/^operations: 20,000 of 20,000 in /m);
  });

  test.each(["1", "3"])("with --kill ends well on %s workers, and says what the dead one left", async (workers) => {
    const outcome = await zalloc("--trace", "sqlite", "--workers", workers, "--kill");
    expectGood(outcome);
    const [, done, all] = /terminated after ([\d,]+) of its ([\d,]+) operations/.exec(outcome.out) ?? [];
    expect(Number(done?.replaceAll(",", ""))).toBeGreaterThan(0);
    expect(Number(done?.replaceAll(",", ""))).toBeLessThan(Number(all?.replaceAll(",", "")));
    expect(outcome.out).toMatch(/It left [\d,]+ objects? and [\d,]+ large blocks?/);
    expect(outcome.out).toMatch(/Left out: its other [\d,]+ operations, and [\d,]+ of the other workers/);
  });

  test("in a memory that is too small ends with one line and exit code 1", async () => {
    const outcome = await zalloc("--trace", "sqlite", "--bytes", "4m");
    expect(outcome.code).toBe(1);
    expect(outcome.err).toMatch(/^zalloc: no memory for \d+ bytes \(EMPTY\); give it more with --bytes\n$/);
  });
});

describe("bad input ends with one line on stderr and exit code 2:", () => {
  const truncated = join(folder, "truncated.trace.gz");
  writeFileSync(truncated, readFileSync(traceFile("sqlite", "/")).subarray(0, 5000));
  const foreign = join(folder, "foreign.trace.gz");
  writeFileSync(foreign, "not a trace at all");

  test.each<[string, string[], RegExp]>([
    ["a truncated trace", ["--trace", truncated], /truncated\.trace\.gz is truncated/],
    ["a foreign file", ["--trace", "foreign.trace.gz"], /foreign\.trace\.gz is no allocation trace/],
    ["an unknown option", ["--wokers", "2"], /Unknown option `--wokers`/],
  ])("%s", async (_, args, why) => {
    const { code, out, err } = await zalloc(...args);
    expect(err).toMatch(why);
    expect(err.trimEnd()).not.toContain("\n");
    expect(out).toBe("");
    expect(code).toBe(2);
  });
});
