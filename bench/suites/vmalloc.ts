/**
 * Mapped ranges: a sequential copy of 64 MB out of one, by pieces, against the copy out of a plain stretch of the same memory; with
 * pages that follow each other, as a fresh heap gives them, and with pages that all lie apart, as an old one does. And what a range
 * of sixteen pages costs to make and give back, beside sixteen pages in a row.
 */
import { Uma, openVmalloc, type Vmalloc } from "../../src/index.ts";
import { GFP_KERNEL, createLinux } from "../../src/kpi/linux.ts";
import type { BatchProgram, Case, SliceProgram, Suite } from "../harness/suite.ts";

const BYTES = 64_000_000;
const PAGES = Math.ceil(BYTES / 4096);

/** A memory with a mapped range in it; if asked for, in pages of which no two are neighbours. */
function mapped(scattered: boolean): { uma: Uma; vm: Vmalloc; p: number } {
  const uma = Uma.create({ bytes: 2 ** 28 });
  const { heap } = uma.core;
  if (scattered) {
    const pages = Array.from({ length: 2 * PAGES + 2 }, () => heap.alloc(1, uma.name, 0));
    for (let n = 0; n < pages.length; n += 2) heap.free(pages[n] as number, 0);
  }
  const vm = openVmalloc(uma, { warnBytes: 0, bytes: 2 ** 28 });
  const p = vm.alloc(BYTES, { zero: true });
  if (p === 0) throw new Error("the range could not be mapped");
  return { uma, vm, p };
}

/** Copies again and again, all of it at a time. */
function copies(copy: () => void): SliceProgram {
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
  };
}

function byPieces(scattered: boolean): SliceProgram {
  const { uma, vm, p } = mapped(scattered);
  const { u8 } = uma.views;
  const target = new Uint8Array(BYTES).fill(1);
  return copies(() => {
    let at = 0;
    for (const { address, bytes } of vm.pieces(p, BYTES)) {
      target.set(u8.subarray(address, address + bytes), at);
      at += bytes;
    }
  });
}

function byCopyOut(scattered: boolean): SliceProgram {
  const { vm, p } = mapped(scattered);
  const target = new Uint8Array(BYTES).fill(1);
  return copies(() => vm.copyOut(p, target));
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

const COPY = { group: "copy", sliceMs: 60 } as const;
const cases: readonly Case[] = [
  { name: "plain", variant: "64 MB", program: plain, ...COPY },
  { name: "pieces", variant: "neighbours", program: () => byPieces(false), ...COPY },
  { name: "pieces", variant: "scattered", program: () => byPieces(true), ...COPY },
  { name: "copyOut", variant: "neighbours", program: () => byCopyOut(false), ...COPY },
  { name: "copyOut", variant: "scattered", program: () => byCopyOut(true), ...COPY },
  { name: "vmalloc and vfree", variant: "16 pages", program: pair((k) => () => k.vfree(k.vmalloc(65_536))) },
  { name: "get_free_pages and back", variant: "16 pages", program: pair((k) => () => k.free_pages(k.__get_free_pages(GFP_KERNEL, 4), 4)) },
];

const row = (name: string, variant: string): Suite["rows"][number] => ({
  label: `${name} of a mapped range ÷ plain copy, ${variant}`,
  over: [{ numerator: [name, variant], denominator: ["plain", "64 MB"] }],
  limit: 1.3,
  aim: 1.1,
  direction: "at most",
});

export const suite: Suite = {
  name: "vmalloc",
  about: "Copying 64 MB out of a mapped range, against out of a plain stretch (operations are MB); making and giving back a small range.",
  cases,
  rows: [row("pieces", "neighbours"), row("pieces", "scattered"), row("copyOut", "neighbours"), row("copyOut", "scattered")],
};
