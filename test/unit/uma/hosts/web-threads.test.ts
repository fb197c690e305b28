/** Real Web Locks between real threads, where the host has them (Node 24 and later). */
import { describe, expect, test } from "vitest";
import { defineZone, Uma } from "../../../../src/index.ts";
import { startWorker } from "../../../fixtures/workers.ts";

const hasLocks = typeof navigator !== "undefined" && navigator.locks !== undefined && !("Deno" in globalThis);

describe.skipIf(!hasLocks)("a worker that holds a Web Lock", () => {
  test("is found dead by its lock, and recovered", async () => {
    const uma = Uma.create({ bytes: 2 ** 20, workers: 4, patience: 2000 });
    const ticket = uma.ticket();
    const watched = uma.watchLock(ticket, { interval: 5 });
    const started = startWorker("locking-worker.ts", ticket);
    const item = await started.next<number>();
    expect(uma.stats().workers).toBe(2);
    await started.kill();
    const report = await watched;
    expect(report).toMatchObject({ slot: 2, done: true, zones: [{ zone: "item" }] });
    expect(report?.zones[0]?.items).toContain(item);
    expect(uma.open(defineZone("item", { size: 64 })).ownerOf(item)).toBe(127);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });
});
