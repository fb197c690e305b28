/**
 * The process of one case: `node case.js SUITE NAME VARIANT`, run from the compiled files, talked to over IPC.
 * Idle between orders, so that of all processes only the one whose turn it is uses the machine.
 */
import { createMeasure } from "./measure.ts";
import type { Answer, Order } from "./messages.ts";
import type { Program, Slice, Suite } from "./suite.ts";

function answer(what: Answer): Promise<void> {
  return new Promise((resolve) => process.send?.(what, undefined, undefined, () => resolve()));
}

async function obey(program: Program, takeSlice: (ms: number) => Slice | Promise<Slice>, order: Order): Promise<void> {
  if (order.do === "slice") {
    await answer({ is: "slice", slice: await takeSlice(order.ms) });
    return;
  }
  await answer({ is: "figures", figures: program.figures?.() ?? {} });
  program.close?.();
  process.disconnect();
}

async function fail(cause: unknown): Promise<void> {
  await answer({ is: "failed", why: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
  process.exit(1);
}

async function run([suiteName, name, variant]: readonly string[]): Promise<void> {
  const { suite } = (await import(`../suites/${suiteName}.js`)) as { suite: Suite };
  const found = suite.cases.find((one) => one.name === name && one.variant === variant);
  if (found === undefined) throw new Error(`suite ${suiteName} has no case ${name}, ${variant}`);
  const program = await found.program();
  const takeSlice = "batch" in program ? createMeasure(program) : (ms: number) => program.slice(ms);
  process.on("message", (order: Order) => {
    obey(program, takeSlice, order).catch(fail);
  });
  await answer({ is: "ready" });
}

run(process.argv.slice(2)).catch(fail);
