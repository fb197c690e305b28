import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CHECKPOINT, FOREIGN, KIND_MASK, OBJECT_SHIFT, PUBLISH, type Plan, makePlan } from "../../src/cli/plan.ts";
import { FREE, REALLOC, type Trace, readTrace } from "../../src/cli/trace.ts";
import { randomFrom, randomOps, traceOf } from "./traces.ts";

const folder = mkdtempSync(join(tmpdir(), "zalloc-plan-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SEED = Number(process.env["ZALLOC_SEED"] ?? Date.now() % 2 ** 31);

function randomTrace(threads: number, seed: number): Trace {
  const path = join(folder, "random.trace.gz");
  writeFileSync(path, traceOf(randomOps(6000, threads, randomFrom(seed))));
  return readTrace(path);
}

interface Step {
  readonly kind: number;
  readonly id: number;
  readonly publish: boolean;
  readonly foreign: boolean;
}

function stepsOf(plan: Plan, worker: number): Step[] {
  const steps: Step[] = [];
  const stream = plan.streams[worker] as Int32Array;
  for (let at = 0; at < stream.length; at++) {
    const word = stream[at] as number;
    if ((word & KIND_MASK) === CHECKPOINT) at++;
    else
      steps.push({
        kind: word & KIND_MASK,
        id: word >>> OBJECT_SHIFT,
        publish: (word & PUBLISH) !== 0,
        foreign: (word & FOREIGN) !== 0,
      });
  }
  return steps;
}

describe.each([
  [1, 1],
  [1, 3],
  [2, 2],
  [5, 2],
  [7, 4],
])(`a plan of %d threads on %d workers (seed ${SEED}; set ZALLOC_SEED to repeat)`, (threads, workers) => {
  const trace = randomTrace(threads, SEED + threads * 10 + workers);
  const plan = makePlan(trace, workers);
  const steps = Array.from({ length: workers }, (_, worker) => stepsOf(plan, worker));

  test("has every operation once", () => {
    const planned = steps.flat().map(({ kind, id }) => `${kind} ${id}`);
    const traced = [...trace.kinds].map((kind, op) => `${kind} ${trace.objectOf[op]}`);
    expect(planned.sort()).toEqual(traced.sort());
    expect(plan.counts).toEqual(steps.map((its) => its.length));
    expect(plan.operations).toBe(trace.kinds.length);
  });

  test("gives every worker something to do", () => {
    expect(Math.min(...plan.counts)).toBeGreaterThan(0);
    expect(plan.sliced).toBe(threads < workers);
  });

  test("marks an operation FOREIGN exactly when another worker makes what it needs, and that one PUBLISH", () => {
    const published = new Set(steps.flatMap((its) => its.filter((step) => step.publish).map((step) => step.id)));
    const awaited = new Set<number>();
    for (const [worker, its] of steps.entries()) {
      for (const { kind, id, foreign } of its) {
        if (kind !== FREE) expect(plan.makers[id]).toBe(worker);
        const needed = kind === FREE ? id : kind === REALLOC ? (plan.madeFrom[id] as number) : -1;
        expect(foreign).toBe(needed >= 0 && plan.makers[needed] !== worker);
        if (foreign) awaited.add(needed);
      }
    }
    expect(published).toEqual(awaited);
    expect(plan.foreign).toBe(steps.flat().filter((step) => step.foreign).length);
  });

  test("can be done whoever is faster: some worker can always go on", () => {
    const at = steps.map(() => 0);
    const made = new Set<number>();
    const random = randomFrom(SEED);
    for (let left = plan.operations; left > 0; left--) {
      const able = steps.flatMap((its, worker) => {
        const step = its[at[worker] as number];
        if (step === undefined) return [];
        const needed = step.kind === FREE ? step.id : step.kind === REALLOC ? (plan.madeFrom[step.id] as number) : -1;
        return needed < 0 || made.has(needed) ? [worker] : [];
      });
      expect(able.length).toBeGreaterThan(0);
      const worker = able[Math.floor(random() * able.length)] as number;
      const step = (steps[worker] as Step[])[at[worker] as number] as Step;
      if (step.kind !== FREE) made.add(step.id);
      at[worker] = (at[worker] as number) + 1;
    }
  });
});
