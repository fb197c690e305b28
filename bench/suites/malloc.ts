/** malloc: against the zone below it, against C's malloc in WebAssembly, and against the allocator that JavaScript programs use. */
import { MemPool } from "@thi.ng/malloc";
import { createMalloc, defineZone, Uma } from "../../src/index.ts";
import { across, type BatchProgram, type Case, type Suite } from "../harness/suite.ts";
import { dlMalloc, hasDlMalloc } from "../programs/compiled.ts";
import { permutation } from "../programs/orders.ts";

const LIVE = 1000;
const ITEM_BYTES = 64;
const LEAST_BYTES = 16;
const MOST_BYTES = 4096;
const MEMORY_BYTES = 2 ** 24;

const SAME = "64 bytes, 1000 live, random";
const MIXED = "16 to 4096 bytes, 1000 live, random";

interface Heap {
  malloc(size: number): number;
  free(p: number): void;
}

/** Sizes spread evenly over the doublings, always the same ones. */
function mixedSizes(): Int32Array {
  const doublings = Math.log2(MOST_BYTES / LEAST_BYTES);
  const order = permutation(LIVE, 5);
  return Int32Array.from(order, (place) => Math.round(LEAST_BYTES * 2 ** ((place / (LIVE - 1)) * doublings)));
}

/** One after the other, in a fixed random order, is freed and replaced by another of the same size, or of the next in the list. */
function replacing(heap: Heap, sizes: Int32Array): BatchProgram {
  const order = permutation(LIVE, 1);
  const live = Int32Array.from({ length: LIVE }, (_, n) => heap.malloc(sizes[n] as number));
  let turn = 0;
  return {
    batch: () => {
      turn = (turn + 1) % LIVE;
      for (let n = 0; n < LIVE; n++) {
        const place = order[n] as number;
        heap.free(live[place] as number);
        live[place] = heap.malloc(sizes[(place + turn) % LIVE] as number);
      }
      return LIVE;
    },
  };
}

function ours(): Heap {
  return createMalloc(Uma.create({ bytes: MEMORY_BYTES }));
}

function zone(): Heap {
  const items = Uma.create({ bytes: MEMORY_BYTES }).open(defineZone("item", { size: ITEM_BYTES }));
  return { malloc: () => items.alloc(), free: (p) => items.free(p) };
}

function thing(): Heap {
  const pool = new MemPool({ buf: new ArrayBuffer(MEMORY_BYTES) });
  return { malloc: (size) => pool.malloc(size), free: (p) => void pool.free(p) };
}

function dl(): Heap {
  const { allocate, release } = dlMalloc();
  return { malloc: allocate, free: release };
}

const same = new Int32Array(LIVE).fill(ITEM_BYTES);
const compiled = hasDlMalloc();

const cases: readonly Case[] = [
  { name: "zone", variant: SAME, program: () => replacing(zone(), same) },
  { name: "malloc", variant: SAME, program: () => replacing(ours(), same) },
  { name: "thing", variant: SAME, program: () => replacing(thing(), same) },
  { name: "malloc", variant: MIXED, program: () => replacing(ours(), mixedSizes()) },
  { name: "thing", variant: MIXED, program: () => replacing(thing(), mixedSizes()) },
  ...(compiled
    ? [
        { name: "dlmalloc", variant: SAME, program: () => replacing(dl(), same) },
        { name: "dlmalloc", variant: MIXED, program: () => replacing(dl(), mixedSizes()) },
      ]
    : []),
];

export const suite: Suite = {
  name: "malloc",
  about: `A free and a malloc in its place. dlmalloc: wasi-libc's in WebAssembly${compiled ? "" : " (left out: no compiler for wasm32)"}.`,
  cases,
  rows: [
    { label: "malloc ÷ zone, 64 bytes", over: across("malloc", "zone", [SAME]), limit: 1.8, aim: 1.4, direction: "at most" },
    { label: "thi.ng/malloc ÷ malloc, 64 bytes", over: across("thing", "malloc", [SAME]), limit: 20, aim: 20, direction: "at least" },
    ...(compiled
      ? [
          {
            label: "dlmalloc in WebAssembly ÷ malloc, 16 to 4096 bytes",
            over: across("dlmalloc", "malloc", [MIXED]),
            limit: 2,
            aim: 5,
            direction: "at least" as const,
          },
        ]
      : []),
  ],
};
