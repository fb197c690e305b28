import { expect, test, vi } from "vitest";
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
