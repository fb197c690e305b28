/**
 * `npm run crash`: exact kills by the thousand.
 *
 *   npm run crash                              the full run: at least 10,000 kills on two processes
 *   npm run crash -- --kills 300               a short one
 *   npm run crash -- --seed 7 --kills 50       other histories
 *   npm run crash -- --theme smr --theme map   these themes only
 *   npm run crash -- --peer                    each with another worker beside its victims, not every other one
 *   npm run crash -- --unreached               name the points never reached after a short run, too
 *   npm run crash -- --watch 26                no kills but those whose recovery is watched: the points that so many histories pass
 *   npm run crash -- --list                    the points, by name
 *   npm run crash -- --theme T --seed S [--peer] --repeat K,…    the kills that a failing one came after; it is printed how
 *   … --repeat K,… --times 100                 as often, each time in a new memory: with a peer no two turns are alike
 *
 * A full run first looks for histories: of several times as many seeds as it has room for it takes those that pass what no other passes.
 * Each history (a theme and a seed) is run to its end, counting how often it passes each point; then a victim with the same
 * history is terminated at each point it passes, at several occurrences. Every other kill has its recoverer killed as well.
 * At the end the points are named at which nobody was killed, by the reasons in unreached.ts.
 * Exit code 1 if anything was lost, duplicated or stuck.
 */
import { fork } from "node:child_process";
import { rmSync } from "node:fs";
import type { CampaignOptions } from "./campaign.ts";
import { numberOf, readOptions } from "../options.ts";
import { parseKills } from "./plan.ts";
import { type ShiftTally, repeat, scoutShift, watchShift, workShift } from "./shift.ts";
import { THEMES, themeOf } from "./themes/index.ts";
import { type CampaignTrees, buildCampaignTrees } from "./trees.ts";
import { UNREACHED, reasonFor } from "./unreached.ts";

/** One history. */
interface Job {
  readonly theme: string;
  readonly seed: number;
  readonly peer: boolean;
  /** Victims. */
  readonly kills: number;
  /** Points at which others have killed by now. */
  readonly known?: readonly number[];
  /** Points that hardly another history passes. */
  readonly rare?: readonly number[];
  readonly watch?: boolean;
  readonly scout?: boolean;
}

/** A tally as it travels between processes. */
interface Told extends Omit<ShiftTally, "reached"> {
  readonly theme: string;
  readonly seed: number;
  readonly reached: readonly number[];
}

/** Kills of a history, recoverers' among them. */
const KILLS_A_HISTORY = 180;
/** Histories that end before their point are not counted: that many more are planned. */
const SPARE = 1.03;
/** Of each kill of a victim so many kills follow: itself, and its recoverer's every other time, if that comes by its point. */
const KILLS_A_VICTIM = 1.44;
/** Histories that are looked at for each that is taken. */
const SCOUTS = 2;
/** What so many histories pass, or fewer, is rare. */
const RARE = 3;
const TELL_MS = 60_000;
const MOST_BAD = 20;
/** From so many kills on a run is a full one. */
const FULL_KILLS = 5000;

async function work(trees: CampaignTrees): Promise<void> {
  process.on("message", (job: Job | "over") => {
    if (job === "over") process.exit(0);
    void (async () => {
      const nothing = { kills: 0, recovererKills: 0, elsewhere: 0, missed: 0, bad: [] };
      const tally =
        job.scout === true
          ? { ...nothing, reached: await scoutShift({ trees, ...job }) }
          : job.watch === true
            ? { ...nothing, reached: await watchShift({ trees, ...job }) }
            : await workShift({ trees, ...job });
      const { theme, seed } = job;
      process.send?.({ ...tally, theme, seed, reached: [...tally.reached] } satisfies Told);
    })().catch((error: unknown) => {
      const bad = [`theme ${job.theme}, seed ${job.seed}: ${String((error as Error).stack)}`];
      const { theme, seed } = job;
      process.send?.({ theme, seed, kills: 0, recovererKills: 0, elsewhere: 0, missed: 0, bad, reached: [] } satisfies Told);
    });
  });
  process.send?.("ready");
}

/** The histories of a run, themes in turn, every other one with company, or all of them. */
function jobsOf(themes: readonly string[], first: number, kills: number, peer: boolean): Job[] {
  const histories = Math.max(themes.length, Math.ceil(kills / KILLS_A_HISTORY));
  const each = Math.ceil((kills * SPARE) / KILLS_A_VICTIM / histories);
  return Array.from({ length: histories }, (_, n) => ({
    theme: themes[n % themes.length] as string,
    seed: first + n,
    peer: peer || Math.floor(n / themes.length) % 2 === 1,
    kills: each,
  }));
}

