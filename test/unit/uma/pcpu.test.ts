import { expect, test } from "vitest";
import { Uma, openPcpu } from "../../../src/index.ts";
import { startWorker } from "../../fixtures/workers.ts";

const coded = (code: string): unknown => expect.objectContaining({ code });

test("each slot has a copy of its own, on cache lines of its own; the sum is over all", () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 6, patience: 2000 });
  const { i32 } = uma.views;
  const z = openPcpu(uma, "counters", { size: 8 });
  expect([z.copies, z.stride]).toEqual([6, 64]);
  const item = z.alloc();
  const other = z.alloc();
  expect(z.mine(item)).toBe(z.copyOf(item, uma.slot));
  for (let slot = 1; slot <= 6; slot++) i32[z.copyOf(item, slot) >>> 2] = slot;
  expect(z.sum(item, (copy) => i32[copy >>> 2] as number)).toBe(21);
  expect(z.sum(other, (copy) => i32[copy >>> 2] as number)).toBe(0);
  z.free(item);
  const again = z.alloc();
  expect(z.sum(again, (copy) => i32[copy >>> 2] as number)).toBe(0);
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

test("a copy larger than a page, or of a slot that is not there, is refused", () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 6, patience: 2000 });
  expect(() => openPcpu(uma, "large", { size: 4097 })).toThrow(coded("ERR_UMA_OPTION"));
  const z = openPcpu(uma, "page", { size: 4096 });
  const item = z.alloc();
  expect(() => z.copyOf(item, 0)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => z.copyOf(item, 7)).toThrow(coded("ERR_UMA_OPTION"));
  uma.detach();
});

test("workers count each in its copy of a shared item, without a lock; what dead ones have counted stays", async () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 6, patience: 2000 });
  const { i32 } = uma.views;
  const counters = openPcpu(uma, "counters", { size: 8 });
  const items = [counters.alloc(), counters.alloc()];
  const total = (item: number): number => counters.sum(item, (copy) => i32[copy >> 2] as number);
  const workers = [1000, 2000].map((times) => {
    const ticket = uma.ticket();
    return { ticket, ...startWorker("pcpu-worker.ts", { ticket, items, times }) };
  });
  const said = await Promise.all(workers.map((worker) => worker.next<{ slot: number; own: number; mine: number[] }>()));
  for (const { slot, own, mine } of said) {
    expect(mine).toEqual(items.map((item) => counters.copyOf(item, slot)));
    expect(total(own)).toBe(slot);
  }
  expect(items.map(total)).toEqual([3000, 3000]);
  for (const [n, worker] of workers.entries()) {
    await worker.kill();
    expect(uma.reap(worker.ticket)?.zones).toMatchObject([{ zone: "counters", kept: 1, items: [said[n]?.own] }]);
  }
  expect(items.map(total)).toEqual([3000, 3000]);
  i32[counters.mine(items[0] as number) >> 2]++;
  expect(total(items[0] as number)).toBe(3001);
  for (const item of [...items, ...said.map(({ own }) => own)]) counters.free(item);
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});
