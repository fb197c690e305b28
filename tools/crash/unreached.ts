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
    reason: "for whoever meets another's change, or a death, between two neighbouring instructions",
    points: [
      /^backend\/memory\/slots\.js:createSlots\.claim#[245]$/,
      /^backend\/memory\/slots\.js:createSlots\.announceLock#1$/,
      /^backend\/memory\/handing\.js:createHanding\.begin#3$/,
      /^uma\/bulk\.js:createBulk\.giveBack#4$/,
      /^uma\/malloc\/types\.js:openTypes\.recordOf#5$/,
      /^uma\/orphans\.js:createOrphans\.dispose#(2|5|10)$/,
      /^uma\/orphans\.js:createOrphans\.orphan#2$/,
    ],
  },
  {
    reason: "what an exception leaves that was thrown in the middle of a transaction: full stacks are the storms'",
    points: [/^backend\/memory\/lock\.js:createLocks\.mend#1$/, /^uma\/smr\.js:createSmr\.mend#/],
  },
  {
    reason: "of whoever watches the locks that hosts hold: nobody is killed here for that",
    points: [/^backend\/memory\/slots\.js:createSlots\.certifyByLock#/],
  },
  {
    reason: "where a recovery makes a pause: those that are killed here do it at once",
    points: [/^uma\/recovery\.js:createRecovery\.sweepMarks#5$/],
  },
  {
    reason: "where init refuses an item while it is made anew for a dead worker",
    points: [/^uma\/orphans\.js:createOrphans\.remake#2$/],
  },
  {
    reason: "for a heap that has not one page left just when its tags run out",
    points: [/^backend\/vmem\/heap\.js:createHeap\.(moreTags|take)#[12]$/],
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
