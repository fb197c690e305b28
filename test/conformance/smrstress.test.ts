/** After FreeBSD's tools/uma/smrstress: writers swap a shared object, readers count in it; generations are checked in ctor and dtor. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { Uma } from "../../src/index.ts";
import { object, root } from "../fixtures/smrstress-worker.ts";

test("smrstress: two writers and two readers, no object is reused under a reader", async () => {
  const uma = Uma.create({ bytes: 2 ** 23, workers: 8 });
  const z = uma.open(object);
  const at = uma.open(root).alloc();
  uma.views.i32[at >> 2] = z.allocSmr();
  const results = await Promise.all(
    (["write", "write", "read", "read"] as const).map(async (role) => {
      const ticket = uma.ticket();
      const worker = new Worker(new URL("../fixtures/smrstress-worker.ts", import.meta.url), { workerData: { ticket, role, at, ms: 600 } });
      const messages: { ops: number; wrong: number }[] = [];
      worker.on("message", (message: { ops: number; wrong: number }) => messages.push(message));
      await once(worker, "exit");
      return messages[0];
    }),
  );
  for (const result of results) {
    expect(result?.wrong).toBe(0);
    expect(result?.ops).toBeGreaterThan(0);
  }
  z.freeSmr(uma.views.i32[at >> 2] as number);
  z.reclaim("drain");
  z.reclaim("drain");
  expect(z.stats()).toMatchObject({ used: 0, pages: 0 });
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
});
