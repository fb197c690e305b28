import { describe, expect, test, vi } from "vitest";
import { defineZone, Uma } from "../../../../src/index.ts";
import type { NestingJob } from "../../../fixtures/nesting-worker.ts";
import { startWorker } from "../../../fixtures/workers.ts";

const Item = defineZone("item", { size: 64 });

describe("watch", () => {
  test("is refused where the exit event comes before the end", async () => {
    using uma = Uma.create({ bytes: 2 ** 18 });
    vi.stubGlobal("Deno", {});
    const never = { once: () => undefined };
    expect(() => uma.watch(never, uma.ticket())).toThrow(expect.objectContaining({ code: "ERR_UMA_NO_CERTIFICATE" }));
    await expect(uma.watchLock(uma.ticket())).rejects.toMatchObject({ code: "ERR_UMA_NO_CERTIFICATE" });
    vi.unstubAllGlobals();
  });

  test("recovers a worker when it exits, with what its thread had allocated", async () => {
    const uma = Uma.create({ bytes: 2 ** 20, workers: 8, patience: 2000 });
    const ticket = uma.ticket();
    const started = startWorker("nesting-worker.ts", { ticket, depth: 0 } satisfies NestingJob);
    const watched = uma.watch(started.worker, ticket);
    expect(await started.next()).toBe(2);
    await started.kill();
    expect(await watched).toMatchObject({ slot: 2, done: true, zones: [{ zone: "item", kept: 1 }], children: [] });
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("recovers it in slices as long as the thread can spare", async () => {
    const uma = Uma.create({ bytes: 2 ** 20, workers: 8 });
    const ticket = uma.ticket();
    const exits: (() => void)[] = [];
    const worker = { once: (_event: string, heard: () => void) => void exits.push(heard) };
    expect(() => uma.watch(worker, ticket, { slice: -1 })).toThrow(expect.objectContaining({ code: "ERR_UMA_OPTION" }));
    const reaps = vi.spyOn(uma, "reapAsync");
    const watched = uma.watch(worker, ticket, { slice: 0.5 });
    for (const heard of exits) heard();
    expect(await watched).not.toBeUndefined();
    expect(reaps.mock.calls).toEqual([[ticket, { slice: 0.5 }]]);
    uma.detach();
  });

  test("recovers the workers that it had started, and theirs", async () => {
    const uma = Uma.create({ bytes: 2 ** 20, workers: 8, patience: 2000 });
    const ticket = uma.ticket();
    const started = startWorker("nesting-worker.ts", { ticket, depth: 2 } satisfies NestingJob);
    const watched = uma.watch(started.worker, ticket);
    expect(await started.next()).toBe(4);
    expect(uma.stats().workers).toBe(4);
    await started.kill();
    expect(await watched).toMatchObject({ slot: 2, done: true, children: [{ slot: 3, done: true, children: [{ slot: 4, done: true }] }] });
    expect(uma.stats().workers).toBe(1);
    expect([...uma.open(Item).ownedBy(127)]).toHaveLength(3);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("recovers them also when the worker itself had left before", async () => {
    const uma = Uma.create({ bytes: 2 ** 20, workers: 8, patience: 2000 });
    const ticket = uma.ticket();
    const started = startWorker("nesting-worker.ts", { ticket, depth: 1, leave: true } satisfies NestingJob);
    const watched = uma.watch(started.worker, ticket);
    await started.next();
    expect(uma.stats().workers).toBe(2);
    await started.kill();
    expect(await watched).toMatchObject({ done: true, children: [{ slot: 3, done: true }] });
    expect(uma.stats().workers).toBe(1);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });
});

describe("reapAsync", () => {
  test("does the same in slices, with one report of all of them", async () => {
    const uma = Uma.create({ bytes: 64 * 2 ** 20, workers: 8, patience: 2000 });
    const ticket = uma.ticket();
    const started = startWorker("nesting-worker.ts", { ticket, depth: 0 } satisfies NestingJob);
    await started.next();
    const zone = uma.open(Item);
    // Handed over at once: what the worker owns then lies all over the memory.
    for (let n = 0; n < 200_000; n++) {
      const item = zone.alloc();
      if (n % 20_000 === 0) zone.transfer(item, 2);
    }
    await started.kill();
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const report = await uma.reapAsync(ticket, { slice: 1e-6 });
    clearInterval(timer);
    expect(report).toMatchObject({ slot: 2, done: true, zones: [{ zone: "item", kept: 11 }] });
    expect(turns).toBeGreaterThan(0);
    expect(await uma.reapAsync(ticket)).toBeNull();
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });

  test("refuses a slice that is none", async () => {
    using uma = Uma.create({ bytes: 2 ** 18 });
    await expect(uma.reapAsync(uma.ticket(), { slice: 0 })).rejects.toMatchObject({ code: "ERR_UMA_OPTION" });
  });
});
