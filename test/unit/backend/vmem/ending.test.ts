import { expect, test, vi } from "vitest";
import { ARENA_LOCK, ARENA_NEXT, SB_CONTROL_LOCK } from "../../../../src/backend/memory/layout.ts";
import { PROVIDED } from "../../../../src/backend/vmem/backing.ts";
import { WANTS_TAGS } from "../../../../src/backend/vmem/engine.ts";
import type { ArenaHandle } from "../../../../src/backend/vmem/handle.ts";
import { Uma } from "../../../../src/index.ts";
import { codeOf } from "../../../fixtures/codes.ts";
import { rivalOf } from "../../../fixtures/floors.ts";
import { secondWorker } from "../../../fixtures/zones.ts";

const MIB = 2 ** 20;

function makeUma(): Uma {
  return Uma.create({ bytes: 2 * MIB, workers: 8, patience: 0 });
}

/** Errors of another copy of the library are of another class. */
function theirCode(work: () => unknown): string {
  try {
    work();
    return "";
  } catch (thrown) {
    return (thrown as { code: string }).code;
  }
}

function create(uma: Uma, name: string, options: object = { span: { start: 0, size: 100 } }): ArenaHandle {
  return uma.arenas.create(name, options) as ArenaHandle;
}

test("an arena that two workers destroy ends once, and the one that has got its record lives on", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  const first = create(uma, "first");
  const late = other.arenas.open("first") as ArenaHandle;
  const beginEnd = late.backing.beginEnd.bind(late.backing);
  let next: ArenaHandle | null = null;
  vi.spyOn(late.backing, "claim").mockImplementation(() => {
    first.destroy();
    next = create(uma, "next");
    next.alloc(50);
    return "claimed";
  });
  vi.spyOn(late.backing, "beginEnd").mockImplementation((mayEnd) => beginEnd(mayEnd));
  expect(theirCode(() => late.destroy())).toBe("ERR_VMEM_DESTROYED");
  expect([next!.isDestroyed(), next!.size("alloc")]).toEqual([false, 50]);
  expect(uma.verify().problems).toEqual([]);
});

test("whoever opens an arena by its name while it ends, and its record becomes another's, does not get that one", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  const ids = create(uma, "ids");
  let isOver = false;
  // Their last look at the name is followed by all that this worker does.
  const spy = vi.spyOn(TextEncoder.prototype, "encode").mockImplementation((text) => {
    return new Proxy(new Uint8Array(Buffer.from(text ?? "")), {
      get(target, key) {
        if (key === "2" && !isOver) {
          isOver = true;
          spy.mockRestore();
          ids.destroy();
          create(uma, "next").alloc(50);
        }
        return Reflect.get(target, key) as unknown;
      },
    });
  });
  expect(theirCode(() => other.arenas.open("ids").destroy({ force: true }))).toBe("ERR_VMEM_NO_ARENA");
  expect([isOver, uma.arenas.open("next").size("alloc")]).toEqual([true, 50]);
  expect(uma.verify().problems).toEqual([]);
});

test("whoever makes an arena that there is while it ends, and its record becomes another's, is not told that it is made otherwise", () => {
  let came = true;
  for (let nth = 1; came; nth++) {
    using uma = makeUma();
    const source = create(uma, "source");
    const ids = create(uma, "ids");
    let looks = 0;
    const options = {
      span: { start: 0, size: 100 },
      get import() {
        if (++looks === nth) {
          ids.destroy();
          create(uma, "next", { source });
        }
        return undefined;
      },
    };
    const made = create(uma, "ids", options);
    came = looks >= nth;
    // Or it ended just after it was found.
    const ended = made.isDestroyed();
    expect([uma.arenas.list().includes("ids"), ended ? 100 : made.size("total")]).toEqual([!ended, 100]);
    expect(uma.verify().problems).toEqual([]);
  }
});

test("an arena that a worker is about to destroy is destroyed by no other, and gets no arena that imports from it", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  const arena = create(uma, "a");
  const theirs = other.arenas.open("a") as ArenaHandle;
  expect(theirs.backing.claim()).toBe("claimed");
  expect(codeOf(() => arena.destroy())).toBe("ERR_VMEM_BUSY");
  expect(codeOf(() => uma.arenas.create("child", { source: arena }))).toBe("ERR_VMEM_DESTROYED");
  theirs.backing.unclaim();
  const child = uma.arenas.create("child", { source: arena });
  expect(theirCode(() => theirs.destroy())).toBe("ERR_VMEM_CHILDREN");
  child.destroy();
  arena.destroy();
  expect(uma.verify().problems).toEqual([]);
});

test("a worker that dies when it is about to destroy an arena leaves it as it is", async () => {
  using uma = makeUma();
  const arena = create(uma, "a");
  const other = await secondWorker(uma);
  expect((other.arenas.open("a") as ArenaHandle).backing.claim()).toBe("claimed");
  expect(uma.reap(other.slot)?.done).toBe(true);
  expect(arena.isDestroyed()).toBe(false);
  arena.destroy();
  expect(uma.arenas.list()).toEqual([]);
});

