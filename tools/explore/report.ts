/** Theory: one line per scenario with every number that limits the claim; a failure with its schedule, shortened, and each access told. */
import type { Exploration } from "./explorer.ts";
import { replay, shrink } from "./replay.ts";
import type { Scenario } from "./scenario.ts";
import { formatScript } from "./script.ts";

const n = (value: number): string => value.toLocaleString("en-US");

export function summary(result: Exploration): string {
  const rate = result.seconds > 0 ? Math.round(result.states / result.seconds) : 0;
  if (result.outcome === "violated" && result.rounds === 0) return `violated ${result.scenario} (by a random schedule, before the search)`;
  const bound = result.outcome === "bounded" ? ` (${result.bounds.join(", ")})` : "";
  return [
    `${result.outcome.padEnd(8)} ${result.scenario}${bound}:`,
    `${n(result.states)} states, ${n(result.steps)} steps, ${n(result.schedules)} ends checked,`,
    `${n(result.localStates)} local states (${n(result.replays)} re-executions), depth ${result.maxDepth}, ${result.rounds} rounds,`,
    `${result.seconds.toFixed(2)} s, ${n(rate)} states/s, ${n(Math.round(result.steps / Math.max(result.seconds, 0.001)))} steps/s`,
  ].join(" ");
}

/** All results as a table: what was covered, and what bounds the claim. */
export function table(results: readonly Exploration[]): string {
  const rows = results.map((r) => [
    r.scenario,
    r.outcome === "bounded" ? `bounded: ${r.bounds.join(", ")}` : r.outcome,
    n(r.states),
    n(r.steps),
    n(r.schedules),
    r.seconds.toFixed(1),
  ]);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(["scenario", "outcome", "states", "steps", "ends checked", "seconds"]),
    "|---|---|---:|---:|---:|---:|",
    ...rows.map(line),
  ].join("\n");
}

/** Prints a result; of a violation also the shortened schedule, step by step. */
export function report(scenario: Scenario, result: Exploration, options: { brief?: boolean } = {}): void {
  const print = console.log;
  print(summary(result));
  if (!result.violation) return;
  const { message, script } = result.violation;
  if (options.brief === true) {
    print(`  found:    ${message}`);
    return;
  }
  const short = shrink(scenario, script, message);
  print(`  found:    ${message}`);
  print(`  schedule: ${formatScript(short)}   (found as ${formatScript(script)})`);
  replay(scenario, short, { print: (line) => print(`  ${line}`) });
}
