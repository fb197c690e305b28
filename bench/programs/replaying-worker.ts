/** A worker that does its part of a trace again each time it is told to, every object stamped and checked. */
import { createPerformer } from "../../src/cli/performer.ts";
import { createMalloc, Uma } from "../../src/index.ts";
import { crewData, serve } from "./crew.ts";
import type { Part } from "./replaying.ts";

const { ticket, plan, board, worker } = crewData<Part>();
const uma = Uma.attach(ticket);
const malloc = createMalloc(uma);

serve(() => {
  const performer = createPerformer(uma, malloc, plan, board, worker);
  const start = performance.now();
  while (performer.run(1 << 20));
  return { ops: plan.counts[worker] as number, ns: (performance.now() - start) * 1e6 };
});
