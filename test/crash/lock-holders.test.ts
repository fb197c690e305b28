/**
 * A worker is stopped while it holds a lock, each of the four in turn, and the main thread goes on meanwhile: it gets its answer
 * within its patience, BUSY where the lock is needed; and when the holder has been terminated and recovered, all is as before.
 */
import { rmSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ARENA_LOCK, KEG_LOCK, LOCK_WAITERS, SB_CONTROL_LOCK, SB_HEAP_ARENA, SB_POOL_LOCK } from "../../src/backend/memory/layout.ts";
import type { RobustLocks } from "../../src/backend/memory/lock.ts";
import type * as Library from "../../src/index.ts";
import { defineZone, Uma, type Zone } from "../../src/index.ts";
import { buildCrashTrees, type CrashTrees } from "../../tools/crash/trees.ts";
import { PointControl } from "../../tools/instrument/points-control.ts";
import type * as Points from "../../tools/instrument/points-runtime.js";
import { history } from "../fixtures/lock-holder.js";

const NAME = `lock-holders-${process.pid}`;
const Shared = defineZone("shared", { size: 64, bucket: 8 });
const Fresh = defineZone("fresh", { size: 240, bucket: 8 });
const Later = defineZone("later", { size: 48 });

let trees: CrashTrees;
beforeAll(() => {
  trees = buildCrashTrees(NAME);
});
afterAll(() => rmSync(new URL(`../../build/${NAME}`, import.meta.url), { recursive: true, force: true }));

interface Stage {
  readonly uma: Uma;
  readonly shared: Zone;
  readonly fresh: Zone;
  /** An item of the main thread's own, from before. */
  readonly item: number;
}

const LOCKS = ["control", "pool", "heap", "keg"] as const;
type LockName = (typeof LOCKS)[number];

/** The lock's word. */
function wordOf(lock: LockName, { uma, shared }: Stage): number {
  const sb = uma.core.floor.cells.base;
  if (lock === "control") return sb + SB_CONTROL_LOCK;
  if (lock === "pool") return sb + SB_POOL_LOCK;
  return lock === "heap" ? sb + SB_HEAP_ARENA + ARENA_LOCK : shared.keg + KEG_LOCK;
}

function setStage(): Stage {
  const uma = Uma.create({ bytes: 2 ** 20, workers: 4, patience: 20 });
  const shared = uma.open(Shared);
  const fresh = uma.open(Fresh);
  const item = shared.alloc();
  // What is cached here would hide that a lock is needed.
  shared.reclaim();
  return { uma, shared, fresh, item };
}

/** Whether the worker in `slot` holds the lock. */
function holds(stage: Stage, lock: LockName, name: number): boolean {
  return (Atomics.load(stage.uma.core.floor.cells.i32, wordOf(lock, stage)) & ~LOCK_WAITERS) === name;
}

/**
 * Rehearses the holder's history in this thread, and finds out at which of its points it has the lock. The same memory, the same
 * history, the same points: so the worker will have it there, too.
 */
async function pointUnder(lock: LockName): Promise<number> {
  const stage = setStage();
  const treeUrl = pathToFileURL(trees.instrumented).href;
  const tree = (await import(`${treeUrl}/index.js`)) as typeof Library;
  const { attachPoints } = (await import(`${treeUrl}/$points.js`)) as typeof Points;
  const uma = tree.Uma.attach(stage.uma.ticket());
  const control = new PointControl(trees.points.length);
  control.count();
  const wanted = wordOf(lock, stage);
  const locks = uma.core.floor.locks as { -readonly [K in keyof RobustLocks]: RobustLocks[K] };
  const { acquire, release } = locks;
  let since = 0;
  let best = { from: 0, to: 0 };
  locks.acquire = (word, patience) => {
    const taken = acquire(word, patience);
    if (taken && word === wanted) since = control.hits;
    return taken;
  };
  locks.release = () => {
    if (since > 0 && control.hits - since > best.to - best.from) best = { from: since, to: control.hits };
    since = 0;
    release();
  };
  attachPoints(control.words);
  history(tree, uma);
  attachPoints(null);
  uma.detach();
  stage.uma.detach();
  expect(best.to).toBeGreaterThan(best.from);
  return Math.ceil((best.from + best.to) / 2);
}

/** Runs a holder until it is parked with the lock in its hands. */
async function parked(lock: LockName): Promise<{ stage: Stage; ended: () => Promise<void> }> {
  const occurrence = await pointUnder(lock);
  const stage = setStage();
  const ticket = stage.uma.ticket();
  const control = new PointControl(trees.points.length);
  control.arm("any", occurrence);
  const treeUrl = pathToFileURL(trees.instrumented).href;
  const worker = new Worker(new URL("../fixtures/lock-holder.js", import.meta.url), {
    workerData: { treeUrl, ticket, words: control.words },
    execArgv: [],
  });
  const watched = stage.uma.watch(worker, ticket);
  expect(await control.whenReached(30_000)).not.toBeNull();
  expect(holds(stage, lock, ticket.name)).toBe(true);
  const ended = async (): Promise<void> => {
    await worker.terminate();
    await watched;
  };
  return { stage, ended };
}

describe.each(LOCKS)("while a stopped worker holds the %s lock", (lock) => {
  test("the main thread gets its answers, and everything goes on once the worker is recovered", async () => {
    const { stage, ended } = await parked(lock);
    const { uma, shared, fresh, item } = stage;
    if (lock === "control") {
      expect(() => uma.open(Later)).toThrow(expect.objectContaining({ code: "ERR_UMA_BUSY" }));
      expect(() => uma.ticket()).toThrow(expect.objectContaining({ code: "ERR_UMA_BUSY" }));
    } else {
      expect((lock === "keg" ? shared : fresh).tryAlloc()).toBe(0);
      expect(uma.lastFailure).toBe("BUSY");
    }
    // A free never fails, whoever holds what.
    shared.free(item);
    uma.poll();
    expect(uma.stats().workers).toBe(2);
    await ended();
    expect(uma.stats().workers).toBe(1);
    for (const zone of [shared, fresh, uma.open(Later)]) zone.free(zone.alloc());
    for (const orphan of [...shared.ownedBy(127)]) shared.free(orphan);
    for (const zone of [shared, fresh]) zone.reclaim();
    expect(shared.stats().used).toBe(0);
    expect(uma.verify().problems).toEqual([]);
    uma.detach();
  });
});
