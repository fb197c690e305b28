/** A session as a message of the cloning server, and what it travels with. */
import type { Answer, Order } from "./backend.ts";

/** A session as a message: four words a line, {sku, quantity, cents, order}. */
export interface CloneSession {
  hits: number;
  used: number;
  seen: number;
  lines: Uint32Array;
}

export interface CloneJob {
  readonly number: number;
  readonly order: Order;
  readonly session: CloneSession;
}

export interface CloneReply {
  readonly number: number;
  readonly session: CloneSession;
  readonly answer: Answer;
}

export const LINE_WORDS = 4;
