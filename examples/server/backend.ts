/** What the web server asks of the part behind it, whether that shares its sessions or sends them about. */
import type { Metric } from "./metrics.ts";

export interface Order {
  readonly op: "create" | "read" | "add";
  /** The session's number. */
  readonly session: number;
  /** The client's number, for the rate limit. */
  readonly client: number;
  readonly sku: number;
  /** Of the line; for a new session, how many sample lines its cart begins with. */
  readonly quantity: number;
  readonly cents: number;
}

/**
 * How it went: "full": no room in the cart; "limited": the client has no token left; "exhausted": no room for a session or a client,
 * or too many requests at work. After `retryMs` it may go better.
 */
export interface Answer {
  readonly status: "ok" | "missing" | "full" | "limited" | "exhausted" | "failed";
  readonly hits: number;
  readonly lines: number;
  readonly total: number;
  readonly retryMs: number;
}

export interface Backend {
  run(order: Order): Promise<Answer>;
  /** Ends a session. @returns whether there was one. */
  remove(session: number): boolean;
  /** Kills a worker, to see what happens. @returns whether there was one. */
  kill(): boolean;
  /** Workers that died and were replaced. */
  readonly deaths: number;
  /** Sessions that there are. */
  sessions(): number;
  metrics(): Metric[];
  /** Waits for what is at work, and ends. @returns what is to be said at the end. */
  close(): Promise<Closing>;
}

export interface Closing {
  readonly table: readonly string[];
  /** What is wrong; empty when all is well. */
  readonly problems: readonly string[];
}

export const NOTHING: Answer = { status: "failed", hits: 0, lines: 0, total: 0, retryMs: 0 };
