/** Secondary and cache zones under several workers, one of which dies: hooks meet no item in a state that is not theirs, and nothing is lost. */
import { expect, test } from "vitest";
import { Uma, type Zone } from "../../src/index.ts";
import { IDS, gateZones } from "../fixtures/gates-churn-zones.ts";
import { seedFor } from "../fixtures/seeds.ts";
import { startWorker } from "../fixtures/workers.ts";

test("workers churn a primary, a secondary and a cache zone; one is terminated in the middle", async () => {
  const seed = seedFor("gates");
  const uma = Uma.create({ bytes: 8 << 20, workers: 6, patience: 1000 });
  const ids = new Int32Array(new SharedArrayBuffer((IDS + 1) * 4));
  const zones: Zone[] = gateZones(ids).map((definition) => uma.open(definition));
  const workers = [0, 1, 2].map((n) => {
    const ticket = uma.ticket();
    return { ticket, started: startWorker("gates-churn-worker.ts", { ticket, rounds: n === 0 ? 1e9 : 40_000, seed: seed + n, ids }) };
  });
  const [victim, ...others] = workers;
  expect(await others[0]?.started.next()).toBe("half");
  await victim?.started.kill();
  expect(victim === undefined ? null : uma.reap(victim.ticket)?.done).toBe(true);
  for (const { started } of others) {
    let said = await started.next();
    if (said === "half") said = await started.next();
    expect(said).toBe("done");
  }
  uma.poll();
  expect(ids[0]).toBe(0);
  expect(uma.verify().problems).toEqual([]);
  expect([zones[0]?.getCur(), zones[1]?.getCur()]).toEqual([0, 0]);
  // What the victim held of the ids, and what was in its import, is still out; all else is back.
  const lost = zones[2]?.getCur() ?? 0;
  expect(lost).toBeLessThanOrEqual(40);
  for (const zone of [...zones].reverse()) zone.reclaim("drain");
  const out = ids.subarray(1).reduce((sum, id) => sum + id, 0);
  expect(out).toBeGreaterThanOrEqual(lost);
  expect(out).toBeLessThanOrEqual(lost + 8);
  expect(zones[0]?.stats().slabs).toBe(0);
  uma.detach();
});
