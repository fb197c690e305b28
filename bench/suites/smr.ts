/** SMR: what a reader's section costs, and a look into a shared map. */
import { Uma, defineMap, openMap } from "../../src/index.ts";
import type { BatchProgram, Suite } from "../harness/suite.ts";

const PAIRS = 256;
const KEYS = 100_000;
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
  const map = openMap(Uma.create({ bytes: 64 * 2 ** 20 }), defineMap("keys", { capacity: KEYS }));
  for (let key = 0; key < KEYS; key++) map.set(key, key + 0.5);
  return looks((key) => map.get(key));
}

function jsMap(): BatchProgram {
  const map = new Map<number, number>();
  for (let key = 0; key < KEYS; key++) map.set(key, key + 0.5);
  return looks((key) => map.get(key));
}

export const suite: Suite = {
  name: "smr",
  about: "enter and exit against single atomic stores; get of 100 000 keys, one thread, against a JavaScript Map of the same keys.",
  cases: [
    { name: "enter+exit", variant: "section", program: sections },
    { name: "Atomics.store", variant: "section", program: atomics },
    { name: "SharedMap", variant: "get", program: sharedMap },
    { name: "Map", variant: "get", program: jsMap },
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
  ],
};
