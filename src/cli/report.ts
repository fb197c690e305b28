/** The report at the end of a replay: what happened, whether anything is wrong, and what it cost. */
import { zoneTable } from "../uma/statistics.ts";
import type { Comparison } from "./comparison.ts";
import { count, counted, duration, size } from "./figures.ts";
import type { Plan } from "./plan.ts";
import type { Casualty, ReplayResult } from "./replay.ts";
import type { Trace } from "./trace.ts";

/** Whether a replay found nothing wrong. */
export function isGood({ accounts, verdict }: ReplayResult): boolean {
  return verdict.ok && accounts.lost === 0 && accounts.wrongStamps === 0;
}

export function* reportLines(trace: Trace, plan: Plan, result: ReplayResult): Generator<string, void, void> {
  const { accounts, verdict, casualty, statistics } = result;
  yield "";
  yield* zoneTable([...statistics.zones].sort((one, other) => one.size - other.size));
  yield "";
  if (casualty !== null) yield* casualtyLines(casualty, result.skipped);
  const rate = result.operations / result.elapsedMs / 1000;
  yield `operations: ${count(result.operations)} of ${count(plan.operations)} in ${duration(result.elapsedMs)} on ${counted(plan.workers, "worker")}, ${rate.toFixed(2)} million a second, stamps included`;
  yield `objects: ${count(accounts.made)}, each stamped over its whole size${casualty === null ? `; ${count(plan.foreign)} freed by another worker than made them` : ""}`;
  yield `wrong stamps: ${count(accounts.wrongStamps)}`;
  yield `lost: ${count(accounts.lost)} (${aliveAtTheEnd(trace, result)})`;
  yield `verify: ${verdict.ok ? "ok" : counted(verdict.problems.length, "problem")}`;
  for (const problem of verdict.problems.slice(0, LISTED_PROBLEMS)) yield `  ${problem}`;
  const ratio = result.peakHeldBytes / result.peakLiveBytes;
  yield `peak memory: ${size(result.peakHeldBytes)} held for ${size(result.peakLiveBytes)} live, ${ratio.toFixed(2)} times${peakOfTrace(trace, plan)}`;
}

/** Workers that run side by side have more alive at a time than the trace had, by what one may be ahead of another. */
function peakOfTrace(trace: Trace, plan: Plan): string {
  return plan.workers === 1 ? "" : ` (in the trace's own order, ${size(trace.peakBytes)} live)`;
}

function aliveAtTheEnd(trace: Trace, { accounts, casualty }: ReplayResult): string {
  const alive = `${counted(accounts.outstanding, "object")} alive at the end`;
  if (casualty === null) {
    return accounts.outstanding === trace.leftover ? `${alive}, as in the trace` : `${alive}; the trace leaves ${count(trace.leftover)}`;
  }
  return accounts.inHand > 0 ? `${alive}, one of them in the terminated worker's hands` : `${alive}, all accounted for`;
}

const LISTED_ZONES = 6;
const LISTED_PROBLEMS = 20;

function* casualtyLines({ worker, done, undone, report }: Casualty, skipped: number): Generator<string, void, void> {
  const kept = report.zones.reduce((total, zone) => total + zone.kept, 0);
  const remade = report.zones.reduce((total, zone) => total + zone.remade, 0);
  yield `Worker ${worker + 1} was terminated after ${count(done)} of its ${count(done + undone)} operations, and recovered.`;
  yield `  It left ${counted(kept, "object")} and ${counted(report.blocks.length, "large block")}, kept for whoever frees them${remade > 0 ? `; ${count(remade)} half made were undone` : ""}.`;
  const zones = [...report.zones].filter((zone) => zone.kept > 0).sort((one, other) => other.kept - one.kept);
  const more = zones.length - LISTED_ZONES;
  const listed = zones.slice(0, LISTED_ZONES).map((zone) => `${zone.zone} ${count(zone.kept)}`);
  if (listed.length > 0) yield `  Objects by zone: ${listed.join(", ")}${more > 0 ? `, and ${counted(more, "zone")} more` : ""}.`;
  const bytes = report.blocks.reduce((total, block) => total + block.bytes, 0);
  if (report.blocks.length > 0) yield `  Blocks: ${size(bytes)}, the first at ${report.blocks[0]?.address}.`;
  yield `  Left out: its other ${counted(undone, "operation")}, and ${count(skipped)} of the other workers on what it never made.`;
  yield "";
}

export function* comparisonLines(comparison: Comparison): Generator<string, void, void> {
  const { stampedZalloc, stampedObjects, bareZalloc, bareObjects } = comparison;
  const row = (what: string, ours: number, theirs: number): string =>
    `  ${what.padEnd(34)}${duration(ours).padStart(10)}${duration(theirs).padStart(14)}${(theirs / ours).toFixed(1).padStart(9)} times`;
  yield "";
  yield "The same trace on one thread, against plain JavaScript objects (a Uint32Array of the same length for";
  yield "each allocation, dropped on free and left to the garbage collector):";
  yield `  ${"".padEnd(34)}${"zalloc".padStart(10)}${"JavaScript".padStart(14)}`;
  yield row("stamped and checked, first pass", stampedZalloc.first, stampedObjects.first);
  yield row("allocations alone, first pass", bareZalloc.first, bareObjects.first);
  yield row("allocations alone, warm", bareZalloc.last, bareObjects.last);
}
