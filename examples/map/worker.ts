/** A thread of the pretend server: it answers requests by reading sessions, or keeps them up to date. */
import { parentPort, workerData } from "node:worker_threads";
import { type Ticket, Uma, openMap } from "../../src/index.ts";
import { sessions } from "./session-map.ts";

const { ticket, role, ms } = workerData as { ticket: Ticket; role: "reader" | "writer"; ms: number };
const uma = Uma.attach(ticket);
const map = openMap(uma, sessions);
const until = performance.now() + ms;
let requests = 0;
let known = 0;
while (performance.now() < until) {
  const account = Math.floor(Math.random() * 5000);
  requests++;
  if (role === "reader") known += map.has(account) ? 1 : 0;
  else if (requests % 3 === 0) map.delete(account);
  else map.set(account, performance.timeOrigin + performance.now());
}
uma.detach();
parentPort?.postMessage({ role, requests, known });
