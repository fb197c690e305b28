/**
 * `npm run explore -- `, which stands for `tsx tools/explore/cli.ts test/explore/scenarios.ts --jobs 2`:
 *
 * `explore <scenario module>… [--only text] [--jobs 2] [--seconds n] [--states n] [--quick] [--brief] [--no-reduce] [--no-locksets] [--no-merge] [--json file]`
 * `explore <scenario module> --only name --replay "0*14 K0 1*3"`
 *
 * Without `--states`, or with `--deepen`, what is too much for the time is gone through by numbers of preemptions (explorer.ts, *Deepening*).
 * `--brief` neither shortens nor tells a schedule that fails: for those who only want to know whether one does.
 *
 * Theory: a scenario module exports `scenarios`. With several jobs so many processes share them, each starting the next
 * when it has done one. Exit code 1 when something was violated.
 */
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { numberOf, readOptions } from "../options.ts";
import { explore, type Exploration } from "./explorer.ts";
import { replay } from "./replay.ts";
import { report, table } from "./report.ts";
import type { Scenario } from "./scenario.ts";
import { parseScript } from "./script.ts";

const { positionals, values } = readOptions(import.meta.filename, {
  allowPositionals: true,
  options: {
    only: { type: "string" },
    exact: { type: "string" },
    jobs: { type: "string", default: "1" },
    seconds: { type: "string" },
    states: { type: "string" },
    replay: { type: "string" },
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    brief: { type: "boolean", default: false },
    deepen: { type: "boolean", default: false },
    /** A child: scenarios come by message, results go back. */
    serve: { type: "boolean", default: false },
    "no-reduce": { type: "boolean", default: false },
    "no-locksets": { type: "boolean", default: false },
    "no-merge": { type: "boolean", default: false },
  },
});

interface Job {
  readonly module: string;
  readonly scenario: Scenario;
}

const jobs: Job[] = [];
for (const module of positionals) {
  const loaded = (await import(pathToFileURL(resolve(module)).href)) as { scenarios: readonly Scenario[] };
  for (const scenario of loaded.scenarios) {
    if (values.exact !== undefined ? scenario.name !== values.exact : !scenario.name.includes(values.only ?? "")) continue;
    if (!values.quick || scenario.quick === true) jobs.push({ module, scenario });
  }
}
if (jobs.length === 0) {
  console.error("no scenario: explore <module>… [--only name] [--jobs n] [--seconds n] [--states n] [--replay script]");
  process.exit(2);
}

function runHere(scenario: Scenario): Exploration {
  const result = explore(scenario, {
    reduce: !values["no-reduce"],
    locksets: !values["no-locksets"],
    mergeFrames: !values["no-merge"],
    ...(values.seconds ? { maxSeconds: numberOf("seconds", values.seconds) } : {}),
    ...(values.states ? { maxStates: numberOf("states", values.states, 1) } : {}),
    deepen: values.deepen || values.states === undefined,
  });
  report(scenario, result, { brief: values.brief });
  return result;
}

/** A child explores one scenario after the other; each time it is told which. */
async function drain(queue: Job[], into: Exploration[]): Promise<void> {
  const limits = ["seconds", "states"] as const;
  const args = [...positionals, "--serve", ...limits.flatMap((key) => (values[key] ? [`--${key}`, values[key]] : []))];
  for (const flag of ["brief", "deepen", "no-reduce", "no-locksets", "no-merge"] as const) if (values[flag]) args.push(`--${flag}`);
  const child = fork(fileURLToPath(import.meta.url), args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  let running = "";
  const next = (): void => {
    const job = queue.shift();
    running = job?.scenario.name ?? "";
    child.send(running);
  };
  child.on("message", (message) => {
    into.push(message as Exploration);
    next();
  });
  next();
  await new Promise<void>((resolvePromise, reject) => {
    child.once("exit", (code) =>
      running === "" ? resolvePromise() : reject(new Error(`${running}: the child ended with ${code} and no result`)),
    );
  });
}

function serve(): void {
  process.on("message", (name) => {
    if (name === "") process.exit(0);
    const job = jobs.find(({ scenario }) => scenario.name === name);
    if (job) process.send?.(runHere(job.scenario));
  });
}

if (values.replay !== undefined) {
  const [job] = jobs;
  const outcome = job && replay(job.scenario, parseScript(values.replay), { print: console.log });
  process.exit(outcome?.violation ? 1 : 0);
}

if (values.serve) serve();
else await main();

async function main(): Promise<void> {
  const results: Exploration[] = [];
  const parallel = numberOf("jobs", values.jobs, 1);
  if (parallel > 1 && jobs.length > 1) {
    const queue = [...jobs];
    await Promise.all(Array.from({ length: parallel }, () => drain(queue, results)));
  } else {
    for (const { scenario } of jobs) results.push(runHere(scenario));
  }
  const place = (result: Exploration): number => jobs.findIndex(({ scenario }) => scenario.name === result.scenario);
  results.sort((a, b) => place(a) - place(b));
  if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 1)}\n`);
  if (results.length > 1) console.log(table(results));
  const states = results.reduce((sum, result) => sum + result.states, 0);
  const violated = results.filter((result) => result.outcome === "violated").length;
  const bounded = results.filter((result) => result.outcome === "bounded").length;
  console.log(`${results.length} scenarios, ${states.toLocaleString("en-US")} states, ${violated} violated, ${bounded} bounded`);
  process.exitCode = violated > 0 ? 1 : 0;
}
