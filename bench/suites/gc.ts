/** Garbage: a hundred million pairs, and how often V8 collected meanwhile. */
import { PerformanceObserver } from "node:perf_hooks";
import { inOrder } from "../programs/loops.ts";
import { permutation } from "../programs/orders.ts";
import { type Contender, zone, zoneUnchecked } from "../programs/peers.ts";
import type { Case, SliceProgram, Suite } from "../harness/suite.ts";

const PAIRS = 1e8;
const LIVE = 64;
const VARIANT = "10^8 pairs, 64 random";

/** Collections as V8 reports them, with the time at which each began. */
function observeCollections(): { since(start: number): Promise<number>; close(): void } {
  const starts: number[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) starts.push(entry.startTime);
  });
  observer.observe({ entryTypes: ["gc"] });
  return {
    since: async (start) => {
      const end = performance.now();
      // Reports arrive through the event loop, a little later.
      await new Promise((resolve) => setTimeout(resolve, 50));
      return starts.filter((at) => at >= start && at <= end).length;
    },
    close: () => observer.disconnect(),
  };
}

function collect(): void {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
  globalThis.gc();
}

function counted(make: (count: number) => Contender<number>): () => Promise<SliceProgram> {
  return async () => {
    const { peer, live } = make(LIVE);
    const batch = inOrder(peer, live, permutation(LIVE, 1));
    const collections = observeCollections();
    const before = performance.now();
    collect();
    if ((await collections.since(before)) === 0) throw new Error("a collection was made and not seen");
    let seen = 0;
    return {
      slice: async () => {
        for (let done = 0; done < PAIRS / 100; ) done += batch();
        collect();
        const start = performance.now();
        let ops = 0;
        while (ops < PAIRS) ops += batch();
        const ns = (performance.now() - start) * 1e6;
        seen += await collections.since(start);
        return { ops, ns };
      },
      figures: () => ({ collections: seen }),
      close: () => collections.close(),
    };
  };
}

const cases: readonly Case[] = [
  { name: "zone", variant: VARIANT, program: counted(zone) },
  { name: "zone-unchecked", variant: VARIANT, program: counted(zoneUnchecked) },
].map((one) => ({ ...one, maxSlices: 1, maxProcesses: 1, warmUp: false }));

export const suite: Suite = {
  name: "gc",
  about: "Collections during 10^8 pairs, 64 live.",
  cases,
  rows: cases.map(({ name, variant }) => ({
    label: `collections, ${name}`,
    figure: { of: [name, variant], key: "collections" },
    limit: 0,
    aim: 0,
    direction: "at most",
  })),
};
