import { describe, expect, test } from "vitest";
import { type ItemList, Uma, type Zone, defineZone } from "../../../src/index.ts";
import { SB_POOL_LOCK, SB_SMR_READ, SB_SMR_WRITE, SLOT_SMR } from "../../../src/backend/memory/layout.ts";
import { anotherCopy } from "../../fixtures/zones.ts";

const MIB = 2 ** 20;
const coded = (code: string): unknown => expect.objectContaining({ code });

/** A memory whose sequence numbers begin at `first`. */
function makeUma(first = 1): Uma {
  const uma = Uma.create({ bytes: 8 * MIB, workers: 8 });
  const { i32, base } = uma.core.floor.cells;
  i32[base + SB_SMR_WRITE] = first;
  i32[base + SB_SMR_READ] = first;
  return uma;
}

/** A reader in another slot, as its words tell it. */
function reader(uma: Uma): { enter(): void; exit(): void; die(): void } {
  const ticket = uma.ticket();
  const { slots, cells } = uma.core.floor;
  slots.adopt(ticket.name);
  const word = slots.wordOf(ticket.name & 127) + SLOT_SMR;
  return {
    enter: () => void Atomics.store(cells.i32, word, Atomics.load(cells.i32, cells.base + SB_SMR_WRITE)),
    exit: () => void Atomics.store(cells.i32, word, 0),
    die: () => void uma.reap(ticket),
  };
}

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

/** Just below each place where the sign or the number comes round, and far from any. */
const STARTS = [1, 2 ** 31 - 5, -(2 ** 31) + 1, -5, -1] as const;

describe.each(STARTS)("sequences that begin at %d", (first) => {
  test("a goal is reached at once when nobody reads", () => {
    const uma = makeUma(first);
    for (let n = 0; n < 10; n++) expect(uma.smr.poll(uma.smr.advance())).toBe(true);
    finish(uma);
  });

  test("a goal is not reached while a reader that entered before is inside, and is when it leaves", () => {
    const uma = makeUma(first);
    const other = reader(uma);
    for (let n = 0; n < 6; n++) {
      other.enter();
      const goal = uma.smr.advance();
      expect(uma.smr.poll(goal)).toBe(false);
      expect(uma.smr.poll(goal)).toBe(false);
      other.exit();
      expect(uma.smr.poll(goal)).toBe(true);
      other.enter();
      expect(uma.smr.poll(goal)).toBe(true);
      other.exit();
    }
    finish(uma);
  });

  test("the slowest of several readers counts", () => {
    const uma = makeUma(first);
    const [slow, fast] = [reader(uma), reader(uma)];
    slow.enter();
    const early = uma.smr.advance();
    fast.enter();
    const late = uma.smr.advance();
    expect([uma.smr.poll(early), uma.smr.poll(late)]).toEqual([false, false]);
    slow.exit();
    expect([uma.smr.poll(early), uma.smr.poll(late)]).toEqual([true, false]);
    fast.exit();
    expect(uma.smr.poll(late)).toBe(true);
    finish(uma);
  });

  test("lazy and deferred goals are reached as well, not before the readers have gone", () => {
    const uma = makeUma(first);
    const other = reader(uma);
    for (const mode of ["lazy", "deferred"] as const) {
      for (let n = 0; n < 40; n++) {
        other.enter();
        const goal = uma.smr.advance(mode);
        expect(uma.smr.poll(goal)).toBe(false);
        other.exit();
        expect(uma.smr.poll(goal)).toBe(true);
      }
    }
    finish(uma);
  });

  test("an item is not reused while a reader could see it", () => {
    const uma = makeUma(first);
    const z = uma.open(defineZone("smr", { size: 64, smr: true, bucket: 4 }));
    const other = reader(uma);
    for (let round = 0; round < 20; round++) {
      other.enter();
      const held = Array.from({ length: 8 }, () => z.allocSmr());
      for (const item of held) z.freeSmr(item);
      const fresh = Array.from({ length: 16 }, () => z.allocSmr());
      expect(fresh.filter((item) => held.includes(item))).toEqual([]);
      other.exit();
      for (const item of fresh) z.freeSmr(item);
    }
    expect(z.stats().used).toBe(0);
    // With nobody inside, items come round again: memory does not grow.
    const { pages } = z.stats();
    for (let n = 0; n < 10_000; n++) z.freeSmr(z.allocSmr());
    expect(z.stats().pages).toBeLessThanOrEqual(pages + 2);
    finish(uma);
  });
});

test("a goal from half a world ago counts as reached", () => {
  const uma = makeUma();
  const { i32, base } = uma.core.floor.cells;
  const old = uma.smr.advance();
  i32[base + SB_SMR_WRITE] = (old - 2 ** 30) | 0;
  i32[base + SB_SMR_READ] = (old - 2 ** 30) | 0;
  expect(uma.smr.poll(old)).toBe(true);
  finish(uma);
});

