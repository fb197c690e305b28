/** What the order of a replay allows: how much faster it can be on its plan's workers than on one. */
import { CHECKPOINT, FOREIGN, KIND_MASK, OBJECT_SHIFT, type Plan } from "../../src/cli/plan.ts";
import { FREE } from "../../src/cli/trace.ts";

/**
 * The throughput of `plan` as a multiple of one worker's, if all operations took the same time and waiting none, where every worker
 * does its operations in their order and each waits until the object is made that it is about.
 */
export function orderAllows(plan: Plan): number {
  const { streams, madeFrom, operations } = plan;
  const madeAt = new Float64Array(plan.sizes.length);
  const times = streams.map(() => 0);
  const places = streams.map(() => 0);
  for (let left = operations; left > 0; ) {
    const before = left;
    streams.forEach((stream, worker) => {
      let at = places[worker] as number;
      let time = times[worker] as number;
      for (; at < stream.length; at++) {
        const word = stream[at] as number;
        const kind = word & KIND_MASK;
        if (kind === CHECKPOINT) {
          at++;
          continue;
        }
        const id = word >>> OBJECT_SHIFT;
        if ((word & FOREIGN) !== 0) {
          const made = madeAt[kind === FREE ? id : (madeFrom[id] as number)] as number;
          if (made === 0) break;
          time = Math.max(time, made);
        }
        time++;
        left--;
        if (kind !== FREE) madeAt[id] = time;
      }
      places[worker] = at;
      times[worker] = time;
    });
    if (left === before) throw new Error("the plan has no order that can be kept");
  }
  return operations / Math.max(...times);
}
