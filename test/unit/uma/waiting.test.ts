import { expect, test } from "vitest";
import { Uma, type Zone, defineZone } from "../../../src/index.ts";
import { KEG_LOCK, ZONE_SLEEPERS, ZONE_SLEEPS } from "../../../src/backend/memory/layout.ts";
import { hire } from "../../fixtures/crew.ts";
import { mortal, plain, ten } from "../../fixtures/feature-zones.ts";
import { rivalOf } from "../../fixtures/floors.ts";
import { secondWorker } from "../../fixtures/zones.ts";

const MIB = 2 ** 20;
const coded = (code: string): unknown => expect.objectContaining({ code });

function makeUma(): Uma {
  return Uma.create({ bytes: 8 * MIB, workers: 8, patience: 2000 });
}

function takeAll(z: Zone): number[] {
  const items: number[] = [];
  for (let p = z.tryAlloc(); p !== 0; p = z.tryAlloc()) items.push(p);
  return items;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function finish(uma: Uma): void {
  expect(uma.verify().problems).toEqual([]);
  uma.detach();
}

test("allocWait and allocAsync do not wait where there is an item", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  expect(z.allocWait()).not.toBe(0);
  expect(await z.allocAsync()).not.toBe(0);
  expect(z.stats().sleep).toBe(0);
  finish(uma);
});

test("allocWait gives up in time", () => {
  const uma = makeUma();
  const z = uma.open(ten);
  takeAll(z);
  const { fail } = z.stats();
  expect(() => z.allocWait({ timeout: 30 })).toThrow(coded("ERR_UMA_TIMEOUT"));
  expect(() => z.allocWait({ timeout: 0 })).toThrow(coded("ERR_UMA_TIMEOUT"));
  const after = z.stats();
  expect(after.sleep).toBe(2);
  expect(after.sleepers).toBe(0);
  // Only the first look of each counts as a failed request.
  expect(after.fail).toBe(fail + 2);
  finish(uma);
});

test("allocAsync: the first to ask is the first to be served, one for each free", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const items = takeAll(z);
  const served: number[] = [];
  const waits = [1, 2, 3].map((n) =>
    z.allocAsync().then((item) => {
      served.push(n);
      return item;
    }),
  );
  expect(z.exhausted()).toBe(true);
  z.free(items.pop() as number);
  const first = await waits[0];
  expect(served).toEqual([1]);
  z.free(first as number);
  z.free(items.pop() as number);
  await Promise.all(waits);
  expect(served).toEqual([1, 2, 3]);
  expect(z.exhausted()).toBe(false);
  finish(uma);
});

test("while somebody waits, an allocation that does not wait is turned away", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const items = takeAll(z);
  const wait = z.allocAsync();
  z.free(items.pop() as number);
  expect(z.tryAlloc()).toBe(0);
  expect(uma.lastFailure).toBe("LIMIT");
  expect(await wait).not.toBe(0);
  finish(uma);
});

test("an aborted wait ends with the signal's reason and leaves the queue", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const items = takeAll(z);
  const abort = new AbortController();
  const wait = z.allocAsync({ signal: abort.signal });
  const reason = new Error("enough");
  abort.abort(reason);
  await expect(wait).rejects.toMatchObject({ code: "ERR_UMA_ABORTED", cause: reason });
  await expect(z.allocAsync({ signal: abort.signal })).rejects.toMatchObject({ code: "ERR_UMA_ABORTED" });
  expect(z.exhausted()).toBe(false);
  z.free(items.pop() as number);
  expect(z.tryAlloc()).not.toBe(0);
  finish(uma);
});

test("allocAsync gives up in time, and is rejected when the zone is closed", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const items = takeAll(z);
  await expect(z.allocAsync({ timeout: 20 })).rejects.toMatchObject({ code: "ERR_UMA_TIMEOUT" });
  const wait = z.allocAsync();
  for (const item of items) z.free(item);
  const other = z.allocAsync();
  await expect(Promise.all([wait, other])).resolves.toHaveLength(2);
  takeAll(z);
  const last = z.allocAsync();
  z.destroy({ force: true });
  await expect(last).rejects.toMatchObject({ code: "ERR_UMA_ZONE_CLOSED" });
  finish(uma);
});

