/**
 * What a start-up phase is good for: the first million allocations, prepared in several ways.
 *
 *   npm run example:startup
 *   npm run example:startup -- --count 100000 --runs 1 --out FILE.svg
 *
 * Of a few runs of each way the quickest is shown: whatever else a machine does makes a run slower, never quicker.
 */
import { fork } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exhaust } from "./exhausted.ts";
import type { Summary } from "./histogram.ts";
import { plot } from "./plot.ts";
import { type Result, report } from "./text.ts";
import { WAYS, type Way } from "./ways.ts";

const MEASURE = new URL("./measure.ts", import.meta.url);
const OUT = fileURLToPath(new URL("../../build/startup.svg", import.meta.url));
const SET_ASIDE = 200;

function measure(way: Way, count: number): Promise<Result> {
  return new Promise((done, fail) => {
    const child = fork(MEASURE, [way, String(count)]);
    let result: Result | undefined;
    child.once("message", (message: { preparedMs: number; summary: Summary }) => (result = { way, ...message }));
    child.once("exit", (code) => (result === undefined ? fail(new Error(`${way}: the process ended with ${code}`)) : done(result)));
  });
}

/** The quickest of so many runs of each way; they take turns. */
async function measureAll(count: number, runs: number): Promise<Result[]> {
  const best = new Map<Way, Result>();
  for (let run = 0; run < runs; run++) {
    for (const way of WAYS) {
      const result = await measure(way, count);
      const before = best.get(way);
      if (before === undefined || result.summary.sumMs < before.summary.sumMs) best.set(way, result);
    }
  }
  return [...best.values()];
}

function number(value: string, name: string, most: number): number {
  const given = Number(value);
  if (Number.isInteger(given) && given >= 1 && given <= most) return given;
  throw new Error(`--${name} takes an integer from 1 to ${most}, not ${value}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      count: { type: "string", default: "1000000" },
      runs: { type: "string", default: "3" },
      out: { type: "string", default: OUT },
    },
  });
  const count = number(values.count, "count", 10_000_000);
  const runs = number(values.runs, "runs", 100);

  console.log(
    `The first ${count.toLocaleString("en")} allocations of 64 bytes, each way in a process of its own${runs > 1 ? `, the quickest of ${runs} runs` : ""}:\n`,
  );
  const results = await measureAll(count, runs);
  for (const line of report(results)) console.log(line);

  const out = resolve(values.out);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, plot(results));
  console.log(`\nas a picture: ${out}\n`);

  console.log("A memory of 1 MB with nothing left in it:\n");
  const { lines, problems } = exhaust(SET_ASIDE);
  for (const line of lines) console.log(line);
  console.log(`verify: ${problems.length === 0 ? "ok" : problems.join("; ")}`);
  if (problems.length > 0) process.exitCode = 1;
}

main().catch((cause: unknown) => {
  console.error(cause instanceof Error ? cause.message : cause);
  process.exitCode = 1;
});
