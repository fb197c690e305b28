/**
 * Several workers: whether they keep out of each other's way while each uses its own cache, and what it costs when one allocates
 * and the other frees.
 */
import { makeLockedList } from "../programs/locked-list.ts";
import { roomyMemory } from "../programs/peers.ts";
import { RING_BYTES } from "../programs/ring.ts";
import type { RingEnd } from "../programs/ring-worker.ts";
import { SharedItem } from "../programs/shared-item.ts";
import { startCrew } from "../programs/crew.ts";
import type { Case, Slice, SliceProgram, Suite } from "../harness/suite.ts";

const OWN_CACHE = "own caches, 64 random";
const RING = "ring";
/** Items that may be on their way in the locked list's case. */
const LISTED_ITEMS = 4096;

/** `count` workers; nanoseconds for a pair of all of them together. */
function ownCaches(count: number): () => Promise<SliceProgram> {
  return async () => {
    const uma = roomyMemory(65_536);
    uma.open(SharedItem);
    const crew = await startCrew(
      "./own-cache-worker.js",
      Array.from({ length: count }, () => uma.ticket()),
    );
    return { slice: async (ms) => together(await crew.work(ms)), close: () => void crew.close() };
  };
}

/** Operations a nanosecond add up. */
function together(slices: readonly Slice[]): Slice {
  const rate = slices.reduce((sum, { ops, ns }) => sum + ops / ns, 0);
  const ops = slices.reduce((sum, one) => sum + one.ops, 0);
  return { ops, ns: ops / rate };
}

interface Source {
  readonly ends: readonly [RingEnd["from"], RingEnd["from"]];
  /** What has been exchanged and contended for so far, where that is known. */
  readonly counts: () => { readonly exchanges: number; readonly contentions: number };
}

/** @param pace - items a second at the most; 0 = flat out. */
export function throughRing(source: () => Source, pace = 0): () => Promise<SliceProgram> {
  return async () => {
    const { ends: from, counts } = source();
    const [producer, consumer] = from;
    const steady = { ops: 0, ns: 0, exchanges: 0, contentions: 0 };
    const ring = new SharedArrayBuffer(RING_BYTES);
    const ends: RingEnd[] = [
      { end: "producer", ring, from: producer, pace },
      { end: "consumer", ring, from: consumer, pace },
    ];
    const crew = await startCrew("./ring-worker.js", ends);
    return {
      slice: async (ms) => {
        const before = counts();
        const consumed = (await crew.work(ms))[1] as Slice;
        const after = counts();
        steady.ops += consumed.ops;
        steady.ns += consumed.ns;
        steady.exchanges += after.exchanges - before.exchanges;
        steady.contentions += after.contentions - before.contentions;
        return consumed;
      },
      figures: () => ({
        "exchanges per 64": (64 * steady.exchanges) / steady.ops,
        "contentions a second": steady.contentions / (steady.ns / 1e9),
      }),
      close: () => void crew.close(),
    };
  };
}

export function zoneSource(): Source {
  const uma = roomyMemory(65_536);
  const zone = uma.open(SharedItem);
  return { ends: [uma.ticket(), uma.ticket()], counts: () => zone.stats() };
}

function oneList(): Source {
  const list = makeLockedList(LISTED_ITEMS);
  return { ends: [list, list], counts: () => ({ exchanges: 0, contentions: 0 }) };
}

const LONGER = { sliceMs: 20 };
const cases: readonly Case[] = [
  { name: "1 worker", variant: OWN_CACHE, ...LONGER, program: ownCaches(1) },
  { name: "2 workers", variant: OWN_CACHE, ...LONGER, program: ownCaches(2) },
  { name: "zone", variant: RING, ...LONGER, program: throughRing(zoneSource) },
  { name: "lock per operation", variant: RING, ...LONGER, program: throughRing(oneList) },
];

export const suite: Suite = {
  name: "workers",
  about:
    "Own caches: time by the wall for a pair of all workers together. Ring: one allocates, the other frees, published 64 at a time; " +
    "against a free list behind one lock, through the same ring.",
  cases,
  rows: [
    {
      label: "throughput of 2 workers ÷ of 1, own caches",
      over: [{ numerator: ["1 worker", OWN_CACHE], denominator: ["2 workers", OWN_CACHE] }],
      limit: 1.5,
      aim: 1.95,
      direction: "at least",
    },
    {
      label: "lock per operation ÷ zone, producer and consumer",
      over: [{ numerator: ["lock per operation", RING], denominator: ["zone", RING] }],
      limit: 3,
      aim: 5,
      direction: "at least",
    },
  ],
};
