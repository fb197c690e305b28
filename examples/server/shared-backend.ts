/**
 * The sessions in shared memory: a request is an item of the zone of jobs, and all that is sent to a worker is its address.
 *
 * The zone of jobs is the gate, too: at its limit a request waits for one to be done, and after some patience is turned away.
 */
import { Worker } from "node:worker_threads";
import { Uma, UmaError, type Zone } from "../../src/index.ts";
import { type Answer, type Backend, NOTHING, type Order } from "./backend.ts";
import { createCrew } from "./crew.ts";
import { createJanitor } from "./janitor.ts";
import { memoryMetrics } from "./metrics.ts";
import type { RateLimit } from "./rate-limit.ts";
import type { WorkerData } from "./worker.ts";
import { type ShopSize, bytesFor, openShop } from "./zones.ts";

export interface BackendOptions {
  readonly workers: number;
  readonly size: ShopSize;
  readonly limit: RateLimit | null;
  /** How long a request waits for room at the most, milliseconds. */
  readonly patience: number;
  /** Seconds after which a session that nobody asks for ends. */
  readonly ttl: number;
}

interface AtWork {
  readonly number: number;
  readonly done: () => void;
}

const JANITOR_MS = 50;
const CROWDED: Answer = { ...NOTHING, status: "exhausted", retryMs: 1000 };
const WORKER = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);

export function createSharedBackend({ workers, size, limit, patience, ttl }: BackendOptions): Backend {
  const uma = Uma.create({ bytes: bytesFor(size), workers: Math.min(126, 2 * workers + 4) });
  const shop = openShop(uma, size);
  const { jobs, sessions, sessionOf } = shop;
  const began = Date.now();
  /** Jobs at work by their items' addresses, oldest first. */
  const atWork = new Map<number, AtWork>();
  let nextNumber = 1;

  const crew = createCrew<number>({
    size: workers,
    start() {
      const ticket = uma.ticket();
      const workerData: WorkerData = { ticket, size, options: { limit, began } };
      const worker = new Worker(WORKER, { workerData });
      return { worker, buried: uma.watch(worker, ticket).then(() => [sessionOf.sweep(), shop.clientOf.sweep()]) };
    },
    onReply(reply) {
      const item = reply as number;
      const { done } = atWork.get(item) as AtWork;
      atWork.delete(item);
      done();
      return item;
    },
    again(item) {
      jobs.at(item).again = true;
      return item;
    },
  });

  function now(): number {
    return (Date.now() - began) / 1000;
  }

  const janitor = createJanitor(shop, {
    ttl,
    now,
    oldest: () => (atWork.values().next().value as AtWork | undefined)?.number ?? Number.POSITIVE_INFINITY,
    next: () => nextNumber,
  });
  const rounds = setInterval(() => janitor.work(), JANITOR_MS);

  /** Has a worker do the job. */
  function send(item: number): Promise<void> {
    return new Promise((done) => {
      atWork.set(item, { number: nextNumber++, done });
      crew.send(item, item);
    });
  }

  /** What a zone has, or has after a wait; 0 when patience was not enough. */
  async function waitFor(zone: Pick<Zone, "allocAsync">, given?: unknown): Promise<number> {
    try {
      return await zone.allocAsync({ timeout: patience }, given);
    } catch (error) {
      if (error instanceof UmaError && error.code === "ERR_UMA_TIMEOUT") return 0;
      throw error;
    }
  }

  async function work(item: number, order: Order): Promise<Answer> {
    const job = jobs.at(item);
    job.op = order.op;
    job.status = "failed";
    job.again = false;
    job.order = (nextNumber & 0x3fffffff) + 1;
    job.session = order.session;
    job.client = order.client;
    job.made = 0;
    job.sku = order.sku;
    job.quantity = order.quantity;
    job.cents = order.cents;
    job.hits = 0;
    job.lines = 0;
    job.total = 0;
    job.retryMs = 0;
    await send(item);
    if (jobs.at(item).status === "crowded") {
      // Waited for here, by no job at work: those who hold sessions have to get done, that room comes free.
      const made = await waitFor(sessions, { id: order.session, now: now() });
      if (made === 0) return CROWDED;
      jobs.at(item).made = made;
      await send(item);
    }
    const { status, hits, lines, total, retryMs } = jobs.at(item);
    return status === "crowded" ? CROWDED : { status, hits, lines, total, retryMs };
  }

  return {
    async run(order) {
      const item = jobs.tryAlloc() || (await waitFor(jobs));
      if (item === 0) return CROWDED;
      try {
        return await work(item, order);
      } finally {
        jobs.free(item);
      }
    },
    remove: (session) => janitor.end(session),
    kill: () => crew.kill(),
    get deaths() {
      return crew.deaths;
    },
    sessions: () => sessionOf.size,
    metrics: () => memoryMetrics(uma.stats()),
    async close() {
      clearInterval(rounds);
      await crew.close(0);
      janitor.finish();
      const table = [...uma.table()];
      const problems = [...uma.verify().problems, ...sessionOf.verify(), ...shop.clientOf.verify()];
      uma.detach();
      return { table, problems };
    },
  };
}
