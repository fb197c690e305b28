/**
 * What a zone needs beside its items. A memory of 64 MiB is filled to the brim with items of one zone; whatever of it is not
 * item is counted as metadata, wherever it went, and the parts that are known are listed.
 */
import { HC_TOTAL, HEADER_CLASSES, HEADER_CLASS_STEP_BYTES, HEADER_CLASS_WORDS } from "../../src/backend/memory/layout.ts";
import { PAGE_BYTES, PTE_WORDS, SB_HEADER_CLASSES, SB_POOL_PAGES } from "../../src/backend/memory/layout.ts";
import { defineZone, Uma } from "../../src/index.ts";
import type { Case, Figures, SliceProgram, Suite } from "../harness/suite.ts";

const MEMORY_BYTES = 64 * 2 ** 20;
const SIZES: readonly number[] = [16, 64, 200, 1024];

function filled(size: number): () => SliceProgram {
  return () => {
    let figures: Figures = {};
    return {
      slice: () => {
        using uma = Uma.create({ bytes: MEMORY_BYTES });
        const zone = uma.open(defineZone("item", { size }));
        const items = new Int32Array(MEMORY_BYTES / size);
        const start = performance.now();
        let ops = 0;
        for (let item = zone.tryAlloc(); item !== 0; item = zone.tryAlloc()) items[ops++] = item;
        const filledAt = performance.now();
        figures = account(uma, ops * size);
        const counted = performance.now();
        for (let n = 0; n < ops; n++) zone.free(items[n] as number);
        return { ops, ns: (performance.now() - counted + filledAt - start) * 1e6 };
      },
      figures: () => figures,
    };
  };
}

function account(uma: Uma, itemBytes: number): Figures {
  const { geometry, cells } = uma.core.floor;
  const { heapInUse, bytes } = uma.stats();
  const zone = uma.stats().zones[0];
  if (zone === undefined) throw new Error("the zone has no statistics");
  let headerBytes = 0;
  for (let n = 0; n < HEADER_CLASSES; n++) {
    const at = cells.base + SB_HEADER_CLASSES + n * HEADER_CLASS_WORDS;
    headerBytes += cells.i32[at + HC_TOTAL] * (n + 1) * HEADER_CLASS_STEP_BYTES;
  }
  const percent = (part: number): number => (part / bytes) * 100;
  return {
    "% metadata": percent(bytes - itemBytes),
    "% of it slab headers and marks": percent(headerBytes),
    "% of it page table": percent((bytes / PAGE_BYTES) * PTE_WORDS * 4),
    "% of it buckets, and headers to spare": percent(cells.i32[cells.base + SB_POOL_PAGES] * PAGE_BYTES - headerBytes),
    "% of it slabs' edges and round-up": percent(zone.bytes - itemBytes),
    "% of it free or boundary tags": percent(bytes - geometry.heapStart - zone.bytes - cells.i32[cells.base + SB_POOL_PAGES] * PAGE_BYTES),
    "pages in use, share": percent(heapInUse),
  };
}

const cases: readonly Case[] = SIZES.map((size) => ({
  name: "zone",
  variant: `${size} bytes`,
  program: filled(size),
  maxSlices: 1,
  maxProcesses: 1,
  warmUp: false,
}));

export const suite: Suite = {
  name: "memory",
  about: "A memory of 64 MiB filled with one zone: what of it is not items. (The times are of filling and emptying it once, cold.)",
  cases,
  rows: [
    {
      label: "metadata, 64-byte items, % of the memory",
      figure: { of: ["zone", "64 bytes"], key: "% metadata" },
      limit: 8,
      aim: 3,
      direction: "at most",
    },
  ],
};
