/** An allocation and its free: the zone against the floor, and against what JavaScript programs use today. */
import { churn, firstFirst, inOrder, lastFirst, oneLive } from "../programs/loops.ts";
import { permutation } from "../programs/orders.ts";
import { collected, type Contender, floor, reusified, thing, zone, zoneUnchecked } from "../programs/peers.ts";
import { across, type BatchProgram, type Case, type Suite } from "../harness/suite.ts";

const MILLION = 2 ** 20;
const AT_64: readonly string[] = ["64 lifo", "64 random"];
const AT_4096: readonly string[] = ["4096 lifo", "4096 fifo", "4096 random"];

/** Churn is measured over slices that have their share of whole collections; and `thing` walks a list of half a million. */
const CHURN = { sliceMs: 150, maxSlices: 9 };
const CHURN_PAIRS = 256;
const CHURN_PAIRS_THING = 1;

function cases<T>(name: string, make: (count: number) => Contender<T>, churnPairs = CHURN_PAIRS): Case[] {
  const at = (count: number, loop: (of: Contender<T>) => () => number) => (): BatchProgram => ({ batch: loop(make(count)) });
  return [
    { name, variant: "1", program: at(64, ({ peer, live }) => oneLive(peer, live)) },
    { name, variant: "64 lifo", program: at(64, ({ peer, live }) => lastFirst(peer, live, 64)) },
    { name, variant: "64 random", program: at(64, ({ peer, live }) => inOrder(peer, live, permutation(64, 1))) },
    { name, variant: "4096 lifo", program: at(4096, ({ peer, live }) => lastFirst(peer, live, 4096)) },
    { name, variant: "4096 fifo", program: at(4096, ({ peer, live }) => firstFirst(peer, live, 4096)) },
    { name, variant: "4096 random", program: at(4096, ({ peer, live }) => inOrder(peer, live, permutation(4096, 2))) },
    {
      name,
      variant: "1M churn",
      ...CHURN,
      program: at(MILLION, ({ peer, live, touch }) => churn(peer, live, permutation(MILLION, 3), touch, churnPairs)),
    },
  ];
}

export const suite: Suite = {
  name: "pair",
  about: "An alloc and its free, 64-byte items. At 64 and at 4096 the ratio is the median of the ratios of the orders.",
  cases: [
    ...cases("floor", floor),
    ...cases("zone", zone),
    ...cases("zone-unchecked", zoneUnchecked),
    ...cases("new", collected),
    ...cases("reusify", reusified),
    ...cases("thing", thing, CHURN_PAIRS_THING),
  ],
  rows: [
    { label: "zone ÷ floor, 1", over: across("zone", "floor", ["1"]), limit: 3.5, aim: 2.2, direction: "at most" },
    { label: "zone ÷ floor, 64", over: across("zone", "floor", AT_64), limit: 2.2, aim: 1.4, direction: "at most" },
    { label: "zone ÷ floor, 4096", over: across("zone", "floor", AT_4096), limit: 2.4, aim: 1.7, direction: "at most" },
    { label: "zone-unchecked ÷ floor, 1", over: across("zone-unchecked", "floor", ["1"]), limit: 1.9, aim: 1.5, direction: "at most" },
    { label: "zone-unchecked ÷ floor, 64", over: across("zone-unchecked", "floor", AT_64), limit: 1.4, aim: 1, direction: "at most" },
    { label: "zone-unchecked ÷ floor, 4096", over: across("zone-unchecked", "floor", AT_4096), limit: 1.8, aim: 1.4, direction: "at most" },
    { label: "reusify ÷ zone, 64", over: across("reusify", "zone", AT_64), limit: 1, aim: 1.6, direction: "at least" },
    { label: "reusify ÷ zone, 4096", over: across("reusify", "zone", AT_4096), limit: 1, aim: 1.6, direction: "at least" },
    { label: "new ÷ zone, 64", over: across("new", "zone", AT_64), limit: 1.7, aim: 3, direction: "at least" },
    { label: "new ÷ zone, 4096", over: across("new", "zone", AT_4096), limit: 1.7, aim: 3, direction: "at least" },
    { label: "new ÷ zone, 1M churn", over: across("new", "zone", ["1M churn"]), limit: 3, aim: 6, direction: "at least" },
  ],
};
