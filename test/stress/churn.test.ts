/** Four workers at the same zones at once: whoever has an item has it alone, nothing is lost, and all counts come out even. */
import { describe, expect, test } from "vitest";
import { ALL, type Name } from "../fixtures/definitions.ts";
import type { ChurnJob, Ledger } from "../fixtures/churn-worker.ts";
import { randomFrom, seedFor } from "../fixtures/seeds.ts";
import { startWorker } from "../fixtures/workers.ts";
import { expectSound, makeUma } from "../fixtures/zones.ts";
import type { Uma, Zone } from "../../src/index.ts";

const WORKERS = 4;
/** As in the worker: a ring's items, and its two counters. */
const RING_WORDS = 258;

interface Outcome {
  readonly ledger: Ledger;
  readonly done: boolean;
}

async function churn(uma: Uma, zones: readonly Name[], options: { steps: number; seed: number; reopen?: boolean }) {
  const random = randomFrom(options.seed);
  const rings = new SharedArrayBuffer(WORKERS * WORKERS * RING_WORDS * 4);
  const ended = new SharedArrayBuffer(4);
  const started = Array.from({ length: WORKERS }, (_, me) => {
    const ticket = uma.ticket();
    const job: ChurnJob = {
      ticket,
      seed: random.below(2 ** 31),
      zones,
      steps: options.steps,
      rings,
      me,
      workers: WORKERS,
      ended,
      reopen: options.reopen ?? false,
    };
    return startWorker("churn-worker.ts", job);
  });
  const outcomes = await Promise.all(started.map((worker) => worker.next<Outcome>()));
  await Promise.all(started.map((worker) => worker.ended));
  return outcomes;
}

function sum(outcomes: readonly Outcome[], field: keyof Ledger): number {
  return outcomes.reduce((total, { ledger }) => total + ledger[field], 0);
}

describe("four workers", () => {
  test.each<[string, Name[], boolean]>([
    ["one zone without hooks", ["Small"], false],
    ["zones of several kinds", ["Small", "Medium", "Bare", "Dressed"], false],
    ["zones that they close and open again", ["Small", "Bare", "Medium"], true],
  ])("that share %s never have the same item, and lose none", async (what, names, reopen) => {
    const uma = makeUma({ bytes: 16 << 20, patience: 5000 });
    const zones = names.map((name) => uma.open(ALL[name]) as Zone);
    const outcomes = await churn(uma, names, { steps: 30_000, seed: seedFor(`churn, ${what}`), reopen });
    expect(sum(outcomes, "wrong")).toBe(0);
    expect(sum(outcomes, "failed")).toBe(0);
    expect(sum(outcomes, "sent")).toBe(sum(outcomes, "remote"));
    expect(sum(outcomes, "allocs")).toBe(sum(outcomes, "freed") + sum(outcomes, "remote"));
    expect(sum(outcomes, "remote")).toBeGreaterThan(1000);
    // What one had sent may lie in another's ring when it leaves: without an owner then, and freed there all the same.
    for (const { done } of outcomes) expect(done).toBe(true);
    const stats = zones.map((zone) => zone.stats());
    const total = (field: "used" | "requests" | "xdomain"): number => stats.reduce((n, zone) => n + zone[field], 0);
    expect([total("used"), total("requests"), total("xdomain")]).toEqual([0, sum(outcomes, "allocs"), sum(outcomes, "remote")]);
    expectSound(uma);
    for (const zone of zones) zone.reclaim();
    expect(zones.map((zone) => zone.stats().slabs)).toEqual(zones.map(() => 0));
    expectSound(uma);
  });
});
