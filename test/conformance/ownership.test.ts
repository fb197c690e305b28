/**
 * The ownership oracle, as in the stress tests of malloc implementations (mimalloc's test-stress, SPLAT's slab_lock, XNU's zone
 * stress): every worker stamps itself and a number over each buffer, and looks for others' stamps after alloc, while it holds the
 * buffer, and before free. Meanwhile the main thread reclaims in every way there is.
 */
import { describe, expect, test } from "vitest";
import { type ReclaimMode, Uma } from "../../src/index.ts";
import { SB_TICK } from "../../src/backend/memory/layout.ts";
import { type OracleJob, type OracleReport, emptyMailbox, sized } from "../fixtures/oracle-worker.ts";
import { randomFrom, seedFor } from "../fixtures/seeds.ts";
import { startWorker } from "../fixtures/workers.ts";

const MIB = 2 ** 20;
const MODES: readonly ReclaimMode[] = ["trim", "drain", "drain-cpu"];

interface Plan {
  readonly workers: number;
  readonly sizes: readonly number[];
  readonly steps: number;
  readonly hold: number;
  readonly batches?: readonly number[];
  readonly bulk?: boolean;
}

/** Runs the workers while this thread reclaims. @returns what they say. */
async function run(uma: Uma, what: string, { workers, sizes, steps, hold, batches = [], bulk = false }: Plan): Promise<OracleReport[]> {
  const random = randomFrom(seedFor(what));
  const zones = sizes.map((size) => uma.open(sized(size)));
  const mailbox = new SharedArrayBuffer(64 * 4);
  const started = Array.from({ length: workers }, () => {
    const job: OracleJob = { ticket: uma.ticket(), seed: random.below(2 ** 31), sizes, steps, hold, batches, mailbox, bulk };
    return startWorker("oracle-worker.ts", job);
  });
  let working = true;
  const reports = Promise.all(started.map((worker) => worker.next<OracleReport>())).finally(() => {
    working = false;
  });
  const { i32, base } = uma.core.floor.cells;
  for (let n = 0; working; n++) {
    if (n % 4 === 3) {
      i32[base + SB_TICK] = 0;
      uma.tick();
    } else uma.reclaim(MODES[n % 4] as ReclaimMode);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const said = await reports;
  await Promise.all(started.map((worker) => worker.ended));
  emptyMailbox(new Int32Array(mailbox), (zone, item) => zones[zone]?.free(item));
  return said;
}

/** Everything came back, was counted, and can be given back. */
function expectAllBack(uma: Uma, sizes: readonly number[]): void {
  expect(uma.verify().problems).toEqual([]);
  for (const size of sizes) {
    const z = uma.open(sized(size));
    expect(z.stats().used).toBe(0);
    z.reclaim("drain");
    expect(z.stats().slabs).toBe(0);
  }
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

describe("nobody ever finds another's stamp", () => {
  test.each<[string, Plan]>([
    [
      "in small items of several sizes, one by one and eight at a time",
      { workers: 4, sizes: [16, 64, 104, 520], steps: 12_000, hold: 400, bulk: true },
    ],
    [
      "in items of several pages (XNU: stress under reclaim, multi-page class)",
      { workers: 3, sizes: [12_288, 40_960], steps: 3000, hold: 20 },
    ],
    [
      "over the matrix of sizes and counts (SPLAT: slab_lock)",
      { workers: 4, sizes: [128, 1024, 16_384], steps: 0, hold: 0, batches: [10, 100, 1000] },
    ],
  ])("%s", async (what, plan) => {
    const uma = Uma.create({ bytes: 96 * MIB, workers: 8, patience: 5000 });
    const reports = await run(uma, what, plan);
    expect(reports.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(reports.map(({ failed }) => failed)).toEqual(reports.map(() => 0));
    for (const { ops } of reports) expect(ops).toBeGreaterThan(1000);
    if (plan.steps > 0) expect(reports.reduce((sum, { remote }) => sum + remote, 0)).toBeGreaterThan(100);
    expectAllBack(uma, plan.sizes);
  });

  test("in a memory that is too small for all (XNU: simulated pressure): some allocations fail, nothing else does", async () => {
    const uma = Uma.create({ bytes: 3 * MIB, workers: 8, patience: 5000 });
    // Each worker alone would hold more than there is.
    const sizes = [64, 1024, 12_288];
    const reports = await run(uma, "pressure", { workers: 4, sizes, steps: 6000, hold: 1000, bulk: true });
    expect(reports.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(reports.reduce((sum, { failed }) => sum + failed, 0)).toBeGreaterThan(0);
    expectAllBack(uma, sizes);
  });
});
