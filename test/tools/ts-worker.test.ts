import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";

test("a worker runs TypeScript, and what it imports, unbuilt", async () => {
  const worker = new Worker(new URL("../fixtures/echo-worker.ts", import.meta.url), { workerData: 21 });
  const exited = once(worker, "exit");
  expect(await once(worker, "message")).toEqual([42]);
  expect(await exited).toEqual([0]);
});
