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
