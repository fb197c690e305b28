/**
 * A shift: one history of one theme, and all kills planned for it, some to a memory.
 *
 * A memory serves for a few kills, so that victims also meet pools, lists and caches that others have used; a new one
 * comes often enough that a failing kill can be repeated by what went before it in its memory, which is printed.
 */
import { Campaign, type CampaignOptions, type Kill, type Outcome, type Passes } from "./campaign.ts";
import { killsText, planKills, thin, withRecoverers } from "./plan.ts";

export interface ShiftOptions extends CampaignOptions {
  readonly kills: number;
  /** Points at which somebody was killed in other shifts. */
  readonly known?: readonly number[];
  /** Points that hardly another history passes: there first. */
  readonly rare?: readonly number[];
  /** Told of each kill; false ends the shift. */
  readonly after?: (kill: Kill, outcome: Outcome) => boolean;
}

export interface ShiftTally {
  kills: number;
  recovererKills: number;
  /** Histories that were killed at another point than theirs, because they did not come by it. */
  elsewhere: number;
  /** Histories that ended before anybody could be killed. */
  missed: number;
  readonly bad: string[];
  readonly reached: Set<number>;
}

const KILLS_A_MEMORY = 16;
/** Recoveries that are watched, to know which points they pass. */
const WATCHED_RECOVERIES = 5;
const KILLS_A_WATCH = 12;
/** Kills of a recoverer that are planned for what one watched recovery was seen to pass. */
const SECOND_DEATHS = 8;
const MOST_BAD = 5;

/** The command that repeats some kills in a memory of their own. */
export function repetition({ theme, seed, peer }: CampaignOptions, kills: readonly Kill[]): string {
  return `npm run crash -- --theme ${theme} --seed ${seed}${peer === true ? " --peer" : ""} --repeat ${killsText(kills)}`;
}

export async function workShift(options: ShiftOptions): Promise<ShiftTally> {
  const tally: ShiftTally = { kills: 0, recovererKills: 0, elsewhere: 0, missed: 0, bad: [], reached: new Set() };
  const note = (kill: Kill, { killed, recovererKilled, at }: Outcome): void => {
    if (!killed) tally.missed++;
    else tally.kills++;
    if (killed && at[0] !== kill.point) tally.elsewhere++;
    if (recovererKilled) tally.recovererKills++;
    for (const point of at) tally.reached.add(point);
  };
  const crew = Campaign.crewFor(options);
  let campaign = await Campaign.create(options, crew);
  try {
    const { plan } = await planOf(campaign, options);
    let done: Kill[] = [];
    for (const kill of plan) {
      if (done.length === KILLS_A_MEMORY) {
        await campaign.close();
        campaign = await Campaign.create(options, crew);
        done = [];
      }
      done.push(kill);
      let outcome = await campaign.kill(kill);
      note(kill, outcome);
      const isNew = kill.point !== "any" && !tally.reached.has(kill.point) && options.known?.includes(kill.point) !== true;
      if (outcome.problems.length === 0 && (!outcome.killed || isNew) && options.peer !== true) {
        // The history took another turn in a used memory; in a new one it is the one that was counted.
        await campaign.close();
        campaign = await Campaign.create(options, crew);
        done = [kill];
        outcome = await campaign.kill(kill);
        note(kill, outcome);
      }
      if (outcome.problems.length > 0) {
        tally.bad.push(describe(campaign, options, done, outcome));
        if (tally.bad.length >= MOST_BAD) break;
        // What is wrong once stays wrong in this memory.
        done = new Array<Kill>(KILLS_A_MEMORY).fill(kill);
      }
      if (options.after?.(kill, outcome) === false) break;
    }
  } finally {
    await crew.dismiss();
    await campaign.close();
  }
  return tally;
}

/** Goes through a history once, without a kill or a recovery. @returns the points that it passes. */
export async function scoutShift(options: ShiftOptions): Promise<ReadonlySet<number>> {
  const crew = Campaign.crewFor(options);
  const campaign = await Campaign.create(options, crew);
  try {
    const { counts } = await campaign.count();
    return new Set([...counts.keys()].filter((point) => (counts[point] ?? 0) > 0));
  } finally {
    await crew.dismiss();
    await campaign.close();
  }
}

/** Watches a history and some of its recoveries, without a kill of a recoverer. @returns the points that were passed. */
export async function watchShift(options: ShiftOptions): Promise<ReadonlySet<number>> {
  const crew = Campaign.crewFor(options);
  const campaign = await Campaign.create(options, crew);
  try {
    return (await planOf(campaign, options)).passed;
  } finally {
    await crew.dismiss();
    await campaign.close();
  }
}

/** A history is watched through, then some recoveries of it; then it is known where to kill whom. */
async function planOf(campaign: Campaign, { seed, kills, known, rare }: ShiftOptions): Promise<{ plan: Kill[]; passed: Set<number> }> {
  const passes = await campaign.count();
  const { counts } = passes;
  const reached = new Set(known);
  const passed = new Set([...counts.keys()].filter((point) => (counts[point] ?? 0) > 0));
  const plan = planKills(passes, seed, kills, reached, new Set(rare));
  const watches = Math.min(WATCHED_RECOVERIES, Math.ceil(kills / KILLS_A_WATCH));
  const recoveries: Passes[] = [];
  const seconds: Kill[] = [];
  for (const kill of thin(plan, watches)) {
    const watched = await campaign.countRecovery(kill);
    recoveries.push(watched);
    const fresh: number[] = [];
    for (const [point, count] of watched.counts.entries()) {
      if (count > 0) passed.add(point);
      if (count > 0 && !reached.has(point)) fresh.push(point);
    }
    for (const point of seconds.length * 4 < kills ? fresh.slice(0, SECOND_DEATHS) : []) {
      reached.add(point);
      seconds.push({ ...kill, recoverer: { point, occurrence: 1 } });
    }
  }
  // What was not killed at before stands first in the plan.
  return { plan: [...seconds, ...withRecoverers(plan.slice(0, Math.max(0, kills - seconds.length)), recoveries, seed)], passed };
}

/** Makes some kills again, in one memory, and tells each or only the last. @returns what was wrong. */
export async function repeat(options: CampaignOptions, kills: readonly Kill[], tellAll: boolean): Promise<string[]> {
  const crew = Campaign.crewFor(options);
  const campaign = await Campaign.create(options, crew);
  try {
    for (const [n, kill] of kills.entries()) {
      const outcome = await campaign.kill(kill);
      const at = outcome.at.map((point) => campaign.nameOf(point)).join(", then ");
      if (tellAll || outcome.problems.length > 0)
        console.log(`${n + 1}. kill${outcome.killed ? ` at ${at}` : ": the history ended before its point"}`);
      if (outcome.problems.length > 0) return outcome.problems;
    }
    return [];
  } finally {
    await crew.dismiss();
    await campaign.close();
  }
}

function describe(campaign: Campaign, options: CampaignOptions, done: readonly Kill[], outcome: Outcome): string {
  const kill = done.at(-1) as Kill;
  const recoverer = kill.recoverer;
  const second = recoverer === undefined ? "" : `, recoverer at ${campaign.nameOf(recoverer.point)}, pass ${recoverer.occurrence}`;
  return [
    `theme ${options.theme}, seed ${options.seed}: ${campaign.nameOf(kill.point)}, pass ${kill.occurrence}${second}`,
    ...outcome.problems.slice(0, 8).map((problem) => `    ${problem}`),
    `    repeat with: ${repetition(options, done)}`,
  ].join("\n");
}
