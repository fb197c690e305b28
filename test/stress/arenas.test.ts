import { expect, test } from "vitest";
import type { Arena } from "../../src/backend/vmem/arena.ts";
import { Uma } from "../../src/index.ts";
import { randomFrom, seedFor } from "../fixtures/seeds.ts";
import { startWorker } from "../fixtures/workers.ts";

/** Deaths, two workers at work at a time. */
const DEATHS = Number(process.env["ZALLOC_ARENA_DEATHS"] ?? 6);

function freeAll(arena: Arena): void {
  const left: { start: number; size: number; state: string }[] = [];
  arena.walk((segment) => void left.push(segment), { which: "alloc", snapshot: true });
  for (const { start, size, state } of left) {
    if (state === "xalloc") arena.xfree(start, size);
    else if (state === "alloc") arena.free(start, size);
  }
}

test("workers that are killed at random instants while they take and give ranges lose none", async () => {
  const seed = seedFor("arenas, deaths");
  const random = randomFrom(seed);
  using uma = Uma.create({ bytes: 8 * 2 ** 20, workers: 6, patience: 2000 });
  const pages = uma.arenas.create("pages", { quantum: 4096, qcacheMax: 4 * 4096, source: uma.arenas.heap, importMin: 16384 });
  const cached = uma.arenas.create("cached", { quantum: 16, qcacheMax: 64, source: pages });
  const ids = uma.arenas.create("ids", { identifiers: true, qcacheMax: 4, span: { start: 1000, size: 5000 } });
  for (let death = 0; death < DEATHS; death += 2) {
    const workers = [0, 1].map((n) => {
      const ticket = uma.ticket();
      const worker = startWorker("range-worker.ts", { ticket, seed: seed + death + n });
      return { worker, recovered: uma.watch(worker.worker, ticket) };
    });
    for (const { worker } of workers) expect(await worker.next()).toBe("at work");
    const reports = [];
    for (const { worker, recovered } of workers) {
      await new Promise((resolve) => setTimeout(resolve, random.below(60)));
      await worker.kill();
      reports.push(await recovered);
    }
    for (const report of reports) expect(report?.done).toBe(true);
    // Arenas of their own that they had not ended yet; one that they were ending is ended by the recovery.
    for (const name of uma.arenas.list()) if (name.startsWith("passing")) uma.arenas.open(name).destroy({ force: true });
    // What they had out of the caches was reported by the piece, and is freed by that; the rest is segments.
    for (const { arena, start, size } of reports.flatMap((report) => report?.arenas ?? [])) {
      if (arena.startsWith("passing")) continue;
      const own = uma.arenas.open(arena);
      if (own.whatis(start)?.state === "cache") own.free(start, size);
    }
    for (const arena of [ids, cached, pages]) {
      freeAll(arena);
      arena.reap();
    }
    const left = [ids, cached, pages].map((arena) => arena.size("alloc"));
    expect({ death, left, list: uma.arenas.list(), problems: uma.verify().problems }).toEqual({
      death,
      left: [0, 0, 0],
      list: ["pages", "cached", "ids"],
      problems: [],
    });
  }
  expect([cached.size("total"), pages.size("total")]).toEqual([0, 0]);
});
