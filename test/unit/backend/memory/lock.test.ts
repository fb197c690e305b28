import { describe, expect, test, vi } from "vitest";
import {
  LOCK_WAITERS,
  SLOT_CONTENTIONS,
  SLOT_JOURNAL_COUNT,
  SLOT_PENDING_LOCK,
  SLOT_REAPER,
  SLOT_WORDS,
} from "../../../../src/backend/memory/layout.ts";
import { slotOf } from "../../../../src/backend/memory/names.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { layGround } from "../../../fixtures/floors.ts";
import type { LockJob } from "../../../fixtures/lock-worker.ts";
import { startWorker } from "../../../fixtures/workers.ts";

function makeLock() {
  const ground = layGround();
  return { ...ground, i32: ground.cells.i32, lock: ground.geometry.heapStart >>> 2 };
}

describe("a robust lock", () => {
  test("names its holder while it is held, and the holder's slot names the lock", () => {
    const { i32, lock, tenant } = makeLock();
    const a = tenant();
    expect(a.locks.acquire(lock, 0)).toBe(true);
    expect(a.locks.contended()).toBe(false);
    expect(i32[lock]).toBe(a.me);
    expect(i32[a.slotWord + SLOT_PENDING_LOCK]).toBe(lock);
    a.locks.release();
    expect([i32[lock], i32[a.slotWord + SLOT_PENDING_LOCK]]).toEqual([0, 0]);
  });

  test("is not had by a second one, who then holds nothing and is counted as contention", () => {
    const { i32, lock, tenant } = makeLock();
    const [a, b] = [tenant(), tenant()];
    a.locks.acquire(lock, 0);
    expect(b.locks.acquire(lock, 1)).toBe(false);
    expect(b.locks.contended()).toBe(true);
    expect(i32[b.slotWord + SLOT_PENDING_LOCK]).toBe(0);
    expect(i32[b.slotWord + SLOT_CONTENTIONS]).toBe(1);
    expect((i32[lock] as number) & ~LOCK_WAITERS).toBe(a.me);
    a.locks.release();
    expect(i32[lock]).toBe(0);
    expect(b.locks.acquire(lock, 0)).toBe(true);
  });

  test("is waited for once: the second time in vain for the same holder is not waited for, a release is noticed all the same", () => {
    const { lock, tenant } = makeLock();
    const [a, b] = [tenant(), tenant()];
    const { wait } = Atomics;
    let waits = 0;
    Atomics.wait = ((...args: Parameters<typeof wait>) => {
      waits++;
      return wait(...args);
    }) as typeof wait;
    try {
      a.locks.acquire(lock, 0);
      expect(b.locks.acquire(lock, 5)).toBe(false);
      expect(waits).toBeGreaterThan(0);
      waits = 0;
      for (let n = 0; n < 10; n++) expect(b.locks.acquire(lock, 5)).toBe(false);
      expect(waits).toBe(0);
      a.locks.release();
      expect(b.locks.acquire(lock, 0)).toBe(true);
      b.locks.release();
      const c = tenant();
      c.locks.acquire(lock, 0);
      expect(b.locks.acquire(lock, 5)).toBe(false);
      expect(waits).toBeGreaterThan(0);
    } finally {
      Atomics.wait = wait;
    }
  });

  test("that was only tried, without patience, is waited for all the same by who has patience", () => {
    const { lock, tenant } = makeLock();
    const [a, b] = [tenant(), tenant()];
    const { wait } = Atomics;
    let waits = 0;
    Atomics.wait = ((...args: Parameters<typeof wait>) => {
      waits++;
      return wait(...args);
    }) as typeof wait;
    try {
      a.locks.acquire(lock, 0);
      expect(b.locks.acquire(lock, 0)).toBe(false);
      expect(waits).toBe(0);
      expect(b.locks.acquire(lock, 5)).toBe(false);
      expect(waits).toBeGreaterThan(0);
    } finally {
      Atomics.wait = wait;
    }
  });

  test("is one at a time: asking for a second while the first is held is refused and changes nothing", () => {
    const { i32, lock, tenant } = makeLock();
    const a = tenant();
    a.locks.acquire(lock, 0);
    expect(codeOf(() => a.locks.acquire(lock + 1, 0))).toBe("ERR_UMA_INTERNAL");
    expect([i32[lock], i32[lock + 1]]).toEqual([a.me, 0]);
    a.locks.release();
  });

  test("undoes what was not committed when it is let go", () => {
    const { i32, lock, tenant } = makeLock();
    const a = tenant();
    a.locks.acquire(lock, 0);
    a.journal.set(lock + 1, 5);
    a.locks.release();
    expect(i32[lock + 1]).toBe(0);
    expect(i32[a.slotWord + SLOT_JOURNAL_COUNT]).toBe(0);
  });
});

