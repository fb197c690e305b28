/**
 * Allocations that cannot fail: what was set aside at start-up is there when nothing else is.
 *
 * A greedy zone takes all there is. After that an ordinary zone has nothing; preallocated items come from their slabs, a prefilled
 * bucket is this thread's alone, and a reserve is for those who ask for it by name.
 */
import { Uma, defineZone } from "../../src/index.ts";

export interface Exhaustion {
  readonly lines: readonly string[];
  /** What is wrong; empty when all is well. */
  readonly problems: readonly string[];
}

/** @param count - items that are set aside in each way; 200 at most, a bucket's. */
export function exhaust(count: number): Exhaustion {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 2 });
  const lines: string[] = [];
  const problems: string[] = [];
  const greedy = uma.open(defineZone("greedy", { size: 1024 }));
  const unprepared = uma.open(defineZone("unprepared", { size: 64 }));
  const preallocated = uma.open(defineZone("preallocated", { size: 64 }));
  const reserved = uma.open(defineZone("reserved", { size: 64 }));
  const prefilled = uma.open(defineZone("prefilled", { size: 64 }));
  preallocated.prealloc(count);
  reserved.reserve(count);
  prefilled.prefill(count);

  let taken = 0;
  while (greedy.tryAlloc() !== 0) taken++;
  lines.push(`a greedy zone has taken ${taken} kB, all there was (${uma.lastFailure})`);

  function drain(what: string, alloc: () => number, least: number): void {
    let got = 0;
    while (got < 100_000 && alloc() !== 0) got++;
    const enough = got >= least;
    if (!enough) problems.push(`${what}: ${got} of ${least}`);
    lines.push(
      `${what.padEnd(34)} ${String(got).padStart(4)} items${least === 0 ? "" : `, ${least} were set aside: ${enough ? "all there" : "MISSING"}`}`,
    );
  }

  drain("unprepared: tryAlloc", () => unprepared.tryAlloc(), 0);
  drain("preallocated: tryAlloc", () => preallocated.tryAlloc(), count);
  drain("prefilled: tryAlloc", () => prefilled.tryAlloc(), count);
  drain("reserved: tryAlloc", () => reserved.tryAlloc(), 0);
  drain("reserved: allocReserved", () => reserved.allocReserved(), count);
  lines.push("", ...uma.table());
  problems.push(...uma.verify().problems);
  uma.detach();
  return { lines, problems };
}
