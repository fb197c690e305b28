/**
 * Mapped ranges: a sequential copy of 64 MB out of one against the copy out of a plain stretch of the same memory, into the same kind
 * of buffer, all pages touched before. In four heaps: a fresh one; two old ones, 70 % in use, in which two hundred thousand blocks
 * have come and gone, of 4 KiB to 1 MiB in one and of 4 to 64 KiB in the other; and the worst, in which every other page is taken,
 * so that no two pages of the range are neighbours. A break between two pieces costs time whoever copies: "views" is the same copy
 * without any page table, by views of the pieces that were made beforehand. And what a range of sixteen pages costs to make and give
 * back, beside sixteen pages in a row.
 */
import { Uma, openVmalloc, type Vmalloc } from "../../src/index.ts";
import { GFP_KERNEL, createLinux } from "../../src/kpi/linux.ts";
import type { BatchProgram, Case, Figures, SliceProgram, Suite } from "../harness/suite.ts";

const BYTES = 64_000_000;
const PAGES = Math.ceil(BYTES / 4096);
const SEED = 20_031_111;

type HeapState = "fresh heap" | "old heap" | "old, small blocks" | "single pages";

/** Blocks of 1 to `largest` pages come and go until the heap is as old heaps are. */
function age({ core, name }: Uma, largest: number): void {
  const { heap } = core;
  const most = heap.counts().total - PAGES - 2000;
  const held: number[] = [];
  let seed = SEED;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return (seed >>> 8) / 2 ** 24;
  };
  for (let n = 0; n < 200_000; n++) {
    const { inUse } = heap.counts();
    if (inUse < most && (inUse < 0.9 * most || random() < 0.5)) {
      const p = heap.alloc(Math.floor((largest + 1) ** random()), name, 0);
      if (p > 0) held.push(p);
    } else {
      const at = Math.floor(random() * held.length);
      heap.free(held[at] as number, 0);
      held[at] = held[held.length - 1] as number;
      held.pop();
    }
  }
}

/** Every other page is taken, to the end of the heap. */
function sift({ core, name }: Uma): void {
  const { heap } = core;
  const pages: number[] = [];
  for (let p = heap.alloc(1, name, 0); p > 0; p = heap.alloc(1, name, 0)) pages.push(p);
  pages.sort((one, other) => one - other);
  for (let n = 0; n < pages.length; n += 2) heap.free(pages[n] as number, 0);
}

/** A memory with a mapped range in it. */
function mapped(state: HeapState): { uma: Uma; vm: Vmalloc; p: number } {
  const uma = Uma.create({ bytes: 2 ** 28 });
  // The page table's own pages first: they are no part of what is measured.
  const vm = openVmalloc(uma, { warnBytes: 0, bytes: 2 ** 28 });
  if (state === "old heap") age(uma, 256);
  if (state === "old, small blocks") age(uma, 16);
  if (state === "single pages") sift(uma);
  const p = vm.alloc(BYTES, { zero: true });
  if (p === 0) throw new Error("the range could not be mapped");
  return { uma, vm, p };
}

/** Copies again and again, all of it at a time. */
function copies(copy: () => void, figures: Figures = {}): SliceProgram {
  return {
    slice: (ms) => {
      const start = performance.now();
      let ops = 0;
      do {
        copy();
        ops += BYTES / 1e6;
      } while (performance.now() - start < ms);
      return { ops, ns: (performance.now() - start) * 1e6 };
    },
    figures: () => figures,
  };
}

function byPieces(state: HeapState): SliceProgram {
  const { uma, vm, p } = mapped(state);
  const { u8 } = uma.views;
  const target = new Uint8Array(BYTES).fill(1);
  const copy = (): void => {
    let at = 0;
    for (const { address, bytes } of vm.pieces(p, BYTES)) {
      target.set(u8.subarray(address, address + bytes), at);
      at += bytes;
    }
  };
  return copies(copy, { pieces: [...vm.pieces(p, BYTES)].length });
}

