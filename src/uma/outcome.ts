/**
 * How a step of a slow path ends. Exhaustion is no exception: steps answer with one of these, and only the face decides
 * whether that becomes 0, a wait or a typed error.
 */
export type Outcome = 0 | 1 | 2 | 3 | 4;

export const OK = 0;
/** There is no memory: the arena or the user's supplier has no pages. */
export const EMPTY = 1;
/** The zone's limit is reached. */
export const LIMIT = 2;
/** A lock could not be had in time; trying again later may succeed at once. */
export const BUSY = 3;
/** A hook refused: ctor or init returned false. */
export const REFUSED = 4;

/** Outcomes by name, as `uma.lastFailure` shows them. */
export type Failure = "NONE" | "EMPTY" | "LIMIT" | "BUSY" | "REFUSED";

const NAMES: readonly Failure[] = ["NONE", "EMPTY", "LIMIT", "BUSY", "REFUSED"];

export function failureName(outcome: Outcome): Failure {
  return NAMES[outcome] as Failure;
}