async function main(): Promise<void> {
  const { values } = readOptions(import.meta.filename, {
    options: {
      kills: { type: "string", default: "10200" },
      seed: { type: "string", default: "1" },
      processes: { type: "string", default: "2" },
      theme: { type: "string", multiple: true },
      peer: { type: "boolean", default: false },
      repeat: { type: "string" },
      times: { type: "string", default: "1" },
      watch: { type: "string" },
      list: { type: "boolean", default: false },
      unreached: { type: "boolean", default: false },
    },
  });
  const kills = numberOf("kills", values.kills, 1);
  const seed = numberOf("seed", values.seed);
  const processes = numberOf("processes", values.processes, 1);
  const themes = values.theme ?? THEMES.map((theme) => theme.name);
  for (const theme of themes) themeOf(theme);
  const name = `crash-${process.pid}`;
  process.once("exit", () => rmSync(`build/${name}`, { recursive: true, force: true }));
  const trees = buildCampaignTrees(name);
  if (values.list) {
    for (const point of trees.points)
      console.log(`${String(point.number).padStart(4)}  ${point.kind.padEnd(6)}  ${point.name}  (${point.file}:${point.line})`);
    return;
  }
  if (values.repeat !== undefined) {
    process.exit(
      await repeatTimes({ trees, theme: themes[0] as string, seed, peer: values.peer }, values.repeat, numberOf("times", values.times, 1)),
    );
  }
  const watched = values.watch === undefined ? 0 : numberOf("watch", values.watch, 1);
  const jobs = jobsOf(themes, seed, watched === 0 ? kills : watched * KILLS_A_HISTORY, values.peer).map((job) =>
    watched === 0 ? job : { ...job, watch: true },
  );
  console.log(
    `crash: ${trees.points.length} points; ${jobs.length} histories of ${themes.join(", ")} (seeds from ${seed} on); ` +
      `${watched === 0 ? `about ${kills} kills` : "watched"}, ${processes} processes, Node ${process.version}`,
  );
  const started = performance.now();
  const isFull = kills >= FULL_KILLS && values.theme === undefined && watched === 0;
  const scouts = isFull ? await distribute(scoutsOf(themes, seed, jobs.length), trees, processes, started) : [];
  const chosen = isFull ? chooseFrom(scouts, jobs) : jobs;
  const tallies = [
    ...scouts.filter(({ bad }) => bad.length > 0).map((scout) => ({ ...scout, reached: [] })),
    ...(await distribute(chosen, trees, processes, started)),
  ];
  process.exit(tell(trees, tallies, values.unreached || watched > 0 || isFull, Math.round((performance.now() - started) / 1000)));
}

/** @returns the exit code: 1 as soon as something was wrong. */
async function repeatTimes(options: CampaignOptions, kills: string, times: number): Promise<number> {
  for (let n = 1; n <= times; n++) {
    const problems = await repeat(options, parseKills(kills), times === 1);
    for (const problem of problems) console.log(problem);
    if (problems.length === 0) continue;
    console.log(`${problems.length} wrong${times === 1 ? "" : ` at repetition ${n}`}`);
    return 1;
  }
  console.log(times === 1 ? "nothing was wrong" : `nothing was wrong in ${times} repetitions`);
  return 0;
}

/** Histories to look at, several times as many, without kills and without company, which has little to do with what they pass. */
function scoutsOf(themes: readonly string[], first: number, histories: number): Job[] {
  return jobsOf(themes, first, histories * SCOUTS * KILLS_A_HISTORY, false).map((job) => ({ ...job, peer: false, scout: true }));
}

/** The planned histories with other seeds: each time of the one that passes most that none before it does. Each knows what is its own. */
function chooseFrom(scouts: readonly Told[], jobs: readonly Job[]): Job[] {
  const covered = new Set<number>();
  const times = new Map<number, number>();
  const gain = ({ reached }: Told): number => reached.filter((point) => !covered.has(point)).length;
  const pool = scouts.filter(({ bad }) => bad.length === 0).sort((a, b) => a.seed - b.seed);
  const planned = jobs.map((job) => {
    const best = pool.filter(({ theme }) => theme === job.theme).sort((a, b) => gain(b) - gain(a))[0];
    if (best === undefined) return { job, own: [] };
    pool.splice(pool.indexOf(best), 1);
    for (const point of best.reached) {
      covered.add(point);
      times.set(point, (times.get(point) ?? 0) + 1);
    }
    return { job: { ...job, seed: best.seed }, own: best.reached };
  });
  return planned.map(({ job, own }) => ({ ...job, rare: own.filter((point) => (times.get(point) ?? 0) <= RARE) }));
}

