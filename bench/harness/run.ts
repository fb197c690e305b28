/**
 * Measuring a suite.
 *
 * The cases of a group have their processes at the same time and take turns, a slice each: a neighbour who needs the machine for
 * a second then hits all of them alike, and ratios stand. That is done over with fresh processes a few times, because one process
 * differs from the next (where its memory lies, what V8 made of the code). All slices of all processes go into one median.
 */
import { type CaseProcess, startCase } from "./processes.ts";
import type { Measured } from "./rows.ts";
import { type CaseResult, rounded } from "./results.ts";
import { summarise } from "./statistics.ts";
import type { Case, Figures, Suite } from "./suite.ts";

/** How much is measured. */
export interface Effort {
  /** Processes for each case, and slices in each. */
  readonly processes: number;
  readonly slices: number;
  /** Scales the length of slices. */
  readonly scale: number;
}

export const FULL: Effort = { processes: 3, slices: 15, scale: 1 };
export const QUICK: Effort = { processes: 1, slices: 7, scale: 0.3 };

const SLICE_MS = 5;
/** Warming up goes on in slices of so many milliseconds, from so many in all to so many, until it has stopped to help. */
const WARM_UP_SLICE_MS = 25;
const WARM_UP_MIN_MS = 100;
const WARM_UP_MAX_MS = 2000;
/** A slice that is not so much faster than the best before it is no better; so many of those in a row, and the case is warm. */
const WARM_UP_GAIN = 0.95;
const WARM_UP_STEADY_SLICES = 3;

/** Told when a case has been measured: how many of how many. */
export type Progress = (done: number, all: number) => void;

export interface SuiteRun {
  readonly results: readonly CaseResult[];
  readonly measured: readonly Measured[];
}

/** @param script - the compiled case.js. */
export async function runSuite(script: URL, suite: Suite, cases: readonly Case[], effort: Effort, progress: Progress): Promise<SuiteRun> {
  const samples = new Map<Case, number[]>(cases.map((one) => [one, []]));
  const figures = new Map<Case, Figures>();
  let done = 0;
  const all = cases.reduce((sum, one) => sum + processesOf(one, effort), 0);
  for (const group of groups(cases)) {
    for (let n = 0; n < effort.processes; n++) {
      const taking = group.filter((one) => n < processesOf(one, effort));
      await runGroup(script, suite.name, taking, effort, samples, figures);
      progress((done += taking.length), all);
    }
  }
  const results = cases.map((one): CaseResult => {
    const { median, min, max } = summarise(samples.get(one) ?? []);
    return { suite: suite.name, name: one.name, variant: one.variant, nsPerOp: rounded(median), min: rounded(min), max: rounded(max) };
  });
  const measured = cases.map((one, n): Measured => {
    const { name, variant, nsPerOp } = results[n] as CaseResult;
    return { name, variant, nsPerOp, figures: figures.get(one) ?? {} };
  });
  return { results, measured };
}

function processesOf(one: Case, effort: Effort): number {
  return Math.min(effort.processes, one.maxProcesses ?? effort.processes);
}

function groups(cases: readonly Case[]): Case[][] {
  const byName = new Map<string, Case[]>();
  for (const one of cases) {
    const name = one.group ?? one.variant;
    const group = byName.get(name);
    if (group === undefined) byName.set(name, [one]);
    else group.push(one);
  }
  return [...byName.values()];
}

async function runGroup(
  script: URL,
  suite: string,
  group: readonly Case[],
  effort: Effort,
  samples: Map<Case, number[]>,
  figures: Map<Case, Figures>,
): Promise<void> {
  const processes = await startAll(script, suite, group);
  try {
    for (const one of processes) if (one.of.warmUp !== false) await warmUp(one);
    for (let n = 0; n < effort.slices; n++) {
      for (const one of processes) {
        if (n >= (one.of.maxSlices ?? effort.slices)) continue;
        const { ns, ops } = await one.slice((one.of.sliceMs ?? SLICE_MS) * effort.scale);
        samples.get(one.of)?.push(ns / ops);
      }
    }
    for (const one of processes) figures.set(one.of, await one.finish());
  } catch (cause) {
    for (const one of processes) one.kill();
    throw cause;
  }
}

/** Until the code is compiled and deoptimised for the last time: how long that takes depends on who else uses the machine. */
async function warmUp(one: CaseProcess): Promise<void> {
  let best = Number.POSITIVE_INFINITY;
  let steady = 0;
  let spent = 0;
  while (spent < WARM_UP_MAX_MS && (spent < WARM_UP_MIN_MS || steady < WARM_UP_STEADY_SLICES)) {
    const { ns, ops } = await one.slice(WARM_UP_SLICE_MS);
    spent += ns / 1e6;
    steady = ns / ops < best * WARM_UP_GAIN ? 0 : steady + 1;
    best = Math.min(best, ns / ops);
  }
}

/** All at once; if one fails the others are ended, too. */
async function startAll(script: URL, suite: string, group: readonly Case[]): Promise<CaseProcess[]> {
  const outcomes = await Promise.allSettled(group.map((one) => startCase(script, suite, one)));
  const started = outcomes.filter((one) => one.status === "fulfilled").map((one) => one.value);
  const failed = outcomes.find((one) => one.status === "rejected");
  if (failed === undefined) return started;
  for (const one of started) one.kill();
  throw failed.reason;
}
