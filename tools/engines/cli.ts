/**
 * `npm run test:engines`: the canary and the tests on other engines.
 *
 *   npm run test:engines                     Node 22, 24 and 26, Bun and Deno, from their npm packages
 *   npm run test:engines -- --here           the canary alone, on this Node: what CI runs
 *   npm run test:engines -- --only bun       engines whose name contains the text; may be given more than once
 *   npm run test:engines -- --runs 40        terminations for each shape of the canary
 *   npm run test:engines -- --suite test/unit --suite test/crash    which tests; none with --suite -
 *
 * Exit code 1 if a test fails on an engine that is promised: Node.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readOptions } from "../options.ts";

/** What canary.js prints. */
interface Canary {
  readonly engine: string;
  readonly cuts: Readonly<Record<string, { readonly cut: number; readonly runs: number }>>;
  readonly exitMs: number;
  readonly exits: number;
  readonly exitsMissing: number;
  readonly aliveAfterExit: number;
  readonly waitEnds: boolean;
  readonly locks: string;
}

interface Engine {
  readonly name: string;
  /** npm package, and the command that runs a script by it. */
  readonly pack: string;
  readonly run: readonly string[];
  /** The same for vitest, if it takes more. */
  readonly test: readonly string[];
  readonly promised: boolean;
}

interface Suite {
  readonly passed: number;
  readonly failed: number;
  readonly files: readonly string[];
  readonly names: readonly string[];
}

const ENGINES: readonly Engine[] = [
  ...["22", "24", "26"].map((version) => ({
    name: `Node ${version}`,
    pack: `node@${version}`,
    run: ["node"],
    test: ["node"],
    promised: true,
  })),
  { name: "Bun", pack: "bun", run: ["bun"], test: ["bun", "--bun"], promised: false },
  { name: "Deno", pack: "deno", run: ["deno", "run", "-A"], test: ["deno", "run", "-A"], promised: false },
];
const SUITES = ["test/unit", "test/crash"];
const CANARY_MS = 180_000;
const SUITE_MS = 900_000;
const MOST_NAMES = 12;

const root = resolve(import.meta.dirname, "../..");
const canary = join(root, "tools/engines/canary.js");

/** Runs a command with an npm package's programs before all others. */
function withPackage(pack: string, command: readonly string[], timeout: number): { readonly code: number; readonly out: string } {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const done = spawnSync("npx", ["-y", "-p", pack, ...command], { cwd: root, encoding: "utf8", timeout, env, maxBuffer: 2 ** 26 });
  return { code: done.status ?? -1, out: `${done.stdout ?? ""}\n${done.stderr ?? ""}` };
}

function canaryOf(text: string): Canary | null {
  const line = text.split("\n").find((one) => one.startsWith('{"engine"'));
  return line === undefined ? null : (JSON.parse(line) as Canary);
}

