/**
 * The traces of real programs on malloc: time and memory against the C library's, and two workers against one.
 * The times of "zalloc" and "C library" are of the operations alone, and so are those of "1 worker" and "2 workers", but for one word
 * of each object; bench/README.md says in which order they are done. "In order" is in the trace's order and with every byte of every
 * object stamped and checked, as in a whole replay, which is what `npm start` does, with the start of its workers and the engine's
 * warm-up.
 */
import { makePlan } from "../../src/cli/plan.ts";
import { defaultBytes, replay } from "../../src/cli/replay.ts";
import { across, type Case, type SliceProgram, type Suite } from "../harness/suite.ts";
import { nativeReplay } from "../programs/compiled.ts";
import { onNative, onWorkers, onWorkersApace, onZalloc, traceOf } from "../programs/replaying.ts";

const ONE_THREADED = ["sqlite", "jq", "perl"] as const;
const ALL = [...ONE_THREADED, "node"] as const;

function whole(name: string): SliceProgram {
  const trace = traceOf(name);
  const plan = makePlan(trace, 1);
  let heldPerLive = 0;
  return {
    slice: async () => {
      const result = await replay(plan, { bytes: defaultBytes(trace.peakBytes), kill: false, onProgress: () => undefined });
      const { lost, wrongStamps } = result.accounts;
      if (lost !== 0 || wrongStamps !== 0 || !result.verdict.ok) throw new Error(`the replay of ${name} went wrong`);
      heldPerLive = result.peakHeldBytes / result.peakLiveBytes;
      return { ops: result.operations, ns: result.elapsedMs * 1e6 };
    },
    figures: () => ({ "held ÷ live": heldPerLive }),
  };
}

const compiled = nativeReplay() !== null;
/** A pass of a trace is a slice; the first ones have the engine's warm-up in them, as the first ones in C have the page faults. */
const PASSES = { maxSlices: 12, maxProcesses: 3 };
const WHOLE = { maxSlices: 1, maxProcesses: 1, warmUp: false };

function workers(n: number): string {
  return n === 1 ? "1 worker" : `${n} workers`;
}

const cases: readonly Case[] = [
  ...ALL.map((name): Case => ({ name: "zalloc", variant: name, ...PASSES, program: () => onZalloc(name) })),
  ...(compiled ? ALL.map((name): Case => ({ name: "C library", variant: name, ...PASSES, program: () => onNative(name) })) : []),
  ...[1, 2].map(
    (n): Case => ({ name: workers(n), variant: "node", group: "node, workers", ...PASSES, program: () => onWorkersApace("node", n) }),
  ),
  ...[1, 2].map(
    (n): Case => ({
      name: `${workers(n)}, in order`,
      variant: "node",
      group: "node, in order",
      ...PASSES,
      program: () => onWorkers("node", n),
    }),
  ),
  ...ALL.map((name): Case => ({ name: "whole replay", variant: name, group: `${name}, whole`, ...WHOLE, program: () => whole(name) })),
];

export const suite: Suite = {
  name: "replay",
  about: `Traces of real programs, an operation.${compiled ? "" : " The C library's rows are left out: there is no C compiler."}`,
  cases,
  rows: [
    ...(compiled
      ? ONE_THREADED.map((name) => ({
          label: `zalloc ÷ C library, ${name}`,
          over: across("zalloc", "C library", [name]),
          limit: 2,
          aim: 1,
          direction: "at most" as const,
        }))
      : []),
    {
      label: "1 worker ÷ 2 workers, node",
      over: [{ numerator: ["1 worker", "node"], denominator: ["2 workers", "node"] }],
      limit: 1.15,
      aim: 1.3,
      direction: "at least",
    },
    ...ALL.map((name) => ({
      label: `memory held ÷ live bytes at their peaks, ${name}`,
      figure: { of: ["whole replay", name] as const, key: "held ÷ live" },
      limit: 1.35,
      aim: 1.2,
      direction: "at most" as const,
    })),
  ],
};