test("what is allocated while an arena is about to end counts as leaking", () => {
  using uma = makeUma();
  const arena = create(uma, "a");
  const beginEnd = arena.backing.beginEnd.bind(arena.backing);
  vi.spyOn(arena.backing, "beginEnd").mockImplementation((mayEnd) => {
    arena.alloc(5);
    return beginEnd(mayEnd);
  });
  expect(codeOf(() => arena.destroy())).toBe("ERR_VMEM_LEAK");
  expect(arena.isDestroyed()).toBe(false);
  expect(arena.destroy({ force: true }).size).toBe(10);
});

test("tags that come too late for an arena that has ended go back to the heap, not to the next arena", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  const first = create(uma, "first");
  const late = other.arenas.open("first") as ArenaHandle;
  first.destroy();
  const { inUse } = uma.core.heap.counts();
  create(uma, "next");
  expect(late.backing.provide(WANTS_TAGS, true)).toBe(PROVIDED);
  expect(uma.core.heap.counts().inUse).toBe(inUse);
  expect(uma.verify().problems).toEqual([]);
});

test("no arena imports from one that was destroyed, whatever has its record now", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  const source = create(uma, "source");
  const child = uma.arenas.create("child");
  other.arenas.open("source").destroy();
  other.arenas.create("other", { span: { start: 5000, size: 1000 } });
  expect(codeOf(() => uma.arenas.create("x", { source }))).toBe("ERR_VMEM_DESTROYED");
  expect(codeOf(() => child.setImport({ source }))).toBe("ERR_VMEM_DESTROYED");
  expect(uma.arenas.list()).toEqual(["child", "other"]);
});

test("a handle whose arena ends while it is made is a dead one, and the next arena of the record gets its own", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  const first = create(uma, "first");
  const decode = vi.spyOn(TextDecoder.prototype, "decode").mockImplementationOnce(() => {
    first.destroy();
    create(uma, "next");
    return "first";
  });
  expect((other.arenas.open("first") as ArenaHandle).isDestroyed()).toBe(true);
  decode.mockRestore();
  expect(other.arenas.open("next").alloc(1)).toBeGreaterThanOrEqual(0);
});

test("an arena is found although those in front of it end while it is looked for", async () => {
  using uma = makeUma();
  using other = await secondWorker(uma);
  create(uma, "third").alloc(7);
  const { a } = create(uma, "second").backing;
  const { locks, cells } = other.core.floor;
  const next = cells.i32[a + ARENA_NEXT] as number;
  const acquire = locks.acquire.bind(locks);
  // As it looks to whoever goes from a record that ends just then into the free ones.
  cells.i32[a + ARENA_NEXT] = 0;
  vi.spyOn(locks, "acquire").mockImplementation((lock, patience) => {
    cells.i32[a + ARENA_NEXT] = next;
    return acquire(lock, patience);
  });
  expect(other.arenas.open("third").size("alloc")).toBe(7);
});

test.each(["the arena's", "the control"])("an end that %s lock out of reach has cut short is gone on with by the next call", (whose) => {
  using uma = makeUma();
  const source = create(uma, "source");
  const arena = create(uma, "a", { source });
  arena.alloc(10);
  const rival = rivalOf(uma);
  const lock = whose === "the control" ? uma.core.floor.cells.base + SB_CONTROL_LOCK : arena.backing.a + ARENA_LOCK;
  const beginEnd = arena.backing.beginEnd.bind(arena.backing);
  const spy = vi.spyOn(arena.backing, "beginEnd").mockImplementation((mayEnd) => {
    const begun = beginEnd(mayEnd);
    rival.locks.acquire(lock, 0);
    return begun;
  });
  expect(codeOf(() => arena.destroy({ force: true }))).toBe("ERR_VMEM_BUSY");
  expect(arena.isDestroyed()).toBe(true);
  rival.locks.release();
  spy.mockRestore();
  expect(arena.destroy().size).toBe(10);
  expect(codeOf(() => arena.destroy())).toBe("ERR_VMEM_DESTROYED");
  expect(source.size("alloc")).toBe(0);
  source.destroy();
  expect(uma.verify().problems).toEqual([]);
});

test("an end that was cut short is finished when its worker leaves", async () => {
  using uma = makeUma();
  const other = await secondWorker(uma);
  const arena = create(other, "a");
  arena.alloc(10);
  const enter = vi.spyOn(arena.backing, "enter").mockReturnValue(false);
  expect(theirCode(() => arena.destroy({ force: true }))).toBe("ERR_VMEM_BUSY");
  enter.mockRestore();
  expect(other.detach().done).toBe(true);
  expect(uma.verify().problems).toEqual([]);
});
