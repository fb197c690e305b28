/**
 * The command line. `npm start` replays the allocation trace of a real program on worker threads.
 *
 * Exit codes: 0 = all is well; 1 = something was found wrong, or the replay could not be finished; 2 = it was asked for wrongly.
 */
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { type ReplayRequest, parseArguments, startedIn } from "./arguments.ts";
import { compare } from "./comparison.ts";
import { counted } from "./figures.ts";
import { type Plan, makePlan } from "./plan.ts";
import { type Sample, drawPlot, sampleOf } from "./plot.ts";
import { drawProgress, plainLine, type Progress } from "./progress.ts";
import { defaultBytes, replay } from "./replay.ts";
import { comparisonLines, isGood, reportLines } from "./report.ts";
import { createScreen, type Screen } from "./screen.ts";
import { shippedTraces } from "./shipped-traces.ts";
import { readTrace, type Trace } from "./trace.ts";
import { UsageError } from "./usage-error.ts";

/** Between two samples for a plot, and between two looks for a person, milliseconds. */
const SAMPLE_EVERY_MS = 2;
const SHOW_EVERY_MS = 95;
/** Where there is no terminal: a line each time another quarter is done. */
const PLAIN_STEPS = 4;

async function run(request: ReplayRequest, screen: Screen): Promise<number> {
  const trace = readTrace(request.file);
  const plan = makePlan(trace, request.workers);
  introduce(request, trace, plan, screen);
  const bytes = request.bytes === 0 ? defaultBytes(trace.peakBytes) : request.bytes;
  const samples: Sample[] = [];
  let nextStep = 1;
  let drawnAt = 0;
  const result = await replay(plan, {
    bytes,
    kill: request.kill,
    ...(request.plot === "" ? {} : { everyMs: SAMPLE_EVERY_MS }),
    onProgress: (progress, statistics) => {
      if (request.plot !== "") samples.push(sampleOf(progress, statistics()));
      if (progress.elapsedMs < drawnAt + SHOW_EVERY_MS && progress.done < progress.total) return;
      drawnAt = progress.elapsedMs;
      if (screen.live) drawProgress(screen, progress, statistics().zones);
      else nextStep = plainProgress(screen, progress, nextStep);
    },
  });
  screen.frame([]);
  for (const line of reportLines(trace, plan, result)) screen.line(line);
  if (request.plot !== "") {
    const title = `${trace.name}: ${counted(plan.operations, "operation")} on ${counted(plan.workers, "worker")}`;
    writeFileSync(request.plot, await drawPlot(title, samples));
    screen.line(`plot: ${request.plot} (${counted(samples.length, "sample")})`);
  }
  if (!isGood(result)) return 1;
  if (!request.kill) {
    screen.frame(["comparing with plain JavaScript objects …"]);
    const comparison = await compare(request.workers === 1 ? plan : makePlan(trace, 1), bytes);
    screen.frame([]);
    for (const line of comparisonLines(comparison)) screen.line(line);
  }
  return 0;
}

function introduce(request: ReplayRequest, trace: Trace, plan: Plan, screen: Screen): void {
  const what = `${counted(plan.operations, "operation")} of ${counted(trace.threads, "thread")}`;
  screen.line(`Replaying ${basename(request.file)} (${trace.name}): ${what}, on ${counted(plan.workers, "worker")}`);
  if (plan.sliced) screen.line("Fewer threads than workers: their operations are dealt out in slices");
  screen.line(`Other traces: --trace ${shippedTraces().join(", --trace ")}, or a file of your own; --help says what else there is`);
  screen.line("");
}

/** @returns the next step to print at. */
function plainProgress(screen: Screen, progress: Progress, next: number): number {
  const step = progress.total === 0 ? PLAIN_STEPS : Math.floor((progress.done / progress.total) * PLAIN_STEPS);
  if (step < next) return next;
  screen.line(plainLine(progress));
  return step + 1;
}

async function main(): Promise<void> {
  const screen = createScreen(process.stdout);
  try {
    const request = parseArguments(process.argv.slice(2), startedIn());
    if (request !== null) process.exitCode = await run(request, screen);
  } catch (error) {
    screen.frame([]);
    const isUsage = error instanceof UsageError;
    console.error(`zalloc: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(isUsage ? 2 : 1);
  }
}

await main();
