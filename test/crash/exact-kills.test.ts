/**
 * A victim is terminated while it is parked exactly at a chosen store of the library; afterwards nothing is lost, nothing is
 * there twice, and nobody is stuck. The full run is `npm run crash`; this one spreads its kills evenly over all points.
 */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, test } from "vitest";
import { Campaign, type Kill } from "../../tools/crash/campaign.ts";
import { generator, planKills, thin } from "../../tools/crash/plan.ts";
import { buildCrashTrees, type CrashTrees } from "../../tools/crash/trees.ts";

const NAME = `exact-kills-${process.pid}`;
const STEPS = 120;
/** Kills that each test must have made; its plan has some to spare, for a history may end before its point. */
const KILLS = 150;
const PLANNED = 280;
const PER_POINT = 4;

let trees: CrashTrees;
beforeAll(() => {
  trees = buildCrashTrees(NAME);
});
afterAll(() => rmSync(new URL(`../../build/${NAME}`, import.meta.url), { recursive: true, force: true }));

function shuffled<T>(list: readonly T[], random: (below: number) => number): T[] {
  const mixed = [...list];
  for (let n = mixed.length - 1; n > 0; n--) {
    const other = random(n + 1);
    [mixed[n], mixed[other]] = [mixed[other] as T, mixed[n] as T];
  }
  return mixed;
}

/** Every fourth kill has its recoverer killed as well. */
async function campaignOf(seed: number, peer: boolean): Promise<{ killed: number; wrong: string[] }> {
  const campaign = await Campaign.create({ ...trees, seed, steps: STEPS, peer });
  const random = generator(seed);
  const wrong: string[] = [];
  let killed = 0;
  try {
    const plan = shuffled(thin(planKills(await campaign.count(seed), seed, PER_POINT), PLANNED), random);
    for (const [n, plain] of plan.entries()) {
      const kill: Kill = n % 4 === 3 ? { ...plain, recovererPoint: -1, recovererOccurrence: 1 + random(400) } : plain;
      const outcome = await campaign.kill(kill);
      if (outcome.killed) killed++;
      if (outcome.problems.length === 0 && killed < KILLS) continue;
      if (outcome.problems.length === 0) break;
      wrong.push(`seed ${seed}, ${campaign.nameOf(kill.point)} at its ${kill.occurrence}. pass: ${outcome.problems.join("; ")}`);
      // What is wrong once stays wrong in this memory: the first is the one to look at.
      break;
    }
  } finally {
    await campaign.close();
  }
  return { killed, wrong };
}

// At the same time: a campaign waits for its victims most of the time.
describe.concurrent("a worker that is killed exactly at a store of the library", () => {
  test("leaves nothing lost, nothing twice and nobody stuck when it was alone", { timeout: 300_000 }, async ({ expect }) => {
    const { killed, wrong } = await campaignOf(1001, false);
    expect(wrong).toEqual([]);
    expect(killed).toBe(KILLS);
  });

  test("nor when another worker is at work on the same zones", { timeout: 300_000 }, async ({ expect }) => {
    const { killed, wrong } = await campaignOf(1002, true);
    expect(wrong).toEqual([]);
    expect(killed).toBe(KILLS);
  });
});