test("a wait for a zone that is destroyed meanwhile, by another or by what is called on the way, ends and joins no queue any more", async () => {
  for (const by of ["another", "the limit's action"] as const) {
    for (const nth of [0, 1, 2]) {
      const uma = Uma.create({ bytes: MIB, workers: 4, patience: 0 });
      const other = await secondWorker(uma);
      const short = defineZone("short", { size: 64, limit: 1 });
      const [z, theirs] = [uma.open(short), other.open(short)];
      z.alloc();
      let met = 0;
      z.setMaxAction(() => {
        if (met++ === nth) (by === "another" ? theirs : z).destroy({ force: true });
      });
      if (nth === 0) await expect(z.allocAsync()).rejects.toMatchObject({ code: "ERR_UMA_ZONE_CLOSED" });
      else expect(() => z.allocWait({ timeout: 500 })).toThrow(coded("ERR_UMA_ZONE_CLOSED"));
      const { queue, floor } = uma.core;
      expect([queue.isWaiting(floor.slotWord, z.id), floor.cells.i32[z.zone + ZONE_SLEEPERS]]).toEqual([false, 0]);
      // Whoever has its record next counts its own sleepers.
      const next = uma.open(defineZone("next", { size: 64, limit: 1 }));
      next.alloc();
      expect(() => next.allocWait({ timeout: 1 })).toThrow(coded("ERR_UMA_TIMEOUT"));
      expect(floor.cells.i32[next.zone + ZONE_SLEEPERS]).toBe(0);
      expect(uma.verify().problems).toEqual([]);
    }
  }
});

test("the first look of a wait may find its zone destroyed by what is called on the way", () => {
  const uma = Uma.create({ bytes: MIB, workers: 4, patience: 0 });
  const z = uma.open(defineZone("short", { size: 64, limit: 1 }));
  z.alloc();
  z.setMaxAction(() => void z.destroy({ force: true }));
  expect(() => z.allocWait({ timeout: 500 })).toThrow(coded("ERR_UMA_ZONE_CLOSED"));
  expect(uma.core.floor.cells.i32[z.zone + ZONE_SLEEPS]).toBe(0);
  finish(uma);
});

test("a worker that could not leave the queue when its wait ended leaves it at its next call of any zone, or by poll", async () => {
  for (const by of ["poll", "another zone", "its own zone"] as const) {
    const uma = Uma.create({ bytes: MIB, workers: 4, patience: 0 });
    const rival = rivalOf(uma);
    const other = await secondWorker(uma);
    const short = defineZone("short", { size: 64, limit: 1 });
    const [z, theirs] = [uma.open(short), other.open(short)];
    const another = uma.open(defineZone("another", { size: 64, bucket: 0 }));
    const item = theirs.alloc();
    let met = 0;
    z.setMaxAction(() => {
      if (++met === 3) rival.locks.acquire(z.keg + KEG_LOCK, 0);
    });
    expect(() => z.allocWait({ timeout: 60 })).toThrow(coded("ERR_UMA_TIMEOUT"));
    rival.locks.release();
    expect(theirs.exhausted()).toBe(true);
    if (by === "poll") uma.poll();
    else if (by === "another zone") another.alloc();
    else z.tryAlloc();
    expect(theirs.exhausted()).toBe(false);
    theirs.free(item);
    expect(theirs.tryAlloc()).not.toBe(0);
    expect(uma.verify().problems).toEqual([]);
  }
});

test("a refusing ctor ends the wait with its error", async () => {
  const uma = makeUma();
  let refuse = false;
  const z = uma.open(defineZone("choosy", { size: 64, limit: 1, ctor: () => !refuse }));
  const item = z.alloc();
  const wait = z.allocAsync();
  refuse = true;
  z.free(item);
  await expect(wait).rejects.toMatchObject({ code: "ERR_UMA_HOOK" });
  expect(() => z.allocWait()).toThrow(coded("ERR_UMA_HOOK"));
  finish(uma);
});

