/**
 * Recoverers that are killed at a point of their own, each of which once lost something: whoever takes over must find it.
 */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Campaign } from "../../tools/crash/campaign.ts";
import { type CampaignTrees, buildCampaignTrees } from "../../tools/crash/trees.ts";

const NAME = `second-deaths-${process.pid}`;

let trees: CampaignTrees;
beforeAll(() => {
  trees = buildCampaignTrees(NAME);
});
afterAll(() => rmSync(new URL(`../../build/${NAME}`, import.meta.url), { recursive: true, force: true }));

function numberOf(name: string): number {
  const point = trees.points.find((one) => one.name === name);
  if (point === undefined) throw new Error(`there is no point ${name}`);
  return point.number;
}

describe("a recoverer that has not opened the zone, and dies", () => {
  test("between leaving an item for somebody who has, and saying so: the item is freed all the same", async () => {
    // With this seed the recoverer opens none of the zones.
    const options = { trees, theme: "zones", seed: 0 };
    const crew = Campaign.crewFor(options);
    const campaign = await Campaign.create(options, crew);
    try {
      const hits = (await campaign.count()).counts.reduce((sum, count) => sum + count, 0);
      let killed = 0;
      for (const share of [0.4, 0.6, 0.8]) {
        const outcome = await campaign.kill({
          point: "any",
          occurrence: Math.floor(hits * share),
          recoverer: { point: numberOf("uma/orphans.js:createOrphans.orphan#3"), occurrence: 1 },
        });
        if (outcome.recovererKilled) killed++;
        expect(outcome.problems).toEqual([]);
      }
      expect(killed).toBeGreaterThan(0);
    } finally {
      await crew.dismiss();
      await campaign.close();
    }
  });
});
