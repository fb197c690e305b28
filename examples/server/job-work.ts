/**
 * What a worker does with a job: it takes a token for the client, finds the session, and reads or adds to its cart.
 *
 * A worker may be killed between any two lines of this. A job whose worker died is done again by another, so each step can be
 * repeated: a session is made under the number that the job names, and a line bears the number of the request that added it.
 */
import type { ViewOfZone } from "../../src/index.ts";
import { NO_ROOM, type RateLimit, createRateLimiter } from "./rate-limit.ts";
import type { Shop, defineJob } from "./zones.ts";

type Job = ViewOfZone<ReturnType<typeof defineJob>>;

export interface WorkOptions {
  /** null: clients are not limited. */
  readonly limit: RateLimit | null;
  /** When the server began, milliseconds since 1970. */
  readonly began: number;
}

/** What the cart of a new session is filled with, so that it has a size. */
const SAMPLE_SKUS = 1000;
const NO_ROOM_RETRY_MS = 1000;

/** @returns a function that does the job at an address. */
export function createWork(shop: Shop, options: WorkOptions): (item: number) => void {
  const { sessions, sessionOf, jobs } = shop;
  const { columns } = sessions;
  const { view: u32 } = columns.hits;
  const { view: i32 } = columns.used;
  const limiter = options.limit === null ? null : createRateLimiter(shop, options.limit);
  const HITS = columns.hits.offset;
  const USED = columns.used.offset;
  const SKU = columns.lines.sku.offset;
  const QUANTITY = columns.lines.quantity.offset;
  const CENTS = columns.lines.cents.offset;
  const ORDER = columns.lines.order.offset;
  const LINE_WORDS = 4;
  const room = sessions.type.fields.lines.length;

  /** By the wall clock: one for all threads, while each has a performance.timeOrigin of its own. */
  function seconds(): number {
    return (Date.now() - options.began) / 1000;
  }

  /** A token of the client's, or the answer that there is none. @returns whether the job is over. */
  function refused(job: Job): boolean {
    if (limiter === null || job.again) return false;
    const retryMs = limiter.take(job.client, seconds());
    if (retryMs === 0) return false;
    job.status = retryMs === NO_ROOM ? "exhausted" : "limited";
    job.retryMs = retryMs === NO_ROOM ? NO_ROOM_RETRY_MS : retryMs;
    return true;
  }

  function create(item: number): void {
    const job = jobs.at(item);
    const known = sessions.get(sessionOf.get(job.session) ?? 0);
    if (known !== 0) return answer(item, known);
    const made = job.made === 0 ? sessions.tryAlloc({ id: job.session, now: seconds() }) : job.made;
    if (made === 0) job.status = "crowded";
    else enter(item, made);
  }

  /** Fills a new session's cart, and makes it known. */
  function enter(item: number, made: number): void {
    const job = jobs.at(item);
    const p = sessions.at(made);
    const count = Math.min(job.quantity, room);
    const words = made >> 2;
    for (let n = 0, line = words; n < count; n++, line += LINE_WORDS) {
      u32[line + SKU] = (n % SAMPLE_SKUS) + 1;
      u32[line + QUANTITY] = 1;
      u32[line + CENTS] = 100;
      i32[line + ORDER] = job.order;
    }
    p.used = count;
    sessionOf.set(job.session, sessions.handleOf(made));
    answer(item, made);
  }

  function read(item: number, session: number): void {
    Atomics.add(u32, (session >> 2) + HITS, 1);
    sessions.at(session).seen = seconds();
    answer(item, session);
  }

  /** A line's place is had by one addition; the line is there once it bears an order. */
  function add(item: number, session: number): void {
    const job = jobs.at(item);
    const words = session >> 2;
    if (!(job.again && isThere(words, job.order))) {
      const place = Atomics.add(i32, words + USED, 1);
      if (place >= room) {
        Atomics.sub(i32, words + USED, 1);
        job.status = "full";
        return;
      }
      const line = words + place * LINE_WORDS;
      u32[line + SKU] = job.sku;
      u32[line + QUANTITY] = job.quantity;
      u32[line + CENTS] = job.cents;
      Atomics.store(i32, line + ORDER, job.order);
    }
    read(item, session);
  }

  function isThere(words: number, order: number): boolean {
    for (let n = 0; n < Math.min(i32[words + USED] as number, room); n++) {
      if (i32[words + n * LINE_WORDS + ORDER] === order) return true;
    }
    return false;
  }

  /** Goes through the whole cart, as a shop would for its total. */
  function answer(item: number, session: number): void {
    const words = session >> 2;
    const used = Math.min(Atomics.load(i32, words + USED), room);
    let total = 0;
    let lines = 0;
    for (let n = 0, line = words; n < used; n++, line += LINE_WORDS) {
      // A place that a killed worker had taken, and not filled.
      if (i32[line + ORDER] === 0) continue;
      total += (u32[line + QUANTITY] as number) * (u32[line + CENTS] as number);
      lines++;
    }
    const job = jobs.at(item);
    job.hits = u32[words + HITS] as number;
    job.lines = lines;
    job.total = total;
    job.status = "ok";
  }

  return (item) => {
    const job = jobs.at(item);
    if (job.made === 0 && refused(job)) return;
    if (job.op === "create") {
      create(item);
      return;
    }
    const session = sessions.get(sessionOf.get(job.session) ?? 0);
    if (session === 0) job.status = "missing";
    else if (job.op === "read") read(item, session);
    else add(item, session);
  };
}