test("bad options of a wait are refused", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  expect(() => z.allocWait({ timeout: -1 })).toThrow(coded("ERR_UMA_OPTION"));
  await expect(z.allocAsync({ timeout: NaN })).rejects.toMatchObject({ code: "ERR_UMA_OPTION" });
  finish(uma);
});

test("a worker that is asleep in allocWait is woken by a free elsewhere", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const items = takeAll(z);
  const hand = await hire(uma, "ten");
  const wait = hand.tell<number>({ op: "wait" });
  await until(() => z.exhausted());
  const item = items.pop() as number;
  z.free(item);
  expect(await wait).not.toBe(0);
  expect(z.ownerOf(item)).toBe(hand.slot);
  await hand.kill();
  finish(uma);
});

test("what lies in an idle worker's cache is asked back before anyone sleeps for long", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const hand = await hire(uma, "ten");
  const theirs = await hand.tell<number[]>({ op: "alloc", count: 10 });
  expect(theirs.every((item) => item !== 0)).toBe(true);
  await hand.tell({ op: "free", items: theirs });
  expect(z.stats().freeInCaches).toBe(10);
  const wait = z.allocAsync();
  expect(await wait).not.toBe(0);
  await hand.kill();
  finish(uma);
});

test("a worker that only allocates gives its cache back as well", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const hand = await hire(uma, "ten");
  const theirs = await hand.tell<number[]>({ op: "alloc", count: 9 });
  await hand.tell({ op: "free", items: theirs });
  const wait = z.allocAsync();
  const [again] = await hand.tell<number[]>({ op: "alloc", count: 1 });
  expect(again).not.toBe(0);
  expect(await wait).not.toBe(0);
  await hand.kill();
  finish(uma);
});

test("a waiter that is killed neither keeps its place nor swallows a wake-up", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  const items = takeAll(z);
  const [first, second] = [await hire(uma, "ten"), await hire(uma, "ten")];
  first.tell({ op: "wait" }).catch(() => undefined);
  await until(() => z.exhausted());
  const wait = second.tell<number>({ op: "wait" });
  await until(() => z.stats().sleepers === 2);
  await first.kill(false);
  z.free(items.pop() as number);
  expect(await wait).not.toBe(0);
  expect(uma.reap(first.ticket)?.done).toBe(true);
  expect(z.stats().sleepers).toBe(0);
  await second.kill();
  finish(uma);
});

test("what a killed worker held of the limit comes back to those who wait", async () => {
  const uma = makeUma();
  const z = uma.open(mortal);
  const hand = await hire(uma, "mortal");
  await hand.tell({ op: "alloc", count: 10 });
  const wait = z.allocAsync();
  await hand.kill();
  expect(await wait).not.toBe(0);
  expect(takeAll(z).length).toBe(9);
  finish(uma);
});

test("nobody starves: four workers and two items, everyone gets through every round", async () => {
  const uma = makeUma();
  const z = uma.open(ten);
  z.setMax(2);
  const hands = await Promise.all(["ten", "ten", "ten", "ten"].map((name) => hire(uma, name)));
  const rounds = await Promise.all(hands.map((hand) => hand.tell<number>({ op: "cycle", count: 200 })));
  expect(rounds).toEqual([200, 200, 200, 200]);
  expect(z.getCur()).toBe(0);
  expect(z.stats().sleepers).toBe(0);
  expect(uma.verify().problems).toEqual([]);
  for (const hand of hands) await hand.kill();
  finish(uma);
});

test("memory that another zone gives back ends a wait, too", async () => {
  const uma = Uma.create({ bytes: 256 * 1024, workers: 4, patience: 2000 });
  const z = uma.open(plain);
  const big = uma.open(defineZone("big", { size: 4096 }));
  const bigs = takeAll(big);
  const smalls = takeAll(z);
  expect(smalls.length).toBeLessThan(2000);
  const wait = z.allocAsync();
  for (const item of bigs) big.free(item);
  big.reclaim();
  expect(await wait).not.toBe(0);
  finish(uma);
});
