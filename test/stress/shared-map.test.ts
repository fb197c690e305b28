import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { type Ticket, Uma, openMap } from "../../src/index.ts";
import { isValueFor, stressed } from "../fixtures/map-worker.ts";

const MS = 700;

function start(
  uma: Uma,
  role: "read" | "write",
  keys: readonly [number, number],
): { worker: Worker; ticket: Ticket; result: Promise<unknown[]> } {
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
