import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ZONE_GENERATION } from "../../../../src/backend/memory/layout.ts";
import type { RecoveryReport, ZoneOf } from "../../../../src/index.ts";
import { Uma } from "../../../../src/index.ts";
import { Player, Shot, Stuck, Token } from "../../../fixtures/typed-zones.ts";

let uma: Uma;
let worker: Worker;
let reaped: Promise<RecoveryReport | null>;

async function ask(what: string, value = 0): Promise<unknown> {
  worker.postMessage({ do: what, value });
  return ((await once(worker, "message")) as [unknown])[0];
}

beforeEach(() => {
  uma = Uma.create({ bytes: 2 ** 22, patience: 2000 });
  const ticket = uma.ticket();
  worker = new Worker(new URL("../../../fixtures/typed-worker.ts", import.meta.url), { workerData: ticket });
  reaped = uma.watch(worker, ticket);
});

afterEach(async () => {
  await worker.terminate();
  await reaped;
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

test("fields written by one thread are read by the other", async () => {
  const players = uma.open(Player);
  const item = players.alloc("Grete");
  expect(await ask("score", item)).toEqual({ name: "Grete", state: "playing", score: 5 });
  expect(players.at(item).score).toBe(5);
});

test("a worker whose fields differ is refused, though the sizes agree", async () => {
  uma.open(Shot);
  expect(await ask("mismatch")).toEqual(["ERR_UMA_ZONE_MISMATCH", "shot"]);
});

test("handles are good in every thread, and go stale in all of them at once", async () => {
  for (const zone of [uma.open(Token), uma.open(Shot)] as ZoneOf<typeof Token>[]) {
    const handle = zone.allocHandle();
    const item = zone.get(handle);
    expect(await ask("get", handle)).toContain(item);
    await ask("free", handle);
    expect(zone.get(handle)).toBe(0);
    expect(await ask("get", handle)).toEqual([0, 0]);
    expect(() => zone.freeHandle(handle)).toThrow(expect.objectContaining({ code: "ERR_UMA_STALE" }));
  }
  const [token, shot] = (await ask("make")) as [number, number];
  uma.open(Token).freeHandle(token);
  uma.open(Shot).freeHandle(shot);
  expect(await ask("get", token)).toEqual([0, 0]);
  expect(await ask("get", shot)).toEqual([0, 0]);
});

test("a handle whose item was being freed when its worker died is stale, and its item allocated anew has another", async () => {
  const zone = uma.open(Stuck);
  const handle = zone.allocHandle();
  const item = zone.get(handle);
  expect(await ask("stick", handle)).toBe("sticking");
  while (zone.at(item).x < 10) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(zone.get(handle)).toBe(0);
  await worker.terminate();
  expect(await reaped).toMatchObject({ done: true, zones: [{ zone: "stuck", remade: 1 }] });
  expect(zone.get(handle)).toBe(0);
  const seen = Array.from({ length: 200 }, () => zone.allocHandle());
  expect(seen.map((one) => zone.get(one))).toContain(item);
  expect(seen).not.toContain(handle);
  expect(zone.get(handle)).toBe(0);
});

test.each([0, 1, 2, 3, 4])("a worker that dies after %i stores of a free leaves the handle good or stale for ever", async (steps) => {
  const zone = uma.open(Token);
  const { handles, item } = (await ask("half-free", steps)) as { handles: number[]; item: number };
  await worker.terminate();
  const report = await reaped;
  const [, , , victim, freed] = handles as [number, number, number, number, number];
  const free = steps >= 3;
  // Until the bucket's position is stored the item is allocated; its handle is good until the generation is.
  expect(zone.get(victim)).toBe(steps === 0 ? item : 0);
  expect(report?.zones).toMatchObject([{ zone: "token", kept: free ? 3 : 4, remade: 0 }]);
  expect(report?.zones[0]?.items.includes(item)).toBe(!free);
  if (!free) {
    const now = zone.handleOf(item);
    expect(now === victim).toBe(steps === 0);
    zone.freeHandle(now);
    expect(zone.get(now)).toBe(0);
  }
  const again = Array.from({ length: 1000 }, () => zone.allocHandle());
  expect(new Set([...again, ...handles]).size).toBe(again.length + handles.length);
  expect(again.map((handle) => zone.get(handle))).toContain(item);
  for (const old of [victim, freed]) expect(zone.get(old)).toBe(0);
  for (const handle of [...again, ...handles.slice(0, 3)]) zone.freeHandle(handle);
  expect(zone.stats().used).toBe(0);
});

test("two threads that count across the end of the generations give out no handle twice", async () => {
  const zone = uma.open(Token);
  const { i32 } = uma.core.floor.cells;
  const seen = new Set<number>();
  let given = 0;
  i32[zone.zone + ZONE_GENERATION] = -3000;
  for (let round = 0; round < 10; round++) {
    for (const handle of (await ask("churn", 300)) as number[]) seen.add(handle);
    for (let n = 0; n < 300; n++) {
      const handle = zone.allocHandle();
      seen.add(handle);
      zone.freeHandle(handle);
    }
    given += 600;
    expect(seen.size).toBe(given);
    zone.reclaim("drain-cpu");
  }
  expect([...seen].filter((handle) => zone.get(handle) !== 0)).toEqual([]);
});

test("a walk meets each item that stays, in order and once, while another thread allocates and frees", async () => {
  const zone = uma.open(Shot);
  expect(await ask("spray", 200_000)).toBe("spraying");
  const mine = Array.from({ length: 500 }, (_, n) => {
    const item = zone.alloc();
    zone.at(item).x = n + 1;
    return item;
  });
  const done = once(worker, "message");
  for (let walk = 0; walk < 50; walk++) {
    const met: number[] = [];
    let last = 0;
    for (let from = 0; ; ) {
      from = zone.forEach(
        (p, item) => {
          if (item <= last) throw new Error(`${item} after ${last}`);
          last = item;
          if (p.x > 0) met.push(p.x);
        },
        { from, items: 97 },
      );
      if (from === 0) break;
    }
    expect(met.sort((a, b) => a - b)).toEqual(mine.map((_, n) => n + 1));
  }
  await done;
  for (const item of mine) zone.free(item);
  expect(zone.stats().used).toBe(0);
});

test("a handle outlives the worker that made it, as its item does", async () => {
  uma.open(Token);
  uma.open(Shot);
  const [token] = (await ask("make")) as [number, number];
  await worker.terminate();
  expect((await reaped)?.zones.map(({ zone, kept }) => [zone, kept])).toEqual([
    ["token", 1],
    ["shot", 1],
  ]);
  expect(uma.open(Token).get(token)).not.toBe(0);
  uma.open(Token).freeHandle(token);
  expect(uma.open(Token).get(token)).toBe(0);
});

// What a worker leaves that is killed between two stores of a free; written here as that free would have.
test.each([
  ["before its first store", "keeps the item, and the handle is good", (): void => undefined, 1, true],
  ["after the generation", "keeps the item, and the handle is stale", (word: number): void => count(word), 1, false],
  ["inside a free with hooks, before the generation", "makes the item anew", (_word: number, mark: number) => busy(mark), 0, false],
  [
    "inside a free with hooks, after the generation",
    "makes the item anew",
    (word: number, mark: number) => (count(word), busy(mark)),
    0,
    false,
  ],
])("a worker that is killed in a free %s %s", async (_when, _what, left, kept, good) => {
  const zone = uma.open(Token);
  const [handle] = (await ask("make")) as [number, number];
  const item = zone.get(handle);
  left((item + zone.size) >> 3, uma.core.items.check(zone, item));
  await worker.terminate();
  const token = (await reaped)?.zones.find((one) => one.zone === "token");
  expect(token).toMatchObject({ kept, remade: 1 - kept });
  expect(zone.get(handle)).toBe(good ? item : 0);
  if (kept === 1) zone.free(item);
  const later = Array.from({ length: 300 }, () => zone.allocHandle());
  expect(later.map((one) => zone.get(one))).toContain(item);
  expect(zone.get(handle)).toBe(0);
});

/** One generation on: the high word of the handle. */
function count(word: number): void {
  const high = (word << 1) + 1;
  uma.views.i32[high] = (uma.views.i32[high] as number) + 1;
}

function busy(mark: number): void {
  uma.views.u8[mark] = (uma.views.u8[mark] as number) | 0x80;
}
