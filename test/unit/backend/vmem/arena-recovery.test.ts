import { expect, test, vi } from "vitest";
import type { Porter } from "../../../../src/backend/vmem/backing.ts";
import type { ArenaHandle } from "../../../../src/backend/vmem/handle.ts";
import { Uma } from "../../../../src/index.ts";
import { secondWorker } from "../../../fixtures/zones.ts";

const MIB = 2 ** 20;

function makeUma(): Uma {
  return Uma.create({ bytes: 2 * MIB, workers: 8, patience: 0 });
}

function create(uma: Uma, name: string, options: object = { span: { start: 0, size: 100 } }): ArenaHandle {
  return uma.arenas.create(name, options) as ArenaHandle;
}

function open(uma: Uma, name: string): ArenaHandle {
  return uma.arenas.open(name) as ArenaHandle;
}

test("all arenas are gone through for what a dead worker had, although one of them ends meanwhile", async () => {
  using uma = makeUma();
  create(uma, "third");
  create(uma, "second");
  const first = create(uma, "first");
  const dead = await secondWorker(uma);
  using other = await secondWorker(uma);
  const start = dead.arenas.open("third").alloc(7);
  const doomed = open(other, "second");
  const enter = first.backing.enter.bind(first.backing);
  vi.spyOn(first.backing, "enter").mockImplementation((mayWait) => {
    if (!doomed.isDestroyed()) doomed.destroy();
    return enter(mayWait);
  });
  expect(uma.reap(dead.slot)).toMatchObject({ done: true, arenas: [{ arena: "third", start, size: 7 }] });
  expect(doomed.isDestroyed()).toBe(true);
});

/** A worker that dies where it would call the user's release function: the span is in its hands. */
async function killedInRelease(uma: Uma): Promise<Uma> {
  const dead = await secondWorker(uma);
  const arena = create(dead, "first", { import: () => 5000, release: () => undefined, importMin: 100 });
  const start = arena.alloc(10);
  (arena.porter as Porter).giveBack = () => undefined;
  arena.free(start, 10);
  return dead;
}

test("a span of the user's in a dead worker's hands goes back into its arena", async () => {
  using uma = makeUma();
  const dead = await killedInRelease(uma);
  expect(uma.reap(dead.slot)?.done).toBe(true);
  expect(open(uma, "first").size("total")).toBe(100);
  expect(uma.verify().problems).toEqual([]);
});

test.each([false, true])("it goes to no other arena when its own has ended (its record has another: %s)", async (reused) => {
  using uma = makeUma();
  const dead = await killedInRelease(uma);
  open(uma, "first").destroy();
  const next = reused ? create(uma, "next", { span: { start: 0, size: 10 } }) : null;
  expect(uma.reap(dead.slot)?.done).toBe(true);
  if (next !== null) expect(next.size("total")).toBe(10);
  expect(uma.verify().problems).toEqual([]);
});

test("nor does it go there when its arena ends while the lock of it is waited for", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  const dead = await killedInRelease(uma);
  const first = open(uma, "first");
  const enter = first.backing.enter.bind(first.backing);
  vi.spyOn(first.backing, "enter").mockImplementationOnce((mayWait) => {
    other.arenas.open("first").destroy();
    create(other, "next", { span: { start: 0, size: 10 } });
    return enter(mayWait);
  });
  expect(uma.reap(dead.slot)?.done).toBe(true);
  expect(open(uma, "next").size("total")).toBe(10);
  expect(uma.verify().problems).toEqual([]);
});

test("a span that comes from an arena that has ended since is given to none that has its record", async () => {
  using uma = makeUma();
  const source = create(uma, "source", { span: { start: 0, size: 1000 } });
  create(uma, "first", { source, importMin: 100 });
  const dead = await secondWorker(uma);
  const theirs = open(dead, "first");
  const start = theirs.alloc(10);
  (theirs.porter as Porter).giveBack = () => undefined;
  theirs.free(start, 10);
  open(uma, "first").destroy();
  source.destroy({ force: true });
  const next = [create(uma, "x"), create(uma, "y")];
  for (const arena of next) arena.alloc(100);
  expect(uma.reap(dead.slot)?.done).toBe(true);
  expect(next.map((arena) => arena.size("alloc"))).toEqual([100, 100]);
  expect(uma.verify().problems).toEqual([]);
});

test("what a dead worker had and another that died was just freeing is reported: its free is undone", async () => {
  using uma = makeUma();
  const arena = create(uma, "ids");
  const first = await secondWorker(uma);
  const second = await secondWorker(uma);
  const start = open(first, "ids").alloc(7);
  const theirs = open(second, "ids");
  theirs.backing.leave = () => undefined;
  (theirs.backing as { commit: () => void }).commit = () => {
    throw new Error("killed");
  };
  // As soon as the recovery has let the lock go, the other dies in the middle of its free.
  const leave = arena.backing.leave.bind(arena.backing);
  vi.spyOn(arena.backing, "leave").mockImplementationOnce(() => {
    leave();
    expect(() => theirs.free(start, 7)).toThrow(/killed|not allocated/);
  });
  const reports = [uma.reap(first.slot), uma.reap(second.slot)];
  expect(reports.map((report) => report?.done)).toEqual([true, true]);
  expect(reports.flatMap((report) => report?.arenas)).toEqual([{ arena: "ids", start, size: 7 }]);
  expect(arena.size("alloc")).toBe(7);
});

test("an arena of many segments is swept in pieces, whatever is freed between them", async () => {
  using uma = Uma.create({ bytes: 8 * MIB, workers: 8, patience: 0 });
  const arena = create(uma, "ids", { span: { start: 0, size: 20_000 } });
  const dead = await secondWorker(uma);
  const theirs = open(dead, "ids");
  for (let n = 0; n < 10_000; n++) theirs.alloc(1, { policy: "first" });
  const enter = vi.spyOn(arena.backing, "enter");
  const leave = arena.backing.leave.bind(arena.backing);
  let last = 4095;
  vi.spyOn(arena.backing, "leave").mockImplementation(() => {
    leave();
    // The very segment at which it stands.
    if (enter.mock.calls.length === 1 && last >= 0) arena.free(last, 1);
    last = -1;
  });
  const report = uma.reap(dead.slot);
  expect(report?.done).toBe(true);
  expect(report?.arenas.map(({ start }) => start)).toEqual(Array.from({ length: 10_000 }, (_, n) => n));
  expect(enter.mock.calls.length).toBeGreaterThan(2);
  expect(uma.verify().problems).toEqual([]);
});
