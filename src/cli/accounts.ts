/**
 * The accounts of a replay: whether the allocator and the replay agree on what is alive at the end.
 *
 * Every object that the table of addresses shows must be an allocation and still carry its stamp, and there must be no allocation
 * besides. Where a worker was terminated, the one object it had in hand may be half made or half freed: it is looked at apart.
 */
import { UmaError } from "../backend/memory/errors.ts";
import type { Malloc } from "../uma/malloc/malloc.ts";
import type { Uma } from "../uma/uma.ts";
import { ADDRESS_NEVER, ADDRESS_NONE, type Board, ROW_CURRENT, ROW_WRONG, rowOf } from "./board.ts";
import type { Plan } from "./plan.ts";
import { createStamps } from "./stamps.ts";

export interface Accounts {
  /** Objects made in all. */
  readonly made: number;
  /** Objects alive by the table, and by the allocator. */
  readonly recorded: number;
  readonly outstanding: number;
  /** Differences that nothing explains. */
  readonly lost: number;
  /** Stamps found wrong, by the workers and at the end. */
  readonly wrongStamps: number;
  /** Objects in a terminated worker's hands (allocations that it could not record any more). */
  readonly inHand: number;
}

/** @param killed - the worker that was terminated, −1 = none. */
export function settleAccounts(uma: Uma, malloc: Malloc, plan: Plan, board: Board, killed: number): Accounts {
  const stamps = createStamps(uma.buffer);
  const { words, addresses } = board;
  const handled = killed < 0 ? -1 : (words[rowOf(killed) + ROW_CURRENT] as number) - 1;
  const handledOld = handled < 0 ? -1 : (plan.madeFrom[handled] as number);
  let made = 0;
  let recorded = 0;
  let missing = 0;
  let missingInHand = 0;
  let wrongStamps = 0;
  for (let worker = 0; worker < plan.workers; worker++) wrongStamps += words[rowOf(worker) + ROW_WRONG] as number;
  for (let id = 0; id < addresses.length; id++) {
    const p = addresses[id] as number;
    if (p !== ADDRESS_NONE && p !== ADDRESS_NEVER) made++;
    if (p <= 0) continue;
    const inHand = id === handled || id === handledOld;
    // What it had in hand may be freed and already be somebody else's: then the table shows the address twice.
    if (!isAllocation(malloc, p) || (inHand && addresses.some((other, at) => other === p && at !== id))) {
      if (inHand) missingInHand++;
      else missing++;
      continue;
    }
    recorded++;
    if (!inHand && !stamps.check(p, plan.sizes[id] as number, id + 1)) wrongStamps++;
  }
  const outstanding = malloc.stats().used;
  const unrecorded = outstanding - recorded;
  // An operation in hand can have taken one allocation, or ended one, that the table does not know of.
  const inHand = killed >= 0 && unrecorded === 1 ? 1 : 0;
  const lost = missing + Math.max(0, missingInHand - 1) + Math.abs(unrecorded - inHand);
  return { made, recorded, outstanding, lost, wrongStamps, inHand };
}

function isAllocation(malloc: Malloc, p: number): boolean {
  try {
    return malloc.usableSize(p) > 0;
  } catch (error) {
    if (error instanceof UmaError) return false;
    throw error;
  }
}
