/**
 * `npm run crash`: exact kills by the thousand.
 *
 *   npm run crash                          the full run: at least 10,000 kills on two processes
 *   npm run crash -- --kills 300           a short one
 *   npm run crash -- --seed 7 --kills 50   other histories
 *   npm run crash -- --list                the points, by name
 *
 * Each history (a seed) is first run to its end, counting how often it passes each point; then a victim with the same history is
 * terminated at each point it passes, at several occurrences. Every fourth kill has its recoverer killed as well.
 * Exit code 1 if anything was lost, duplicated or stuck.
 */
import { fork } from "node:child_process";
import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { Campaign, type Kill } from "./campaign.ts";
import { generator, planKills, thin } from "./plan.ts";
import { buildCrashTrees, type CrashTrees } from "./trees.ts";

interface Share {
  readonly trees: CrashTrees;
  readonly seeds: number[];
  readonly kills: number;
}

interface Tally {
  kills: number;
  recovererKills: number;
  missed: number;
  bad: string[];
  reached: number[];
  byPoint: number[];
}

const STEPS = 120;
const PER_POINT = 4;
const MOST_BAD = 20;
const FRESH_EVERY = 40;

async function work(share: Share): Promise<Tally> {
  const tally: Tally = { kills: 0, recovererKills: 0, missed: 0, bad: [], reached: [], byPoint: [] };
  const reached = new Set<number>();
  for (const seed of share.seeds) {
    // Every other history has company.
    const options = { ...share.trees, seed, steps: STEPS, peer: seed % 2 === 0 };
    let campaign = await Campaign.create(options);
    const counts = await campaign.count(seed);
    const random = generator(seed + 1);
    const most = Math.ceil(share.kills / share.seeds.length);
    for (const [n, plain] of thin(planKills(counts, seed, PER_POINT), most).entries()) {
      const kill: Kill = n % 4 === 3 ? { ...plain, recovererPoint: -1, recovererOccurrence: 1 + random(400) } : plain;
      const outcome = await campaign.kill(kill);
      if (outcome.killed) {
        tally.kills++;
        for (const point of outcome.at) reached.add(point);
        tally.byPoint[kill.point] = (tally.byPoint[kill.point] ?? 0) + 1;
      } else {
        tally.missed++;
      }
      if (outcome.recovererKilled) tally.recovererKills++;
      if (outcome.problems.length > 0) {
        tally.bad.push(
          `seed ${seed}, ${campaign.nameOf(kill.point)} at its ${kill.occurrence}. pass${kill.recovererPoint === undefined ? "" : `, recoverer killed at its ${kill.recovererOccurrence}. point`}: ${outcome.problems.join("; ")}`,
        );
        if (tally.bad.length >= MOST_BAD) return tally;
        await campaign.close();
        campaign = await Campaign.create(options);
      }
      // A new memory now and then: its first victims meet empty pools and lists.
      if (n % FRESH_EVERY === FRESH_EVERY - 1) {
        await campaign.close();
        campaign = await Campaign.create(options);
      }
      if (n % 100 === 99) process.send?.({ progress: 100 });
    }
    await campaign.close();
  }
  tally.reached = [...reached];
  return tally;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "10800" },
      seed: { type: "string", default: "1" },
      processes: { type: "string", default: "2" },
      list: { type: "boolean", default: false },
    },
  });
  const kills = Number(values.kills);
  const first = Number(values.seed);
  const processes = Number(values.processes);
  const name = `crash-${process.pid}`;
  const trees = buildCrashTrees(name);
  if (values.list) {
    for (const point of trees.points)
      console.log(`${String(point.number).padStart(4)}  ${point.kind.padEnd(6)}  ${point.name}  (${point.file}:${point.line})`);
    rmSync(`build/${name}`, { recursive: true, force: true });
    return;
  }
  const started = performance.now();
  const histories = Math.max(processes, Math.ceil(kills / 500));
  const seeds = Array.from({ length: histories }, (_, n) => first + n);
  console.log(
    `crash: ${trees.points.length} points, ${histories} histories (seeds ${first} … ${first + histories - 1}), about ${kills} kills, ${processes} processes`,
  );
  let progress = 0;
  const tallies = await Promise.all(
    Array.from({ length: processes }, (_, p) => {
      const share: Share = { trees, seeds: seeds.filter((_, n) => n % processes === p), kills: Math.ceil(kills / processes) };
      return new Promise<Tally>((resolve, reject) => {
        const child = fork(import.meta.filename, ["--share"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
        child.send(share);
        child.on("message", (message: { progress?: number; tally?: Tally }) => {
          if (message.progress !== undefined) {
            progress += message.progress;
            if (progress % 1000 === 0) console.log(`crash: ${progress} kills after ${Math.round((performance.now() - started) / 1000)} s`);
          }
          if (message.tally !== undefined) resolve(message.tally);
        });
        child.on("exit", (code) => reject(new Error(`a process ended with ${String(code)} before its tally`)));
      });
    }),
  );
  const sum = (field: "kills" | "recovererKills" | "missed"): number => tallies.reduce((total, tally) => total + tally[field], 0);
  const bad = tallies.flatMap((tally) => tally.bad);
  const reached = new Set(tallies.flatMap((tally) => tally.reached));
  const never = trees.points.filter((point) => !reached.has(point.number));
  console.log(`points never passed by a history (${never.length}): ${never.map((point) => point.name).join(", ")}`);
  console.log(
    `crash: ${sum("kills")} kills at ${reached.size} points, ${sum("recovererKills")} of the recoverer as well, ${sum("missed")} histories ended before their point, ${Math.round((performance.now() - started) / 1000)} s`,
  );
  const count = (word: RegExp): number => bad.filter((line) => word.test(line)).length;
  console.log(`crash: ${count(/lost/)} lost, ${count(/twice|duplicat/)} duplicated, ${count(/stuck/)} stuck, ${bad.length} wrong in all`);
  for (const line of bad) console.log(`  ${line}`);
  rmSync(`build/${name}`, { recursive: true, force: true });
  process.exit(bad.length === 0 ? 0 : 1);
}

if (process.argv.includes("--share")) {
  process.once("message", (share: Share) => {
    void work(share).then((tally) => process.send?.({ tally }, () => process.exit(0)));
  });
} else {
  void main();
}
