import { describe, expect, test } from "vitest";
import { CLASS_OF, CLASS_SHIFT, CLASS_SIZES, SMALL_MAX_BYTES, classZones } from "../../../../src/uma/malloc/classes.ts";

describe("size classes", () => {
  test("every size up to the largest gets the smallest class that holds it", () => {
    for (let size = 0; size <= SMALL_MAX_BYTES; size++) {
      const index = CLASS_OF[(size + 15) >> CLASS_SHIFT] as number;
      expect(CLASS_SIZES[index]).toBeGreaterThanOrEqual(size);
      if (index > 0) expect(CLASS_SIZES[index - 1]).toBeLessThan(Math.max(size, 1));
    }
  });

  test("there are at least four classes a doubling, in multiples of 16 bytes", () => {
    for (let from = 64; from < SMALL_MAX_BYTES; from *= 2) {
      expect(CLASS_SIZES.filter((size) => size > from && size <= 2 * from).length).toBeGreaterThanOrEqual(4);
    }
    expect(CLASS_SIZES.filter((size) => size % 16 !== 0)).toEqual([]);
    expect(CLASS_SIZES[0]).toBe(16);
    expect(CLASS_SIZES.at(-1)).toBe(SMALL_MAX_BYTES);
  });

  test("each class has a zone definition of its own name and size", () => {
    expect(classZones("keep").map((d) => [d.name, d.size])).toEqual(CLASS_SIZES.map((size) => [`malloc-${size}`, size]));
  });
});