describe("mending what an exception left", () => {
  test("undoes the transaction and lets the held lock go", () => {
    const { i32, lock, tenant } = makeLock();
    const a = tenant();
    a.locks.acquire(lock, 0);
    a.journal.set(lock + 1, 5);
    a.locks.mend();
    expect([i32[lock], i32[lock + 1], i32[a.slotWord + SLOT_PENDING_LOCK]]).toEqual([0, 0, 0]);
    a.locks.mend();
    expect(a.locks.acquire(lock, 0)).toBe(true);
  });

  test("of an acquire that had not got the lock leaves another's lock alone", () => {
    const { i32, lock, tenant } = makeLock();
    const [a, b] = [tenant(), tenant()];
    a.locks.acquire(lock, 0);
    i32[b.slotWord + SLOT_PENDING_LOCK] = lock;
    b.locks.mend();
    expect([i32[lock], i32[b.slotWord + SLOT_PENDING_LOCK]]).toEqual([a.me, 0]);
  });

  test("undoes a transaction that needed no lock", () => {
    const { i32, lock, tenant } = makeLock();
    const a = tenant();
    a.journal.set(lock + 1, 5);
    a.locks.mend();
    expect(i32[lock + 1]).toBe(0);
  });
});

describe("a holder that died", () => {
  test("keeps the lock until it is certified dead", () => {
    const { lock, tenant } = makeLock();
    const [a, b] = [tenant(), tenant()];
    a.locks.acquire(lock, 0);
    expect(b.locks.acquire(lock, 0)).toBe(false);
    b.slots.certify(a.me);
    expect(b.locks.acquire(lock, 0)).toBe(true);
  });

  test("is undone by whoever needs the lock next, before it is had", () => {
    const { i32, lock, tenant } = makeLock();
    const [a, b] = [tenant(), tenant()];
    a.locks.acquire(lock, 0);
    a.journal.set(lock + 1, 5);
    b.slots.certify(a.me);
    expect(b.locks.acquire(lock, 0)).toBe(true);
    expect([(i32[lock] as number) & ~LOCK_WAITERS, i32[lock + 1]]).toEqual([b.me, 0]);
    expect([i32[a.slotWord + SLOT_PENDING_LOCK], i32[a.slotWord + SLOT_JOURNAL_COUNT]]).toEqual([0, 0]);
    expect(i32[a.slotWord + SLOT_REAPER]).toBe(0);
  });

  test("whom a live worker is recovering is left to that one", () => {
    const { i32, lock, tenant } = makeLock();
    const [a, b, c] = [tenant(), tenant(), tenant()];
    a.locks.acquire(lock, 0);
    b.slots.certify(a.me);
    expect(c.slots.claim(a.me, c.me)).toBe(true);
    expect(b.locks.acquire(lock, 0)).toBe(false);
    expect(i32[lock]).toBe(a.me);
  });

  test("whose recoverer died, too, is salvaged all the same", () => {
    const { lock, tenant } = makeLock();
    const [a, b, c] = [tenant(), tenant(), tenant()];
    a.locks.acquire(lock, 0);
    b.slots.certify(a.me);
    c.slots.claim(a.me, c.me);
    b.slots.certify(c.me);
    expect(b.locks.acquire(lock, 0)).toBe(true);
  });

  test("salvaged by one who comes late lets the claim stand that another has on a later tenant of the slot", () => {
    const { i32, lock, tenant } = makeLock();
    const [a, b, c] = [tenant(), tenant(), tenant()];
    a.locks.acquire(lock, 0);
    b.slots.certify(a.me);
    const reaper = a.slotWord + SLOT_REAPER;
    const { compareExchange } = Atomics;
    let later = 0;
    const late = vi.spyOn(Atomics, "compareExchange").mockImplementation(((view: Int32Array, at: number, from: number, to: number) => {
      const seen = compareExchange(view, at, from, to);
      if (at !== reaper || to !== b.me || later !== 0) return seen;
      // While it sleeps here: the recovery ends, the slot gets another tenant, and that one dies, too.
      c.locks.salvage(a.me);
      c.slots.retire(a.me);
      later = c.slots.reserve(0);
      c.slots.certify(later);
      expect([slotOf(later), c.slots.claim(later, c.me)]).toEqual([a.slot, true]);
      return seen;
    }) as never);
    expect(b.locks.acquire(lock, 0)).toBe(true);
    late.mockRestore();
    expect(c.slots.reaper(later)).toBe(c.me);
    expect((i32[lock] as number) & ~LOCK_WAITERS).toBe(b.me);
    b.locks.release();
  });

  test("salvaged twice, or salvaged when the lock is another's by now, disturbs nobody", () => {
    const { i32, lock, tenant } = makeLock();
    const [a, b] = [tenant(), tenant()];
    a.locks.acquire(lock, 0);
    b.slots.certify(a.me);
    b.locks.salvage(a.me);
    expect(i32[lock]).toBe(0);
    b.locks.acquire(lock, 0);
    i32[a.slotWord + SLOT_PENDING_LOCK] = lock;
    b.locks.salvage(a.me);
    expect(i32[lock]).toBe(b.me);
    b.locks.release();
  });

  test("is not mistaken for the next tenant of its slot", () => {
    const { i32, lock, tenant, geometry } = makeLock();
    const [a, b] = [tenant(), tenant()];
    b.slots.certify(a.me);
    b.slots.claim(a.me, b.me);
    b.slots.retire(a.me);
    const next = tenant();
    expect(next.slot).toBe(a.slot);
    next.locks.acquire(lock, 0);
    expect(b.slots.certify(a.me)).toBe(false);
    expect(b.locks.acquire(lock, 0)).toBe(false);
    expect(slotOf((i32[lock] as number) & ~LOCK_WAITERS)).toBe(next.slot);
    expect(geometry.slots + next.slot * SLOT_WORDS).toBe(next.slotWord);
  });
});