/** Gives each process a job as soon as it has done one. */
function distribute(jobs: readonly Job[], trees: CampaignTrees, processes: number, started: number): Promise<Told[]> {
  const tallies: Told[] = [];
  const queue = [...jobs];
  let told = started;
  let bad = 0;
  const seconds = (): number => Math.round((performance.now() - started) / 1000);
  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      // Victims do not live long enough to be worth optimising; it would take a seventh of the processors' time.
      const child = fork(import.meta.filename, ["--share"], {
        execArgv: [...process.execArgv, "--no-opt"],
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
      child.send(trees);
      child.on("message", (message) => {
        const tally = message as Told | "ready";
        if (tally !== "ready") {
          tallies.push(tally);
          bad += tally.bad.length;
          for (const line of tally.bad) console.log(`WRONG: ${line}`);
          if (performance.now() - told > TELL_MS) {
            told = performance.now();
            console.log(`crash: ${tallies.reduce((sum, of) => sum + of.kills + of.recovererKills, 0)} kills after ${seconds()} s`);
          }
        }
        const job = bad < MOST_BAD ? queue.shift() : undefined;
        const known = new Set(tallies.flatMap(({ reached }) => reached));
        child.send(job === undefined ? "over" : { ...job, known: [...known] });
      });
      child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a process ended with ${String(code)}`))));
    });
  return Promise.all(Array.from({ length: processes }, run)).then(() => tallies);
}

/** @returns the exit code. */
function tell(trees: CampaignTrees, tallies: readonly Told[], full: boolean, seconds: number): number {
  const sum = (field: "kills" | "recovererKills" | "elsewhere" | "missed", of = tallies): number =>
    of.reduce((total, tally) => total + tally[field], 0);
  const reached = new Set(tallies.flatMap((tally) => tally.reached));
  for (const { name } of THEMES) {
    const of = tallies.filter((tally) => tally.theme === name);
    if (of.length === 0) continue;
    const points = new Set(of.flatMap((tally) => tally.reached)).size;
    console.log(
      `  ${name.padEnd(10)} ${String(of.length).padStart(3)} histories  ${String(sum("kills", of)).padStart(5)} victims  ${String(sum("recovererKills", of)).padStart(5)} recoverers  ${String(points).padStart(4)} points`,
    );
  }
  tellUnreached(trees, reached, full);
  const bad = tallies.flatMap((tally) => tally.bad);
  const inTree = [...reached].filter((point) => point < trees.points.length).length;
  const kills = sum("kills") + sum("recovererKills");
  console.log(
    `crash: ${kills} kills (${sum("kills")} of victims, ${sum("recovererKills")} of their recoverers) at ${inTree} of ${trees.points.length} points; ` +
      `${sum("elsewhere")} victims died at another point than planned, ${sum("missed")} at none; ${seconds} s (${(kills / seconds).toFixed(1)} kills a second)`,
  );
  const count = (word: RegExp): number => bad.filter((line) => word.test(line)).length;
  console.log(`crash: ${count(/lost/)} lost, ${count(/twice|duplicat/)} duplicated, ${count(/stuck/)} stuck, ${bad.length} wrong in all`);
  return bad.length === 0 ? 0 : 1;
}

/** Where nobody was killed, and why: only a full run can say that it is not for lack of trying. */
function tellUnreached(trees: CampaignTrees, reached: ReadonlySet<number>, full: boolean): void {
  const never = trees.points.filter((point) => !reached.has(point.number));
  const unknown = never.filter((point) => reasonFor(point.name) === null);
  if (!full) {
    console.log(`points at which nobody was killed: ${never.length}, of which ${never.length - unknown.length} cannot be reached`);
    return;
  }
  for (const { reason } of UNREACHED) {
    const points = never.filter((point) => reasonFor(point.name) === reason);
    if (points.length > 0) console.log(`  ${points.length} never reached, ${reason}: ${points.map((point) => point.name).join(", ")}`);
  }
  if (unknown.length > 0)
    console.log(
      `  ${unknown.length} never reached, without a reason: ${unknown.map((point) => `${point.name} (${point.file}:${point.line})`).join(", ")}`,
    );
  const stale = trees.points.filter((point) => reached.has(point.number) && reasonFor(point.name) !== null);
  if (stale.length > 0) console.log(`  listed as out of reach, and reached: ${stale.map((point) => point.name).join(", ")}`);
}

if (process.argv.includes("--share")) process.once("message", (trees: CampaignTrees) => void work(trees));
else void main();
