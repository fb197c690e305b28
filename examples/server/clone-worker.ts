/** A worker of the cloning server: it is sent an order with its session, and sends the session back with the answer. null ends it. */
import { parentPort } from "node:worker_threads";
import type { Answer, Order } from "./backend.ts";
import { type CloneJob, type CloneReply, type CloneSession, LINE_WORDS } from "./clone-session.ts";

const SAMPLE_SKUS = 1000;

if (parentPort === null) throw new Error("run this as a worker");
const port = parentPort;

/** What the sharing server's workers do, see job-work.ts. */
function work({ op, sku, quantity, cents }: Order, session: CloneSession, number: number): Answer["status"] {
  const { lines } = session;
  const room = lines.length / LINE_WORDS;
  if (op === "create") {
    session.used = Math.min(quantity, room);
    for (let n = 0; n < session.used; n++) lines.set([(n % SAMPLE_SKUS) + 1, 1, 100, number], n * LINE_WORDS);
  } else if (op === "add") {
    if (session.used >= room) return "full";
    lines.set([sku, quantity, cents, number], session.used++ * LINE_WORDS);
  }
  if (op !== "create") session.hits++;
  session.seen = Date.now();
  return "ok";
}

port.on("message", (job: CloneJob | null) => {
  if (job === null) {
    port.close();
    return;
  }
  const { number, order, session } = job;
  const status = work(order, session, number);
  let total = 0;
  const { lines, used } = session;
  for (let line = 0; line < used * LINE_WORDS; line += LINE_WORDS) total += (lines[line + 1] as number) * (lines[line + 2] as number);
  const answer: Answer = { status, hits: session.hits, lines: used, total, retryMs: 0 };
  port.postMessage({ number, session, answer } satisfies CloneReply);
});
