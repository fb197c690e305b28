import { describe, expect, test } from "vitest";
import { PAGE_BYTES, SLAB_BITS } from "../../../src/backend/memory/layout.ts";
import { layOutSlab, SLAB_MAX_ITEMS, SMALLEST_UNIT_BYTES, type SlabGeometry } from "../../../src/uma/slab-geometry.ts";

const ALIGNMENTS = [1, 2, 8, 16, 32, 64, 256, 1024, 4096];
/** Every size up to two pages, then further apart, with those around powers of two. */
const SIZES = [
  ...Array.from({ length: 8192 }, (_, n) => n + 1),
  ...Array.from({ length: 60 }, (_, n) => 8193 + n * 1117),
  ...[16, 17, 18, 20, 24, 30].flatMap((k) => [2 ** k - 1, 2 ** k, ...(k < 30 ? [2 ** k + 1] : [])]),
];

/** Calls `check` for every size and alignment; the first that fails is named. */
function forAll(check: (g: SlabGeometry, size: number, align: number) => boolean): void {
  const wrong: string[] = [];
  for (const align of ALIGNMENTS) {
    for (const size of SIZES) {
      if (!check(layOutSlab(size, align), size, align) && wrong.push(`size ${size}, align ${align}`) > 5) break;
    }
  }
  expect(wrong).toEqual([]);
}

function unitOf(g: SlabGeometry): number {
  return g.unitMask + 1;
}

describe("for every size and alignment", () => {
  test("an item has room, at a multiple of the alignment and of the smallest unit", () => {
    forAll((g, size, align) => g.rsize >= size && g.rsize % align === 0 && g.rsize % SMALLEST_UNIT_BYTES === 0);
  });

  test("the items fill the slab: they lie inside, and one more would not", () => {
    forAll((g) => {
      const bytes = g.ppera * PAGE_BYTES;
      return g.ipers >= 1 && g.ipers * g.rsize <= bytes && (g.ipers === SLAB_MAX_ITEMS || (g.ipers + 1) * g.rsize > bytes);
    });
  });

  test("every item starts at a multiple of the grid's unit, and has a mark of its own inside the header", () => {
    forAll((g) => {
      if (g.ipers === 1) return g.unitMask === PAGE_BYTES - 1 && g.headerBytes - (SLAB_BITS + g.bitsWords) * 4 === 1;
      const marks = g.headerBytes - (SLAB_BITS + g.bitsWords) * 4;
      return (
        g.rsize % unitOf(g) === 0 && 2 ** g.shift === unitOf(g) && marks * unitOf(g) === g.ppera * PAGE_BYTES && unitOf(g) <= PAGE_BYTES
      );
    });
  });

  test("rounding up to the grid wastes no more than a 64th beyond what the alignment asks for", () => {
    forAll((g, size, align) => {
      const least = Math.max(align, SMALLEST_UNIT_BYTES);
      const needed = Math.ceil(Math.max(size, SMALLEST_UNIT_BYTES) / least) * least;
      return g.rsize - size <= Math.max(size >>> 6, needed - size);
    });
  });

  test("there is a bit for every item, and the header fits a page of its pool", () => {
    forAll((g) => g.bitsWords * 32 >= g.ipers && (g.bitsWords - 1) * 32 < g.ipers && g.headerBytes <= PAGE_BYTES);
  });

  test("no slab has more items than the most, nor more than sixteen times an item's pages", () => {
    forAll((g) => g.ipers <= SLAB_MAX_ITEMS && g.ppera <= 16 * Math.ceil(g.rsize / PAGE_BYTES) + 1);
  });

  test("nine tenths of the memory are items, or no slab of fewer pages does better", () => {
    forAll((g) => {
      const share = (candidate: number): number => {
        const ipers = Math.min(Math.floor((candidate * PAGE_BYTES) / g.rsize), SLAB_MAX_ITEMS);
        const marks = ipers === 1 ? 1 : (candidate * PAGE_BYTES) / unitOf(g);
        const header = Math.ceil(((SLAB_BITS + Math.ceil(ipers / 32)) * 4 + marks) / 32) * 32;
        return (ipers * g.rsize) / (candidate * PAGE_BYTES + header);
      };
      // The grid's unit of slabs of one item is not theirs to compare by: such a slab is as short as can be.
      if (g.ipers === 1) return g.ppera === Math.ceil(g.rsize / PAGE_BYTES) || share(g.ppera) > 0.5;
      if (share(g.ppera) >= 0.9) return true;
      for (let pages = Math.ceil(g.rsize / PAGE_BYTES); pages < g.ppera; pages++) if (share(pages) > share(g.ppera)) return false;
      return true;
    });
  });
});

describe("what it costs", () => {
  test("headers and marks of a full slab of 64-byte items take about 3 % of the memory", () => {
    const g = layOutSlab(64, 16);
    expect(g.rsize).toBe(64);
    expect(Math.ceil(g.headerBytes / 32) * 32).toBeLessThan(0.035 * (g.ppera * PAGE_BYTES));
  });

  test("no size from 16 bytes on pays more than an eighth for headers and marks", () => {
    forAll((g, size) => size < 16 || Math.ceil(g.headerBytes / 32) * 32 <= (g.ppera * PAGE_BYTES) / 8);
  });

  test.each([
    [1, 16, 16],
    [16, 16, 16],
    [17, 16, 32],
    [40, 16, 48],
    [64, 16, 64],
    [65, 16, 80],
    [100, 64, 128],
    [4096, 16, 4096],
    [4096, 4096, 4096],
    [10, 4096, 4096],
  ])("%d bytes at alignment %d are laid out as %d", (size, align, rsize) => {
    expect(layOutSlab(size, align).rsize).toBe(rsize);
  });
});
