// malloc against a plain model, over random sequences of operations: contents, addresses, statistics and verify() agree.
import fc from "fast-check";
import { expect, test } from "vitest";
import { UmaError } from "../../../../src/backend/memory/errors.ts";
import { createMalloc } from "../../../../src/uma/malloc/malloc.ts";
import { Uma } from "../../../../src/uma/uma.ts";

const SEED = Number(process.env.ZALLOC_SEED ?? Date.now() % 2 ** 31);

interface Held {
  readonly bytes: number;
  readonly stamp: number;
}

const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 600 }) },
  { weight: 3, arbitrary: fc.integer({ min: 600, max: 9000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 8193, max: 120_000 }) },
);
const which = fc.nat({ max: 1_000_000 });
const operation = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("malloc" as const), size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("calloc" as const), size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("aligned" as const), size, align: fc.integer({ min: 4, max: 12 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("free" as const), which }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("realloc" as const), which, size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wrong" as const), which, offset: fc.integer({ min: 1, max: 5000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("trim" as const) }) },
);

test(`malloc agrees with a model over random operations (seed ${SEED}; set ZALLOC_SEED to repeat)`, () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 50, maxLength: 250 }), (operations) => {
      const uma = Uma.create({ bytes: 4 * 2 ** 20, workers: 2 });
      const heap = createMalloc(uma);
      const { u8 } = uma.views;
      const live = new Map<number, Held>();
      let stamp = 0;

      const intact = (p: number, bytes: number, value: number): boolean => u8.subarray(p, p + bytes).every((byte) => byte === value);
      const enter = (p: number, bytes: number): void => {
        if (p === 0) {
          expect(uma.lastFailure).toBe("EMPTY");
          return;
        }
        expect(live.has(p)).toBe(false);
        stamp = (stamp + 1) & 0xff;
        u8.fill(stamp, p, p + heap.usableSize(p));
        live.set(p, { bytes: heap.usableSize(p), stamp });
        expect(heap.usableSize(p)).toBeGreaterThanOrEqual(bytes);
      };
      const pick = (n: number): [number, Held] | undefined => [...live][n % Math.max(1, live.size)];

      for (const op of operations) {
        if (op.kind === "malloc") {
          enter(heap.malloc(op.size), op.size);
        } else if (op.kind === "calloc") {
          const p = heap.calloc(1, op.size);
          if (p !== 0) expect(intact(p, op.size, 0)).toBe(true);
          enter(p, op.size);
        } else if (op.kind === "aligned") {
          const p = heap.alignedAlloc(2 ** op.align, op.size);
          expect(p % 2 ** op.align).toBe(0);
          enter(p, op.size);
        } else if (op.kind === "trim") {
          heap.trim();
        } else {
          const found = pick(op.which);
          if (found === undefined) continue;
          const [p, held] = found;
          expect(intact(p, held.bytes, held.stamp)).toBe(true);
          if (op.kind === "free") {
            heap.free(p);
            live.delete(p);
          } else if (op.kind === "realloc") {
            const q = heap.realloc(p, op.size);
            if (q === 0) continue;
            live.delete(p);
            expect(intact(q, Math.min(held.bytes, op.size), held.stamp)).toBe(true);
            enter(q, op.size);
          } else if (!live.has(p + op.offset)) {
            expect(() => heap.free(p + op.offset)).toThrow(UmaError);
          }
        }
      }
      for (const [p, held] of live) expect(intact(p, held.bytes, held.stamp)).toBe(true);
      expect(heap.stats().used).toBe(live.size);
      expect(heap.stats().usedBytes).toBe([...live.values()].reduce((sum, held) => sum + held.bytes, 0));
      expect(uma.verify().problems).toEqual([]);
      for (const p of live.keys()) heap.free(p);
      expect(heap.stats().used).toBe(0);
      expect(uma.verify().problems).toEqual([]);
      uma.detach();
    }),
    { seed: SEED, numRuns: 60 },
  );
});