describe("between real workers", () => {
  test("four workers that count under one lock, also with undone transactions, lose nothing", async () => {
    const { cells, i32, lock, tenant } = makeLock();
    const me = tenant();
    const rounds = 4000;
    const workers = [1, 2, 3, 4].map(() => {
      const job: LockJob = { buffer: cells.buffer as SharedArrayBuffer, name: me.slots.reserve(me.me), lock, rounds, hold: false };
      return startWorker("lock-worker.ts", job);
    });
    await Promise.all(workers.map((w) => w.ended));
    const committed = rounds - rounds / 16;
    expect([i32[lock], i32[lock + 1], i32[lock + 2]]).toEqual([0, 4 * committed, 4 * committed]);
    expect(me.locks.acquire(lock, 0)).toBe(true);
  });

  test("a worker that is terminated while it holds the lock is undone, and the others go on", async () => {
    const { cells, i32, lock, tenant } = makeLock();
    const me = tenant(5000);
    const job = (hold: boolean, rounds: number): LockJob => ({
      buffer: cells.buffer as SharedArrayBuffer,
      name: me.slots.reserve(me.me),
      lock,
      rounds,
      hold,
    });
    const victimJob = job(true, 0);
    const victim = startWorker("lock-worker.ts", victimJob);
    await victim.next();
    const others = [startWorker("lock-worker.ts", job(false, 500)), startWorker("lock-worker.ts", job(false, 500))];
    expect(me.locks.acquire(lock, 1)).toBe(false);
    await victim.kill();
    expect(me.slots.certify(victimJob.name)).toBe(true);
    await Promise.all(others.map((w) => w.ended));
    const committed = 2 * (500 - Math.ceil(500 / 16));
    expect([i32[lock], i32[lock + 1], i32[lock + 2]]).toEqual([0, committed, committed]);
  });

  test("a sleeper is woken when the lock is let go", async () => {
    const { cells, i32, lock, tenant } = makeLock();
    const me = tenant();
    me.locks.acquire(lock, 0);
    const job: LockJob = { buffer: cells.buffer as SharedArrayBuffer, name: me.slots.reserve(me.me), lock, rounds: 1, hold: false };
    const sleeper = startWorker("lock-worker.ts", job);
    while ((i32[lock] as number) !== (me.me | LOCK_WAITERS)) await new Promise((resolve) => setTimeout(resolve, 1));
    me.locks.release();
    expect(await sleeper.next()).toEqual({ contended: 1 });
    await sleeper.ended;
    expect(i32[lock]).toBe(0);
  });
});
