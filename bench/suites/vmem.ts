/** Arenas: an allocation and its free, against the lock, a hand-written free list, and at growing fragmentation. */
import { createArena, type Arena } from "../../src/backend/vmem/index.ts";
import { Uma } from "../../src/index.ts";
import { across, type BatchProgram, type Case, type Figures, type Suite } from "../harness/suite.ts";

const BATCH = 64;

/** Sixty-four ids out, then back in another order. */
function ids(alloc: () => number, free: (id: number) => void): BatchProgram {
  const held = new Int32Array(BATCH);
  return {
    batch: () => {
      for (let n = 0; n < BATCH; n++) held[n] = alloc();
      for (let n = 0; n < BATCH; n++) free(held[(n * 37) & (BATCH - 1)] as number);
      return BATCH;
    },
  };
}

class FreeList {
  private readonly next = new Int32Array(65536);
  private head = 0;
  constructor() {
    for (let n = 0; n < 65536; n++) this.next[n] = n + 1 < 65536 ? n + 1 : -1;
  }
  alloc(): number {
    const id = this.head;
    if (id >= 0) this.head = this.next[id] as number;
    return id;
  }
  free(id: number): void {
    this.next[id] = this.head;
    this.head = id;
  }
}

function idArena(qcacheMax: number): BatchProgram {
  const arena = createArena("ids", { identifiers: true, qcacheMax, span: { start: 0, size: 65536 } });
  return ids(
    () => arena.alloc(1),
    (id) => arena.free(id, 1),
  );
}

/** `fragments` free segments of one, each between two allocated ones. */
function fragmented(fragments: number): { arena: Arena; busy: Float64Array } {
  const arena = createArena("fragments", { span: { start: 0, size: 2 * fragments + 2 } });
  const busy = new Float64Array(fragments);
  for (let n = 0; n < 2 * fragments; n++) arena.alloc(1, { policy: "next" });
  for (let n = 0; n < fragments; n++) {
    arena.free(2 * n, 1);
    busy[n] = 2 * n + 1;
  }
  return { arena, busy };
}

/** Takes a place anywhere and gives up another, so that memory is touched as fragmentation scatters it. */
function churn(fragments: number, policy?: "first"): BatchProgram {
  const { arena, busy } = fragmented(fragments);
  const before = arena.stats();
  const options = policy === undefined ? undefined : { policy };
  let at = 1;
  return {
    batch: () => {
      for (let n = 0; n < 16; n++) {
        at = (Math.imul(at, 1664525) + 1013904223) >>> 0;
        const k = at % fragments;
        const start = arena.alloc(1, options);
        arena.free(busy[k] as number, 1);
        busy[k] = start;
      }
      return 16;
    },
    figures: (): Figures => {
      const { alloc, search, lookup } = arena.stats();
      const ops = alloc - before.alloc;
      return { "search steps": (search - before.search) / ops, "hash steps": (lookup - before.lookup) / ops };
    },
  };
}

function lockPair(): BatchProgram {
  const uma = Uma.create({ bytes: 2 ** 20 });
  const { floor, heap } = uma.core;
  const { locks } = floor;
  return {
    batch: () => {
      for (let n = 0; n < BATCH; n++) {
        locks.acquire(heap.arena, 0);
        locks.release();
      }
      return BATCH;
    },
  };
}

function sharedPair(): BatchProgram {
  const uma = Uma.create({ bytes: 2 ** 20 });
  const arena = uma.arenas.create("ids", { span: { start: 0, size: 65536 } });
  for (let n = 0; n < 1000; n++) arena.alloc(1, { policy: "next" });
  for (let n = 0; n < 1000; n += 2) arena.free(n, 1);
  return {
    batch: () => {
      for (let n = 0; n < BATCH; n++) arena.free(arena.alloc(3), 3);
      return BATCH;
    },
  };
}

const list = (): BatchProgram => {
  const free = new FreeList();
  return ids(
    () => free.alloc(),
    (id) => free.free(id),
  );
};

const cases: readonly Case[] = [
  { name: "free list", variant: "ids", program: list },
  { name: "local arena", variant: "ids", program: () => idArena(1) },
  { name: "local arena, no cache", variant: "ids", program: () => idArena(0) },
  { name: "lock", variant: "pair", program: lockPair },
  { name: "shared arena", variant: "pair", program: sharedPair },
  { name: "instant", variant: "1e2", program: () => churn(100), group: "fragments" },
  { name: "instant", variant: "1e4", program: () => churn(10_000), group: "fragments" },
  { name: "instant", variant: "1e6", program: () => churn(1_000_000), group: "fragments" },
  { name: "first", variant: "1e2", program: () => churn(100, "first") },
  { name: "first", variant: "1e4", program: () => churn(10_000, "first") },
];

const steps = (label: string, variant: string, key: string): Suite["rows"][number] => ({
  label,
  figure: { of: ["instant", variant], key },
  limit: 4,
  aim: 2,
  direction: "at most",
});

export const suite: Suite = {
  name: "vmem",
  about: "Arenas: an alloc and its free. `first` at growing fragmentation is there for contrast.",
  cases,
  rows: [
    { label: "local id arena ÷ free list", over: across("local arena", "free list", ["ids"]), limit: 3, aim: 2, direction: "at most" },
    {
      label: "quantum cache off ÷ on",
      over: across("local arena, no cache", "local arena", ["ids"]),
      limit: 10,
      aim: 20,
      direction: "at least",
    },
    {
      label: "shared arena, journal ÷ lock pair",
      over: across("shared arena", "lock", ["pair"]),
      limit: 20,
      aim: 10,
      direction: "at most",
    },
    ...["1e2", "1e4", "1e6"].flatMap((variant) => [
      steps(`search steps, ${variant} fragments`, variant, "search steps"),
      steps(`hash steps, ${variant} fragments`, variant, "hash steps"),
    ]),
  ],
};
