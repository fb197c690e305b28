/**
 * `npm run storm -- --minutes N --seed S`: workers at full speed, terminated at random and replaced; and out of memory at every
 * allocation in turn. Exit code 1 if anything was lost, duplicated or stuck.
 */
import { rmSync } from "node:fs";
import { resolve } from "node:path";
import { numberOf, readOptions } from "../options.ts";
import { buildCrashTrees } from "../crash/trees.ts";
import { DENIALS, type DenialOutcome, denyEach, fillUp } from "./denials.ts";
import { runStorm, type StormTally } from "./storm.ts";

async function main(): Promise<void> {
  const { values } = readOptions(import.meta.filename, {
    options: {
      minutes: { type: "string", default: "1" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      workers: { type: "string", default: "3" },
    },
  });
  const seed = numberOf("seed", values.seed);
  const name = `storm-${process.pid}`;
  const { dist } = buildCrashTrees(name);
  console.log(`storm: seed ${seed}, ${values.minutes} minutes, ${values.workers} workers at a time`);
  const refused = refusals();
  const started = performance.now();
  let told = 0;
  const progress = (tally: StormTally): void => {
    if (performance.now() - told < 15_000) return;
    told = performance.now();
    console.log(`storm: ${Math.round((told - started) / 1000)} s, ${line(tally)}`);
  };
  const tally = await runStorm({
    dist,
    folder: resolve(`build/${name}`),
    seed,
    milliseconds: numberOf("minutes", values.minutes) * 60_000,
    workers: numberOf("workers", values.workers, 1),
    progress,
  });
  rmSync(`build/${name}`, { recursive: true, force: true });
  console.log(`storm: ${line(tally)}`);
  for (const [end, count] of Object.entries(tally.ends).sort(([a], [b]) => a.localeCompare(b)))
    console.log(`  ${String(count).padStart(6)}  ${end}`);
  const problems = [...refused, ...tally.problems];
  const count = (word: RegExp): number => problems.filter((problem) => word.test(problem)).length;
  console.log(
    `storm: ${count(/lost/)} lost, ${count(/duplicated|twice/)} duplicated, ${count(/stuck/)} stuck, ${problems.length} wrong in all`,
  );
  for (const problem of problems) console.log(`  ${problem}`);
  process.exit(problems.length === 0 ? 0 : 1);
}

/** Everything that can be refused, at every request in turn. */
function refusals(): string[] {
  const problems: string[] = [];
  const tell = (what: string, { denied, problems: found }: DenialOutcome): void => {
    console.log(`  ${String(denied).padStart(6)}  ${what}${found.length === 0 ? "" : `: ${found.length} WRONG`}`);
    problems.push(...found);
  };
  console.log("storm: requests refused, one at a time, each in a new memory");
  for (const denial of DENIALS) tell(denial, denyEach(denial));
  tell("memories filled to the brim, with 0, 1, 2, … pages left", fillUp(60));
  return problems;
}

function line(tally: StormTally): string {
  return (
    `${tally.operations} operations, ${tally.recoveries} workers ended and recovered (${tally.repeats} tries repeated), ` +
    `${tally.calms} calms, ${tally.overflows} stack overflows; items of the dead: ${tally.kept} kept, ${tally.freed} freed, ${tally.remade} made anew`
  );
}

void main();
