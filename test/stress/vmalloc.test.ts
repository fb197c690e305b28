/** Workers that map and free areas side by side, and are killed at it. */
import { expect, test } from "vitest";
import { Uma, openVmalloc } from "../../src/index.ts";
import type { HeapErrand } from "../fixtures/heap-worker.ts";
import { startWorker } from "../fixtures/workers.ts";

test("areas are every worker's to read and free; what a worker keeps outlives it", async () => {
  const uma = Uma.create({ bytes: 2 ** 24, workers: 4, patience: 2000 });
  const vm = openVmalloc(uma, { warnBytes: 0 });
  const crew = await Promise.all(
    [1, 2].map(async () => {
      const ticket = uma.ticket();
      const started = startWorker("heap-worker.ts", { ticket, map: 150, keep: 3 } satisfies HeapErrand);
      const recovered = uma.watch(started.worker, ticket);
      await started.next();
      const { wrong, kept } = await started.next<{ wrong: number; kept: number[] }>();
      expect(wrong).toBe(0);
      await recovered;
      return { kept, slot: ticket.name & 127 };
    }),
  );
  const infos = [...vm.info()];
  expect(infos).toHaveLength(6);
  for (const { kept, slot } of crew) {
    for (const p of kept) {
      expect(infos.find((area) => area.address === p)).toMatchObject({ pages: 2, owner: 127 });
      expect(vm.getU8(p + 8191)).toBe(slot);
      vm.free(p);
    }
  }
  expect(vm.stats()).toMatchObject({ areas: 0, bytes: 0, used: 0 });
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

test("a worker killed while it maps and frees leaves whole areas, or none", async () => {
  const uma = Uma.create({ bytes: 2 ** 24, workers: 4, patience: 2000 });
  const vm = openVmalloc(uma, { warnBytes: 0 });
  for (let round = 0; round < 6; round++) {
    const ticket = uma.ticket();
    const started = startWorker("heap-worker.ts", { ticket, map: 60_000 } satisfies HeapErrand);
    const recovered = uma.watch(started.worker, ticket);
    await started.next();
    const until = performance.now() + 20 + 7 * round;
    while (performance.now() < until) {
      const p = vm.alloc(30_000);
      // None while the victim sleeps with a lock in its hands.
      if (p !== 0) vm.setU8(p + 29_999, 1);
      vm.free(p);
      await new Promise((resolve) => void setImmediate(resolve));
    }
    await started.worker.terminate();
    const report = await recovered;
    expect(uma.verify().problems).toEqual([]);
    const left = [...vm.info()];
    expect(report?.areas.map(({ address, bytes }) => ({ address, bytes }))).toEqual(left.map(({ address, bytes }) => ({ address, bytes })));
    for (const { address } of left) vm.free(address);
    expect(vm.stats()).toMatchObject({ areas: 0, bytes: 0, used: 0 });
  }
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});
