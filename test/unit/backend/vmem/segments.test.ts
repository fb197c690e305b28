import { describe, expect, test } from "vitest";
import { firstOfTable, HASH_FIRST, hashOf, tableOf } from "../../../../src/backend/vmem/hash.ts";
import { listOf, sureListOf } from "../../../../src/backend/vmem/segments.ts";
import { PAGE_BYTES } from "../../../../src/backend/memory/layout.ts";
import { randomFrom, seedFor } from "../../../fixtures/seeds.ts";

describe("free lists", () => {
  test("hold sizes from one power of two to the next, exactly, up to 2⁵³ − 1", () => {
    for (let k = 0; k < 53; k++) {
      expect(listOf(2 ** k)).toBe(k);
      expect(listOf(2 ** (k + 1) - 1)).toBe(k);
    }
  });

  test("are searched from the first one whose every member is large enough", () => {
    for (let k = 1; k < 52; k++) {
      expect(sureListOf(2 ** k)).toBe(k);
      expect(sureListOf(2 ** k + 1)).toBe(k + 1);
      expect(sureListOf(2 ** (k + 1) - 1)).toBe(k + 1);
    }
    expect(sureListOf(1)).toBe(0);
  });

  test("every member of the sure list is large enough, and none of a lower list need be, for random sizes", () => {
    const random = randomFrom(seedFor("segments"));
    for (let n = 0; n < 5000; n++) {
      const size = 1 + Math.floor(2 ** (random.below(52) + random.below(1000) / 1000));
      const sure = sureListOf(size);
      expect(2 ** sure).toBeGreaterThanOrEqual(size);
      expect(sure - listOf(size)).toBeLessThanOrEqual(1);
    }
  });
});

describe("hash tables", () => {
  test("hold the buckets one after another: each bucket is in the table whose range it falls in", () => {
    for (const bucket of [0, 1, HASH_FIRST - 1, HASH_FIRST, 127, 128, 255, 256, 4095, 4096, 1 << 20]) {
      const table = tableOf(bucket);
      expect(firstOfTable(table)).toBeLessThanOrEqual(bucket);
      expect(firstOfTable(table + 1)).toBeGreaterThan(bucket);
    }
    expect(firstOfTable(0)).toBe(0);
    expect([1, 2, 3].map(firstOfTable)).toEqual([HASH_FIRST, 2 * HASH_FIRST, 4 * HASH_FIRST]);
  });

  test("page addresses are scattered evenly enough: no bucket of 256 has eight times its share", () => {
    const buckets = new Int32Array(256);
    for (let page = 0; page < 4096; page++) {
      const hash = hashOf(page * PAGE_BYTES);
      expect(Number.isInteger(hash) && hash >= 0).toBe(true);
      buckets[hash & 255] = (buckets[hash & 255] as number) + 1;
    }
    expect(Math.max(...buckets)).toBeLessThan(8 * 16);
  });

  test("starts beyond 32 bits scatter as well", () => {
    const hashes = new Set(Array.from({ length: 1000 }, (_, n) => hashOf(n * 2 ** 33)));
    expect(hashes.size).toBeGreaterThan(900);
  });
});
