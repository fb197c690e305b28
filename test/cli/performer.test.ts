import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { settleAccounts } from "../../src/cli/accounts.ts";
import { type Board, ROW_DONE, ROW_LIVE, ROW_PEAK, makeBoard, rowOf } from "../../src/cli/board.ts";
import { createPerformer, OutOfMemory, type Performer } from "../../src/cli/performer.ts";
import { type Plan, makePlan } from "../../src/cli/plan.ts";
import { createStamps } from "../../src/cli/stamps.ts";
import { readTrace } from "../../src/cli/trace.ts";
import { type Malloc, createMalloc } from "../../src/uma/malloc/malloc.ts";
import { Uma } from "../../src/uma/uma.ts";
import { type Op, randomFrom, randomOps, traceOf } from "./traces.ts";

const folder = mkdtempSync(join(tmpdir(), "zalloc-performer-"));
afterAll(() => rmSync(folder, { recursive: true }));

function planOf(ops: readonly Op[]): Plan {
  const path = join(folder, "t.trace.gz");
  writeFileSync(path, traceOf(ops));
  return makePlan(readTrace(path), 1);
}

let uma: Uma;
let malloc: Malloc;
let plan: Plan;
let board: Board;
let performer: Performer;

function set(ops: readonly Op[], bytes = 2 ** 24): void {
  uma = Uma.create({ bytes, workers: 2 });
  malloc = createMalloc(uma);
  plan = planOf(ops);
  board = makeBoard(1, plan.sizes.length);
  performer = createPerformer(uma, malloc, plan, board, 0);
}

const THREE: readonly Op[] = [
  { kind: "alloc", size: 100 },
  { kind: "alloc", size: 9001 },
  { kind: "alloc", size: 3 },
  { kind: "free", id: 1 },
];

describe("a performer", () => {
  beforeEach(() => set(THREE));

  test("does as many operations as it is asked to, and says when there are no more", () => {
    expect(performer.run(3)).toBe(true);
    expect(board.words[rowOf(0) + ROW_DONE]).toBe(3);
    expect(board.numbers[(rowOf(0) + ROW_LIVE) >> 1]).toBe(9104);
    expect(performer.run(100)).toBe(false);
    expect(board.numbers[(rowOf(0) + ROW_LIVE) >> 1]).toBe(103);
    expect(board.numbers[(rowOf(0) + ROW_PEAK) >> 1]).toBe(9104);
    expect(settleAccounts(uma, malloc, plan, board, -1)).toEqual({
      made: 3,
      recorded: 2,
      outstanding: 2,
      lost: 0,
      wrongStamps: 0,
      inHand: 0,
    });
  });

  test.each([0, 1, 5000, 9000])("notices that byte %d of an object is not its own any more", (byte) => {
    performer.run(3);
    uma.views.u8[(board.addresses[1] as number) + byte]! ^= 0x10;
    performer.run(100);
    expect(settleAccounts(uma, malloc, plan, board, -1)).toMatchObject({ wrongStamps: 1, lost: 0 });
  });

  test("notices at the end that a byte of what was never freed is wrong", () => {
    performer.run(100);
    uma.views.u8[(board.addresses[2] as number) + 2]! ^= 1;
    expect(settleAccounts(uma, malloc, plan, board, -1)).toMatchObject({ wrongStamps: 1, lost: 0 });
  });

  test("notices an allocation that is nobody's, and an object that is none any more", () => {
    performer.run(100);
    const stray = malloc.malloc(50);
    expect(settleAccounts(uma, malloc, plan, board, -1).lost).toBe(1);
    malloc.free(stray);
    expect(settleAccounts(uma, malloc, plan, board, -1).lost).toBe(0);
    malloc.free(board.addresses[0] as number);
    expect(settleAccounts(uma, malloc, plan, board, -1).lost).toBeGreaterThan(0);
  });
});

test("a performer goes through a random trace without a wrong stamp, and its accounts are right", () => {
  const seed = Number(process.env["ZALLOC_SEED"] ?? Date.now() % 2 ** 31);
  console.log(`seed ${seed}; set ZALLOC_SEED to repeat`);
  set(randomOps(5000, 1, randomFrom(seed)), 2 ** 26);
  while (performer.run(1000));
  const { lost, wrongStamps } = settleAccounts(uma, malloc, plan, board, -1);
  expect({ lost, wrongStamps }).toEqual({ lost: 0, wrongStamps: 0 });
  expect(uma.verify().problems).toEqual([]);
});

test("a performer says when the memory is too small", () => {
  set(
    Array.from({ length: 100 }, () => ({ kind: "alloc", size: 60_000 }) as const),
    2 ** 22,
  );
  expect(() => performer.run(1000)).toThrow(OutOfMemory);
});

test.each([0, 1, 2, 3, 4, 5, 7, 127, 128, 131, 4099])("a stamp of %d bytes covers exactly those", (bytes) => {
  const buffer = new ArrayBuffer(8192);
  const u8 = new Uint8Array(buffer).fill(0xee);
  const stamps = createStamps(buffer);
  stamps.write(64, bytes, 0x12345678);
  expect(stamps.check(64, bytes, 0x12345678)).toBe(true);
  expect(u8.subarray(0, 64).every((byte) => byte === 0xee)).toBe(true);
  expect(u8.subarray(64 + bytes).every((byte) => byte === 0xee)).toBe(true);
  for (let n = 0; n < bytes; n++) {
    u8[64 + n]! ^= 0x80;
    expect(stamps.check(64, bytes, 0x12345678)).toBe(false);
    u8[64 + n]! ^= 0x80;
  }
});