test("a section does not nest, is not left twice, and is not waited in", () => {
  const uma = makeUma();
  expect(() => uma.smr.exit()).toThrow(coded("ERR_UMA_SMR"));
  uma.smr.enter();
  expect(uma.smr.entered()).toBe(true);
  expect(() => uma.smr.enter()).toThrow(coded("ERR_UMA_SMR"));
  expect(() => uma.smr.synchronize()).toThrow(coded("ERR_UMA_SMR"));
  uma.smr.exit();
  expect(() => uma.smr.exit()).toThrow(coded("ERR_UMA_SMR"));
  expect(uma.smr.entered()).toBe(false);
  uma.smr.synchronize();
  finish(uma);
});

test("a wait for a reader that stays ends in time", () => {
  const uma = makeUma();
  const other = reader(uma);
  other.enter();
  expect(() => uma.smr.synchronize(20)).toThrow(coded("ERR_UMA_TIMEOUT"));
  other.exit();
  uma.smr.synchronize(20);
  finish(uma);
});

test("a dead reader's section ends with its certificate", () => {
  const uma = makeUma();
  const other = reader(uma);
  other.enter();
  const goal = uma.smr.advance();
  expect(uma.smr.poll(goal)).toBe(false);
  other.die();
  expect(uma.smr.poll(goal)).toBe(true);
  finish(uma);
});

test("SMR zones take allocSmr and freeSmr only, and other zones do not", () => {
  const uma = makeUma();
  const smr = uma.open(defineZone("smr", { size: 64, smr: true }));
  const plain = uma.open(defineZone("plain", { size: 64 }));
  const item = smr.allocSmr();
  expect(() => smr.alloc()).toThrow(coded("ERR_UMA_SMR"));
  expect(() => smr.tryAlloc()).toThrow(coded("ERR_UMA_SMR"));
  expect(() => smr.free(item)).toThrow(coded("ERR_UMA_SMR"));
  expect(() => smr.allocBulk([0, 0] as ItemList)).toThrow(coded("ERR_UMA_SMR"));
  expect(() => plain.allocSmr()).toThrow(coded("ERR_UMA_SMR"));
  expect(() => plain.freeSmr(plain.alloc())).toThrow(coded("ERR_UMA_SMR"));
  expect(() => smr.freeSmr(plain.alloc())).toThrow(coded("ERR_UMA_WRONG_ZONE"));
  smr.freeSmr(item);
  expect(() => smr.freeSmr(item)).toThrow(coded("ERR_UMA_DOUBLE_FREE"));
  for (const options of [{ zero: true }, { checks: false }, { onDeath: "free" as const }]) {
    expect(() => defineZone("no", { size: 64, smr: true, ...options })).toThrow(coded("ERR_UMA_OPTION"));
  }
  finish(uma);
});

test("dtor runs when the readers have gone, once for each item, and ctor only after it", () => {
  const uma = makeUma();
  const built = new Set<number>();
  let dtors = 0;
  const z: Zone = uma.open(
    defineZone("hooked smr", {
      size: 64,
      smr: true,
      bucket: 4,
      ctor: (item) => {
        expect(built.has(item)).toBe(false);
        built.add(item);
      },
      dtor: (item) => {
        dtors++;
        expect(built.delete(item)).toBe(true);
      },
    }),
  );
  const other = reader(uma);
  other.enter();
  const items = Array.from({ length: 20 }, () => z.allocSmr());
  for (const item of items) z.freeSmr(item);
  expect(dtors).toBe(0);
  for (let n = 0; n < 8; n++) z.freeSmr(z.allocSmr());
  expect(dtors).toBe(0);
  other.exit();
  for (let n = 0; n < 100; n++) z.freeSmr(z.allocSmr());
  expect(dtors).toBeGreaterThan(60);
  z.reclaim("drain");
  expect(built.size).toBe(0);
  expect(z.stats().pages).toBe(0);
  finish(uma);
});

test("a refused item of an SMR zone is not counted and not lost", () => {
  const uma = makeUma();
  let refuse = true;
  const z = uma.open(defineZone("choosy", { size: 64, smr: true, limit: 3, ctor: () => !refuse }));
  expect(z.allocSmr()).toBe(0);
  expect(uma.lastFailure).toBe("REFUSED");
  refuse = false;
  expect([1, 2, 3, 4].map(() => z.allocSmr() !== 0)).toEqual([true, true, true, false]);
  expect(uma.lastFailure).toBe("LIMIT");
  finish(uma);
});

test("at the limit an allocation has what is in its own limbo, if nobody reads", () => {
  const uma = makeUma();
  const z = uma.open(defineZone("tight", { size: 64, smr: true, limit: 3 }));
  for (let n = 0; n < 100; n++) {
    const items = [z.allocSmr(), z.allocSmr(), z.allocSmr()];
    expect(items.includes(0)).toBe(false);
    for (const item of items) z.freeSmr(item);
  }
  finish(uma);
});

