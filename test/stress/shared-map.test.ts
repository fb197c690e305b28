import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { type Ticket, Uma, openMap } from "../../src/index.ts";
import { type Role, isValueFor, stressed } from "../fixtures/map-worker.ts";

const MS = 700;

function start(uma: Uma, role: Role, keys: readonly [number, number]): { worker: Worker; ticket: Ticket; result: Promise<unknown[]> } {
  const ticket = uma.ticket();
  const worker = new Worker(new URL("../fixtures/map-worker.ts", import.meta.url), { workerData: { ticket, role, keys, ms: MS } });
  const messages: unknown[] = [];
  worker.on("message", (message) => messages.push(message));
  return { worker, ticket, result: once(worker, "exit").then(() => messages) };
}

test("two readers never see a torn or misplaced value while two writers write the same keys, and one of them is killed", async () => {
  const uma = Uma.create({ bytes: 2 ** 24, workers: 8, patience: 2000 });
  const map = openMap(uma, stressed);
  const crew = [start(uma, "read", [0, 500]), start(uma, "read", [0, 500]), start(uma, "write", [0, 400])];
  const victim = start(uma, "write", [100, 500]);
  await once(victim.worker, "message");
  await new Promise((resolve) => setTimeout(resolve, 100));
  await victim.worker.terminate();
  await victim.result;
  while (uma.reap(victim.ticket)?.done === false);
  const results = await Promise.all(crew.map(({ result }) => result));
  for (const messages of results) expect(messages.at(-1)).toMatchObject({ wrong: 0 });
  map.sweep();
  expect(map.verify()).toEqual([]);
  for (const [key, value] of map.entries()) expect(isValueFor(key, value)).toBe(true);
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});

test("of workers who give one key its first value at once, one has given it, and all are told which", async () => {
  const uma = Uma.create({ bytes: 2 ** 24, workers: 8, patience: 20_000 });
  const map = openMap(uma, stressed);
  const crew = Array.from({ length: 4 }, () => start(uma, "claim", [0, 1500]));
  const claims = (await Promise.all(crew.map(({ result }) => result))).map((messages) => messages.at(-1) as number[]);
  expect(claims.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1500 }, (_, key) => key));
  expect(map.size).toBe(1500);
  expect(map.verify()).toEqual([]);
  uma.detach();
});
