/**
 * Arenas: an allocation and its free, against the lock, a hand-written free list, and at growing fragmentation; and what one allocation in
 * a hundred takes while another worker reads everything there is to read.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { createArena, type Arena } from "../../src/backend/vmem/index.ts";
import { Uma } from "../../src/index.ts";
import { across, type BatchProgram, type Case, type Figures, type SliceProgram, type Suite } from "../harness/suite.ts";

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
function churn(fragments: number): BatchProgram {
  const { arena, busy } = fragmented(fragments);
  const before = arena.stats();
  let at = 1;
  return {
    batch: () => {
      for (let n = 0; n < 16; n++) {
        at = (Math.imul(at, 1664525) + 1013904223) >>> 0;
        const k = at % fragments;
        const start = arena.alloc(1);
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

/** Two in a row, where all fragments are of one: a list in the order of addresses is walked past every one of them. */
function pastFragments(fragments: number, policy: "first" | "instant"): BatchProgram {
  const { arena } = fragmented(fragments);
  const options = { policy };
  return {
    batch: () => {
      for (let n = 0; n < 4; n++) arena.free(arena.alloc(2, options), 2);
      return 4;
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

function sharedIds(qcacheMax: number): BatchProgram {
  const uma = Uma.create({ bytes: 2 ** 22 });
  const arena = uma.arenas.create("ids", { identifiers: true, qcacheMax, span: { start: 0, size: 65536 } });
  return ids(
    () => arena.alloc(1),
    (id) => arena.free(id, 1),
  );
}

/** Bytes that a million fragments take: two tags each. */
const READ_BYTES = 2 * 10 ** 6 * 48;

/** Reads that each wait for the one before, anywhere in as much memory as a million fragments take. */
function randomReads(): BatchProgram {
  const words = new Int32Array(READ_BYTES / 4);
  for (let n = 0; n < words.length; n += 1024) words[n] = 0;
  let at = 1;
  return {
    batch: () => {
      for (let n = 0; n < BATCH; n++) {
        at = (Math.imul(at, 1664525) + 1013904223 + (words[(at >>> 0) % words.length] as number)) | 0;
      }
      return BATCH;
    },
  };
}

/** Segments that the reader walks. */
const WALKED = 300_000;
/** Allocations of a slice, whose one hundredth-slowest counts. */
const TIMED = 20_000;

/** What the slowest of a hundred allocations takes; as an operation's time, so that slices and processes are seen to as always. */
async function slowest(withReader: boolean): Promise<SliceProgram> {
  const uma = Uma.create({ bytes: 2 ** 26, workers: 4 });
  const arena = uma.arenas.create("walked", { span: { start: 0, size: 2 * WALKED } });
  const busy = new Float64Array(WALKED / 2);
  for (let n = 0; n < WALKED; n++) arena.alloc(1, { policy: "next" });
  for (let n = 0; n < WALKED / 2; n++) {
    arena.free(2 * n, 1);
    busy[n] = 2 * n + 1;
  }
  let reader: Worker | null = null;
  if (withReader) {
    reader = new Worker(new URL("../programs/arena-reader-worker.js", import.meta.url), { workerData: { ticket: uma.ticket() } });
    const [seen] = (await once(reader, "message")) as [number];
    if (seen < WALKED) throw new Error(`the reader saw ${seen} segments`);
  }
  const times = new Float64Array(TIMED);
  let at = 1;
  return {
    slice: () => {
      for (let n = 0; n < TIMED; n++) {
        at = (Math.imul(at, 1664525) + 1013904223) >>> 0;
        const k = at % busy.length;
        const from = performance.now();
        const start = arena.alloc(1);
        times[n] = performance.now() - from;
        arena.free(busy[k] as number, 1);
        busy[k] = start;
      }
      times.sort();
      return { ops: TIMED, ns: (times[Math.floor(TIMED * 0.99)] as number) * 1e6 * TIMED };
    },
    close: () => void reader?.terminate(),
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
  { name: "shared arena, no cache", variant: "shared ids", program: () => sharedIds(0) },
  { name: "shared arena, cached", variant: "shared ids", program: () => sharedIds(1) },
  { name: "p99 alone", variant: "300,000 segments", program: () => slowest(false) },
  { name: "p99 beside a reader", variant: "300,000 segments", program: () => slowest(true) },
  { name: "random read", variant: "96 MB", program: randomReads, group: "fragments" },
  { name: "instant", variant: "1e2", program: () => churn(100), group: "fragments" },
  { name: "instant", variant: "1e4", program: () => churn(10_000), group: "fragments" },
  { name: "instant", variant: "1e6", program: () => churn(1_000_000), group: "fragments" },
  { name: "two, first fit", variant: "1e2", program: () => pastFragments(100, "first") },
  { name: "two, first fit", variant: "1e4", program: () => pastFragments(10_000, "first") },
  { name: "two, instant fit", variant: "1e4", program: () => pastFragments(10_000, "instant") },
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
  about: "Arenas: an alloc and its free. First fit at growing fragmentation is there for contrast.",
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
    {
      label: "shared: quantum cache off ÷ on",
      over: across("shared arena, no cache", "shared arena, cached", ["shared ids"]),
      limit: 10,
      aim: 20,
      direction: "at least",
    },
    {
      label: "p99 of an alloc beside a reader ÷ alone",
      over: across("p99 beside a reader", "p99 alone", ["300,000 segments"]),
      limit: 1.5,
      aim: 1.1,
      direction: "at most",
    },
    {
      label: "added time from 1e2 to 1e6 fragments ÷ random read",
      over: [{ numerator: ["instant", "1e6"], less: ["instant", "1e2"], denominator: ["random read", "96 MB"] }],
      limit: 12,
      aim: 8,
      direction: "at most",
    },
    {
      label: "for contrast: first fit, 1e4 ÷ 1e2 fragments",
      over: [{ numerator: ["two, first fit", "1e4"], denominator: ["two, first fit", "1e2"] }],
      limit: 10,
      aim: 50,
      direction: "at least",
    },
    ...["1e2", "1e4", "1e6"].flatMap((variant) => [
      steps(`search steps, ${variant} fragments`, variant, "search steps"),
      steps(`hash steps, ${variant} fragments`, variant, "hash steps"),
    ]),
  ],
};