/** Runs the tests; what they did is taken from vitest's own report. */
function suiteOn(engine: Engine, suites: readonly string[]): Suite | string {
  const folder = mkdtempSync(join(tmpdir(), "zalloc-engines-"));
  const file = join(folder, "report.json");
  const vitest = [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--typecheck.enabled=false",
    "--reporter=json",
    `--outputFile=${file}`,
    ...suites,
  ];
  const { code, out } = withPackage(engine.pack, [...engine.test, ...vitest], SUITE_MS);
  try {
    const report = JSON.parse(readFileSync(file, "utf8")) as {
      readonly numPassedTests: number;
      readonly numFailedTests: number;
      readonly testResults: readonly {
        readonly name: string;
        readonly status: string;
        readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
      }[];
    };
    const failed = report.testResults.filter((one) => one.status !== "passed");
    const names = failed.flatMap((one) => one.assertionResults.filter((test) => test.status === "failed").map((test) => test.fullName));
    const files = failed.map((one) => one.name.slice(root.length + 1));
    return { passed: report.numPassedTests, failed: report.numFailedTests, files, names };
  } catch {
    return code === -1 ? "did not end in time" : `did not start: ${out.trim().split("\n").slice(-3).join(" | ").slice(0, 300)}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function canaryTable(found: readonly Canary[]): string[] {
  const shapes = Object.keys(found[0]?.cuts ?? {});
  const rows: string[][] = [
    ["", ...found.map((one) => one.engine)],
    ...shapes.map((shape) => [
      `cut between ${shape}`,
      ...found.map(({ cuts }) => (cuts[shape] === undefined ? "?" : `${cuts[shape].cut} of ${cuts[shape].runs}`)),
    ]),
    ["exit event, median ms", ...found.map((one) => one.exitMs.toFixed(1))],
    ["exit events that did not come", ...found.map((one) => `${one.exitsMissing} of ${one.exits}`)],
    ["threads at work after their exit event", ...found.map((one) => `${one.aliveAfterExit} of ${one.exits}`)],
    ["a thread in Atomics.wait can be ended", ...found.map((one) => (one.waitEnds ? "yes" : "NO"))],
    ["a dead thread's Web Lock", ...found.map((one) => one.locks)],
  ];
  return table(rows);
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join("  "));
}

function here(runs: string): never {
  const done = spawnSync(process.execPath, [canary, runs], { encoding: "utf8", timeout: CANARY_MS });
  const found = canaryOf(done.stdout);
  if (found === null) throw new Error(`the canary says nothing: ${done.stderr}`);
  console.log(canaryTable([found]).join("\n"));
  // What the library does rely on, of all hosts that are promised.
  const sound = found.aliveAfterExit === 0 && found.exitsMissing === 0 && found.waitEnds;
  if (!sound) console.error("engines: the exit event is no certificate of death here");
  process.exit(sound ? 0 : 1);
}

function main(): void {
  const { values } = readOptions(import.meta.filename, {
    options: {
      here: { type: "boolean", default: false },
      only: { type: "string", multiple: true },
      runs: { type: "string", default: "20" },
      suite: { type: "string", multiple: true, default: SUITES },
    },
  });
  if (values.here) here(values.runs);
  const chosen = ENGINES.filter(({ name }) => values.only?.every((text) => !name.toLowerCase().includes(text.toLowerCase())) !== true);
  const suites = values.suite.filter((suite) => suite !== "-");
  const found: Canary[] = [];
  const rows: string[][] = [["", "passed", "failed", "files with failures"]];
  const notes: string[] = [];
  let broken = false;
  for (const engine of chosen) {
    const said = canaryOf(withPackage(engine.pack, [...engine.run, canary, values.runs], CANARY_MS).out);
    if (said === null) notes.push(`${engine.name}: the canary says nothing`);
    else found.push(said);
    console.error(`engines: ${engine.name}: canary done`);
    if (suites.length === 0) continue;
    const outcome = suiteOn(engine, suites);
    console.error(`engines: ${engine.name}: tests done`);
    if (typeof outcome === "string") {
      rows.push([said?.engine ?? engine.name, "–", "–", outcome]);
      broken ||= engine.promised;
      continue;
    }
    rows.push([said?.engine ?? engine.name, String(outcome.passed), String(outcome.failed), outcome.files.join(" ") || "none"]);
    for (const name of outcome.names.slice(0, MOST_NAMES)) notes.push(`${engine.name}: ${name}`);
    if (outcome.names.length > MOST_NAMES) notes.push(`${engine.name}: and ${outcome.names.length - MOST_NAMES} more`);
    broken ||= engine.promised && (outcome.failed > 0 || outcome.files.length > 0);
  }
  console.log(canaryTable(found).join("\n"));
  if (suites.length > 0) console.log(`\n${suites.join(", ")}:\n${table(rows).join("\n")}`);
  for (const note of notes) console.log(`  ${note}`);
  process.exit(broken ? 1 : 0);
}

main();