function byCopyOut(state: HeapState): SliceProgram {
  const { vm, p } = mapped(state);
  const target = new Uint8Array(BYTES).fill(1);
  return copies(() => vm.copyOut(p, target));
}

function byViews(state: HeapState): SliceProgram {
  const { uma, vm, p } = mapped(state);
  const views = Array.from(vm.pieces(p, BYTES), ({ address, bytes }) => uma.views.u8.subarray(address, address + bytes));
  const target = new Uint8Array(BYTES).fill(1);
  return copies(() => {
    let at = 0;
    for (const view of views) {
      target.set(view, at);
      at += view.length;
    }
  });
}

function plain(): SliceProgram {
  const uma = Uma.create({ bytes: 2 ** 28 });
  const p = uma.core.heap.alloc(PAGES, uma.name, 0);
  const { u8 } = uma.views;
  u8.fill(0, p, p + BYTES);
  const target = new Uint8Array(BYTES).fill(1);
  return copies(() => target.set(u8.subarray(p, p + BYTES)));
}

function pair(take: (k: ReturnType<typeof createLinux>) => () => void): () => BatchProgram {
  return () => {
    const work = take(createLinux(Uma.create({ bytes: 2 ** 26 }), { warnBytes: 0 }));
    return {
      batch: () => {
        for (let n = 0; n < 4; n++) work();
        return 4;
      },
    };
  };
}

const STATES: readonly HeapState[] = ["fresh heap", "old heap", "old, small blocks", "single pages"];
const COPY = { group: "copy", sliceMs: 60 } as const;
const cases: readonly Case[] = [
  { name: "plain", variant: "64 MB", program: plain, ...COPY },
  ...STATES.flatMap((variant) => [
    { name: "pieces", variant, program: () => byPieces(variant), ...COPY },
    { name: "copyOut", variant, program: () => byCopyOut(variant), ...COPY },
    { name: "views", variant, program: () => byViews(variant), ...COPY },
  ]),
  { name: "vmalloc and vfree", variant: "16 pages", program: pair((k) => () => k.vfree(k.vmalloc(65_536))) },
  { name: "get_free_pages and back", variant: "16 pages", program: pair((k) => () => k.free_pages(k.__get_free_pages(GFP_KERNEL, 4), 4)) },
];

const row = (name: string, variant: HeapState): Suite["rows"][number] => ({
  label: `${name} of a mapped range ÷ plain copy, ${variant}`,
  over: [{ numerator: [name, variant], denominator: ["plain", "64 MB"] }],
  limit: 1.3,
  aim: 1.1,
  direction: "at most",
});

/** What the page table and the views of each piece cost beside the breaks themselves. */
const beside = (name: string, variant: HeapState): Suite["rows"][number] => ({
  label: `${name} of a mapped range ÷ copy of the same pieces by views, ${variant}`,
  over: [{ numerator: [name, variant], denominator: ["views", variant] }],
  limit: 1.3,
  aim: 1.1,
  direction: "at most",
});

const contrast = (name: string, variant: HeapState): Suite["rows"][number] => ({
  label: `for contrast: ${name} ÷ plain copy, ${variant}`,
  over: [{ numerator: [name, variant], denominator: ["plain", "64 MB"] }],
  limit: 10,
  aim: 1.3,
  direction: "at most",
});

const NORMAL: readonly HeapState[] = ["fresh heap", "old heap"];
const WORSE: readonly HeapState[] = ["old, small blocks", "single pages"];

export const suite: Suite = {
  name: "vmalloc",
  about: "Copying 64 MB out of a mapped range, against out of a plain stretch (operations are MB); making and giving back a small range.",
  cases,
  rows: [
    ...NORMAL.flatMap((state) => [row("pieces", state), row("copyOut", state)]),
    ...WORSE.flatMap((state) => [beside("pieces", state), beside("copyOut", state)]),
    ...WORSE.flatMap((state) => [contrast("views", state), contrast("pieces", state), contrast("copyOut", state)]),
  ],
};
