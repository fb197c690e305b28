/** Sessions in a SharedMap: four workers read them while two write, and one of the writers is killed on the way. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Uma, openMap } from "../../src/index.ts";
import { sessions } from "./session-map.ts";

const MS = 1500;
const uma = Uma.create({ bytes: 2 ** 24 });
const map = openMap(uma, sessions);

const crew = (["reader", "reader", "reader", "reader", "writer", "writer"] as const).map((role) => {
  const ticket = uma.ticket();
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: { ticket, role, ms: MS } });
  worker.on("message", ({ role: who, requests, known }: { role: string; requests: number; known: number }) => {
    console.log(
      `${who}: ${requests.toLocaleString("en")} requests${who === "reader" ? `, ${known.toLocaleString("en")} with a session` : ""}`,
    );
  });
  return { worker, recovered: uma.watch(worker, ticket), exited: once(worker, "exit") };
});

const victim = crew.at(-1);
setTimeout(() => void victim?.worker.terminate(), MS / 2);
await Promise.all(crew.map(({ exited }) => exited));
await Promise.all(crew.map(({ recovered }) => recovered));

console.log(`one writer was killed; ${map.sweep()} nodes that it had in hand were freed`);
console.log(`${map.size} sessions, map: ${map.verify().join("; ") || "sound"}, memory: ${uma.verify().problems.join("; ") || "sound"}`);
uma.detach();
