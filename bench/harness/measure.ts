/**
 * Taking the time of a batch, inside a case's process.
 *
 * A batch is called again and again from here, so that V8 optimises it as a function of its own; loops that run for ever are
 * compiled in mid-run and can be half as fast. It must not be inlined into the loop here either, which would make such a loop of
 * it: so the call in {@link repeat} finds its function in a variable, and has seen several by the time it counts.
 */
import type { BatchProgram, Slice } from "./suite.ts";

/** With this in the environment the processor's time counts, not the wall's: on a machine that others use, too. */
export const CLOCK = "ZALLOC_BENCH_CLOCK";

/** Between two looks at the clock, nanoseconds. */
const BETWEEN_LOOKS_NS = 100_000;

let work: () => number = () => 0;

function repeat(times: number): number {
  let ops = 0;
  for (let n = 0; n < times; n++) ops += work();
  return ops;
}

/** Nanoseconds, by the wall or of this process. */
function clock(): () => number {
  if (process.env[CLOCK] !== "cpu") {
    const start = process.hrtime.bigint();
    return () => Number(process.hrtime.bigint() - start);
  }
  const start = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) * 1000;
  };
}

/** @returns what a slice of about `ms` milliseconds did. */
export function createMeasure(program: BatchProgram): (ms: number) => Slice {
  for (const other of [() => 1, () => 2, () => 3, () => 4, () => 5]) {
    work = other;
    repeat(100);
  }
  work = program.batch;
  let times = 1;
  return (ms) => {
    const passed = clock();
    let ops = 0;
    let looked = 0;
    for (;;) {
      ops += repeat(times);
      const ns = passed();
      if (ns >= ms * 1e6) return { ops, ns };
      if (ns - looked < BETWEEN_LOOKS_NS) times *= 2;
      else if (ns - looked > 4 * BETWEEN_LOOKS_NS && times > 1) times >>>= 1;
      looked = ns;
    }
  };
}