describe("a free that finds no bucket", () => {
  /** A worker whose frees find the pool's lock taken, by a name that lives. */
  async function makeLate(): Promise<{ uma: Uma; mine: Zone; other: Uma; theirs: Zone; dtors: number[]; block: () => () => void }> {
    const uma = makeUma();
    const dtors: number[] = [];
    const definition = defineZone("late", { size: 64, smr: true, bucket: 8, dtor: (item) => void dtors.push(item) });
    const mine = uma.open(definition);
    const other = (await anotherCopy()).Uma.attach(uma.ticket(), { patience: 0 });
    const { i32, base } = uma.core.floor.cells;
    const block = (): (() => void) => {
      i32[base + SB_POOL_LOCK] = uma.core.floor.me;
      return () => void (i32[base + SB_POOL_LOCK] = 0);
    };
    return { uma, mine, other, theirs: other.open(definition), dtors, block };
  }

  test("is ended by the worker's leaving, and keeps it while the lock is out of reach and somebody reads", async () => {
    const { uma, mine, other, theirs, dtors, block } = await makeLate();
    const item = theirs.allocSmr();
    uma.smr.enter();
    const unblock = block();
    theirs.freeSmr(item);
    expect(other.detach().done).toBe(false);
    expect(dtors).toEqual([]);
    unblock();
    uma.smr.exit();
    expect(other.detach()).toMatchObject({ done: true, zones: [] });
    mine.reclaim();
    mine.reclaim();
    expect(mine.stats()).toMatchObject({ used: 0, pages: 0 });
    expect(dtors).toEqual([item]);
    finish(uma);
  });

  test("is ended by closing the zone", async () => {
    const { uma, mine, other, theirs, block } = await makeLate();
    const item = theirs.allocSmr();
    const unblock = block();
    uma.smr.enter();
    theirs.freeSmr(item);
    uma.smr.exit();
    unblock();
    theirs.close();
    mine.reclaim();
    mine.reclaim();
    expect(mine.stats()).toMatchObject({ used: 0, pages: 0 });
    other.detach();
    finish(uma);
  });

  test("is refused to whoever frees the item again, and is ended for its worker if that dies: once nobody reads", async () => {
    const { uma, mine, other, theirs, dtors, block } = await makeLate();
    const item = theirs.allocSmr();
    const inside = reader(uma);
    inside.enter();
    const unblock = block();
    theirs.freeSmr(item);
    expect(() => mine.freeSmr(item)).toThrow(coded("ERR_UMA_ITEM_BUSY"));
    expect(uma.core.floor.slots.certify(other.name)).toBe(true);
    unblock();
    expect(uma.reap(other.slot)).toMatchObject({ done: true, zones: [{ zone: "late", orphaned: 1, kept: 0 }] });
    // As long as somebody may be looking at it, it is not touched.
    uma.core.floor.cells.i32[item >> 2] = 4711;
    mine.freeSmr(mine.allocSmr());
    uma.poll();
    expect([uma.core.floor.cells.i32[item >> 2], mine.stats().used]).toEqual([4711, 1]);
    inside.exit();
    uma.poll();
    expect([uma.core.floor.cells.i32[item >> 2], mine.stats().used]).toEqual([0, 0]);
    // Half destroyed, for all that is known.
    expect(dtors).not.toContain(item);
    finish(uma);
  });

  test("goes without a bucket once nobody reads", async () => {
    const { uma, mine, other, theirs, dtors, block } = await makeLate();
    const items = [theirs.allocSmr(), theirs.allocSmr(), theirs.allocSmr()];
    const unblock = block();
    theirs.freeSmr(items[2] as number);
    expect(dtors.splice(0)).toEqual([items[2]]);
    uma.smr.enter();
    theirs.freeSmr(items[0] as number);
    expect(dtors).toEqual([]);
    uma.smr.exit();
    // What it could do without the lock is done; it needs the lock for the rest.
    expect(() => theirs.reclaim()).toThrow(coded("ERR_UMA_BUSY"));
    expect(dtors).toEqual([items[0]]);
    uma.smr.enter();
    theirs.freeSmr(items[1] as number);
    uma.smr.exit();
    expect(() => theirs.freeSmr(items[1] as number)).toThrow(coded("ERR_UMA_DOUBLE_FREE"));
    unblock();
    expect(other.detach()).toMatchObject({ done: true, zones: [] });
    mine.reclaim();
    mine.reclaim();
    expect(mine.stats()).toMatchObject({ used: 0, pages: 0 });
    finish(uma);
  });
});

test("the unfinished bucket of a writer that leaves or dies waits a whole grace period", () => {
  const uma = makeUma();
  const d = defineZone("left", { size: 64, smr: true });
  const z = uma.open(d);
  const other = reader(uma);
  const item = z.allocSmr();
  other.enter();
  z.freeSmr(item);
  z.close();
  const again = uma.open(d);
  const taken = Array.from({ length: 300 }, () => again.allocSmr());
  expect(taken.includes(item)).toBe(false);
  other.exit();
  for (const one of taken) again.freeSmr(one);
  expect(again.reclaim("drain").slabs).toBeGreaterThan(0);
  expect(again.stats().pages).toBe(0);
  finish(uma);
});
