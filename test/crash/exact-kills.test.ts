/**
 * A victim is terminated while it is parked exactly at a chosen store of the library; afterwards nothing is lost, nothing is
 * there twice, and nobody is stuck. The full run is `npm run crash`; this one makes some kills in each part of the library.
 */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { workShift } from "../../tools/crash/shift.ts";
import { THEMES } from "../../tools/crash/themes/index.ts";
import { type CampaignTrees, buildCampaignTrees } from "../../tools/crash/trees.ts";
import { reasonFor } from "../../tools/crash/unreached.ts";

const NAME = `exact-kills-${process.pid}`;
const SEED = 1001;
/** Victims planned for each theme, alone and in company; recoverers that die as well are not counted. */
const PLANNED = 13;
const LEAST = 300;

let trees: CampaignTrees;
let kills = 0;
const reached = new Set<number>();

beforeAll(() => {
  trees = buildCampaignTrees(NAME);
});
afterAll(() => rmSync(new URL(`../../build/${NAME}`, import.meta.url), { recursive: true, force: true }));

async function shift(theme: string, seed: number, peer: boolean): Promise<string[]> {
  const tally = await workShift({ trees, theme, seed, peer, kills: PLANNED, known: [...reached] });
  kills += tally.kills;
  for (const point of tally.reached) reached.add(point);
  return tally.bad;
}

// Two at a time: a shift waits for its victims most of the time.
describe("a worker that is killed exactly at a store of the library leaves nothing lost, nothing twice and nobody stuck", () => {
  test.each(THEMES.map(({ name }, n) => ({ name, n })))(
    "$name: alone, and beside another at work",
    { timeout: 300_000 },
    async ({ name, n }) => {
      const bad = await Promise.all([shift(name, SEED + 2 * n, false), shift(name, SEED + 2 * n + 1, true)]);
      // As text: what went wrong is then in the message.
      expect(bad.flat().join("\n")).toBe("");
    },
  );

  test(`at least ${LEAST} times, and never where it is said that nobody can be killed`, () => {
    expect(kills).toBeGreaterThanOrEqual(LEAST);
    const listed = trees.points.filter((point) => reached.has(point.number) && reasonFor(point.name) !== null);
    expect(listed.map((point) => point.name)).toEqual([]);
  });
});
