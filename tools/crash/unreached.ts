/**
 * Points at which the crash runs kill nobody, by the reason. A full run prints what of it is still so; a test insists that each
 * pattern fits a point and that no short run reaches one.
 */
export interface Unreached {
  readonly reason: string;
  /** Of points' names (`file:function#ordinal`). */
  readonly points: readonly RegExp[];
}

export const UNREACHED: readonly Unreached[] = [
  {
    reason: "private to a thread, nothing of it outlives its worker",
    points: [/^backend\/vmem\/local\.js:/],
  },
  {
    reason: "where a recoverer gives up, a lock being out of reach for longer than the patience of a campaign",
    points: [/^backend\/memory\/slots\.js:createSlots\.unclaim#/],
  },
  {
    reason: "done by whoever replaces a dead recoverer, which in a campaign is the parent",
    points: [/^uma\/recovery\.js:createRecovery\.suspectOrphans#/],
  },
  {
    reason: "for a writer that is 2³⁰ advances ahead of the slowest reader",
    points: [/^uma\/smr\.js:createSmr\.catchUp#/],
  },
];

/** Why a point is not reached; null = it should be. */
export function reasonFor(point: string): string | null {
  return UNREACHED.find(({ points }) => points.some((pattern) => pattern.test(point)))?.reason ?? null;
}
