/**
 * The same server as it is written today: the main thread keeps the sessions, sends one with each request to a worker by structured
 * clone, and takes it back with the answer. A session that is with a worker is waited for, lest its changes be lost.
 *
 * A session's cart is one Uint32Array, which is the best case for structured clone: a copy of the bytes.
 */
import { Worker } from "node:worker_threads";
import { type Answer, type Backend, NOTHING, type Order } from "./backend.ts";
import { type CloneJob, type CloneReply, type CloneSession, LINE_WORDS } from "./clone-session.ts";
import { createCrew } from "./crew.ts";
import type { BackendOptions } from "./shared-backend.ts";

const WORKER = new URL(import.meta.url.endsWith(".ts") ? "./clone-worker.ts" : "./clone-worker.js", import.meta.url);

interface AtWork {
  readonly id: number;
  readonly resolve: (answer: Answer) => void;
}

interface Bucket {
  tokens: number;
  at: number;
}

export function createCloneBackend({ workers, size, limit }: Omit<BackendOptions, "patience" | "ttl">): Backend {
  const sessions = new Map<number, CloneSession>();
  const buckets = new Map<number, Bucket>();
  /** By session: who waits for it to come back. */
  const away = new Map<number, (() => void)[]>();
  const atWork = new Map<number, AtWork>();
  let nextNumber = 1;

  const crew = createCrew<CloneJob | null>({
    size: workers,
    start() {
      const worker = new Worker(WORKER);
      return { worker, buried: new Promise((resolve) => worker.once("exit", resolve)) };
    },
    onReply(reply) {
      const { number, session, answer } = reply as CloneReply;
      const { id, resolve } = atWork.get(number) as AtWork;
      atWork.delete(number);
      sessions.set(id, session);
      release(id);
      resolve(answer);
      return number;
    },
    again: (_number, job) => job,
  });

  function release(id: number): void {
    const next = away.get(id)?.shift();
    if (next === undefined) away.delete(id);
    else next();
  }

  async function borrow(id: number): Promise<void> {
    const queue = away.get(id);
    if (queue === undefined) away.set(id, []);
    else await new Promise<void>((resolve) => void queue.push(resolve));
  }

  /** @returns milliseconds until there is a token; 0 when one was taken. */
  function take(client: number): number {
    if (limit === null) return 0;
    const now = Date.now();
    const bucket = buckets.get(client) ?? { tokens: limit.burst, at: now };
    buckets.set(client, bucket);
    bucket.tokens = Math.min(limit.burst, bucket.tokens + ((now - bucket.at) * limit.rate) / 1000);
    bucket.at = now;
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) * 1000) / limit.rate);
    bucket.tokens--;
    return 0;
  }

  return {
    async run(order: Order) {
      const { op, session: id } = order;
      const retryMs = take(order.client);
      if (retryMs > 0) return { ...NOTHING, status: "limited", retryMs };
      await borrow(id);
      let session = sessions.get(id);
      if (session === undefined && op === "create" && sessions.size < size.sessions) {
        session = { hits: 0, used: 0, seen: 0, lines: new Uint32Array(size.lines * LINE_WORDS) };
      }
      if (session === undefined || atWork.size >= size.jobs) {
        release(id);
        return { ...NOTHING, status: session === undefined && op !== "create" ? "missing" : "exhausted", retryMs: 1000 };
      }
      const number = nextNumber++;
      const job: CloneJob = { number, order, session };
      return new Promise((resolve) => {
        atWork.set(number, { id, resolve });
        crew.send(number, job);
      });
    },
    remove: (session) => sessions.delete(session),
    kill: () => crew.kill(),
    get deaths() {
      return crew.deaths;
    },
    sessions: () => sessions.size,
    metrics: () => [],
    async close() {
      await crew.close(null);
      return { table: [], problems: [] };
    },
  };
}
