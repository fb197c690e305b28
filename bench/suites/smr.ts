/** SMR: what a reader's section costs, and a look into a shared map. */
import { Uma, openMap } from "../../src/index.ts";
import type { BatchProgram, Slice, SliceProgram, Suite } from "../harness/suite.ts";
import { startCrew } from "../programs/crew.ts";
import type { MapUser } from "../programs/map-worker.ts";
import { KEYS, SharedKeys } from "../programs/shared-keys.ts";

const PAIRS = 256;
const LOOKS = 1024;

function sections(): BatchProgram {
  const { smr } = Uma.create({ bytes: 2 ** 22 });
  return {
    batch() {
      for (let n = 0; n < PAIRS; n++) {
        smr.enter();
        smr.exit();
      }
      return PAIRS;
    },
  };
}

function atomics(): BatchProgram {
  const i32 = new Int32Array(new SharedArrayBuffer(64));
  return {
    batch() {
      for (let n = 0; n < PAIRS; n++) Atomics.store(i32, 3, n);
      return PAIRS;
    },
  };
}

/** The keys are looked for in an order that no cache likes. */
function looks(get: (key: number) => number | undefined): BatchProgram {
  let at = 1;
  let sum = 0;
  return {
    batch() {
      for (let n = 0; n < LOOKS; n++) {
        at = (at * 48271) % 2147483647;
        sum += get(at % KEYS) ?? 0;
      }
      return LOOKS;
    },
    figures: () => ({ sum: sum % 7 }),
  };
}

function sharedMap(): BatchProgram {
  const map = openMap(Uma.create({ bytes: 64 * 2 ** 20 }), SharedKeys);
  for (let key = 0; key < KEYS; key++) map.set(key, key + 0.5);
  return looks((key) => map.get(key));
}

function jsMap(): BatchProgram {
  const map = new Map<number, number>();
  for (let key = 0; key < KEYS; key++) map.set(key, key + 0.5);
  return looks((key) => map.get(key));
}

/** Two readers and a writer at once, with or without a lock round the map; nanoseconds for a look of both readers together. */
function together(isLocked: boolean): () => Promise<SliceProgram> {
  return async () => {
    const uma = Uma.create({ bytes: 64 * 2 ** 20 });
    const map = openMap(uma, SharedKeys);
    for (let key = 0; key < KEYS; key++) map.set(key, key + 0.5);
    const locked = isLocked ? new SharedArrayBuffer(64) : null;
    const users = (["read", "read", "write"] as const).map((role, n): MapUser => ({ role, ticket: uma.ticket(), locked, seed: n + 1 }));
    const crew = await startCrew("./map-worker.js", users);
    return {
      slice: async (ms) => {
        const [one, other] = (await crew.work(ms)) as [Slice, Slice, Slice];
        return { ops: one.ops + other.ops, ns: Math.max(one.ns, other.ns) };
      },
      close: () => void crew.close(),
    };
  };
}

export const suite: Suite = {
  name: "smr",
  about:
    "enter and exit against single atomic stores; get of 100 000 keys, one thread, against a JavaScript Map of the same keys; " +
    "and get by two workers while a third one sets, against the same map with a lock round every get and set.",
  cases: [
    { name: "enter+exit", variant: "section", program: sections },
    { name: "Atomics.store", variant: "section", program: atomics },
    { name: "SharedMap", variant: "get", program: sharedMap },
    { name: "Map", variant: "get", program: jsMap },
    { name: "SharedMap", variant: "2 readers, 1 writer", sliceMs: 40, program: together(false) },
    { name: "one lock", variant: "2 readers, 1 writer", sliceMs: 40, program: together(true) },
  ],
  rows: [
    {
      label: "enter+exit ÷ one atomic store",
      over: [{ numerator: ["enter+exit", "section"], denominator: ["Atomics.store", "section"] }],
      limit: 5,
      aim: 3.5,
      direction: "at most",
    },
    {
      label: "SharedMap get ÷ Map get",
      over: [{ numerator: ["SharedMap", "get"], denominator: ["Map", "get"] }],
      limit: 4,
      aim: 2,
      direction: "at most",
    },
    {
      label: "one lock ÷ SharedMap, get by 2 readers beside a writer",
      over: [{ numerator: ["one lock", "2 readers, 1 writer"], denominator: ["SharedMap", "2 readers, 1 writer"] }],
      limit: 3,
      aim: 10,
      direction: "at least",
    },
  ],
};
