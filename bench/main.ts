/**
 * The benchmarks: `npm run bench -- [SUITE …] [--quick] [--cpu] [--only TEXT]`.
 *
 * Compiles library and suites to plain ES2022, measures each case in processes of its own, prints times and the ratios that must
 * hold, and writes bench/results.json. A ratio that is missed is shown, and changes no exit code: times are not to be tested.
 */
import { parseArgs } from "node:util";
import { buildBench, loadSuite, suiteNames } from "./harness/build.ts";
import { CLOCK } from "./harness/measure.ts";
import { type CaseResult, writeResults } from "./harness/results.ts";
import { judge, type Judgement } from "./harness/rows.ts";
import { type Effort, FULL, QUICK, runSuite } from "./harness/run.ts";
import type { Suite } from "./harness/suite.ts";
import { figuresTable, rowsTable, timesTable } from "./harness/table.ts";

const USAGE = `npm run bench -- [SUITE …] [--quick] [--cpu] [--only TEXT]

  --quick      all suites in under a minute
  --cpu        the processor's time instead of the wall's, where one thread is measured: for machines that others use, too
  --only TEXT  only cases with TEXT in "NAME, VARIANT"; may be given more than once

suites: ${suiteNames().join(", ")}`;

const RESULTS = new URL("results.json", import.meta.url);

async function benchSuite(script: URL, suite: Suite, effort: Effort, only: readonly string[]): Promise<readonly CaseResult[]> {
  const cases = suite.cases.filter((one) => only.length === 0 || only.some((text) => `${one.name}, ${one.variant}`.includes(text)));
  if (cases.length === 0) return [];
  const started = performance.now();
  const progress = (done: number, all: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${suite.name}: ${done} of ${all}\x1b[K`);
  };
  progress(0, cases.length);
  const { results, measured } = await runSuite(script, suite, cases, effort, progress);
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  print([`\n── ${suite.name} (${seconds} s) ──`, suite.about, "", ...timesTable(measured)]);
  const figures = figuresTable(measured);
  if (figures.length > 0) print(["", ...figures]);
  const judgements = suite.rows.map((row) => judge(row, measured)).filter((one): one is Judgement => one !== null);
  if (judgements.length > 0) print(["", ...rowsTable(judgements)]);
  return results;
}

function print(lines: readonly string[]): void {
  console.log(lines.join("\n"));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: "boolean" },
      cpu: { type: "boolean" },
      only: { type: "string", multiple: true },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) return print([USAGE]);
  const known = suiteNames();
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`no suite is called ${unknown.join(" or ")}\n\n${USAGE}`);
  if (values.cpu === true) process.env[CLOCK] = "cpu";
  const script = buildBench();
  const results: CaseResult[] = [];
  for (const name of positionals.length === 0 ? known : positionals) {
    results.push(...(await benchSuite(script, await loadSuite(name), values.quick === true ? QUICK : FULL, values.only ?? [])));
  }
  writeResults(RESULTS, { node: process.version, cases: results });
}

main().catch((cause: unknown) => {
  console.error(cause instanceof Error ? cause.message : cause);
  process.exitCode = 1;
});
