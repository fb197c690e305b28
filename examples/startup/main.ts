/**
 * What a start-up phase is good for: the first million allocations, prepared in several ways.
 *
 *   npm run example:startup
 *   npm run example:startup -- --count 100000 --out FILE.svg
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

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { count: { type: "string", default: "1000000" }, out: { type: "string", default: OUT } } });
  const count = Number(values.count);
  if (!Number.isInteger(count) || count < 1 || count > 10_000_000) throw new Error("--count takes an integer from 1 to 10000000");

  console.log(`The first ${count.toLocaleString("en")} allocations of 64 bytes, each way in a process of its own:\n`);
  const results: Result[] = [];
  for (const way of WAYS) results.push(await measure(way, count));
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
