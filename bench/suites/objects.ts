/** Objects: an object zone against the pool that most programs have. */
import { across, type Case, type Suite } from "../harness/suite.ts";
import { firstFirst, inOrder, lastFirst, oneLive } from "../programs/loops.ts";
import { permutation } from "../programs/orders.ts";
import { objectZone, type PoolContender, reusifyPool } from "../programs/pools.ts";

const SEVERAL: readonly string[] = ["64 lifo", "64 random", "4096 lifo", "4096 fifo", "4096 random"];

function cases<T>(name: string, make: () => PoolContender<T>): Case[] {
  const loop = (of: (contender: PoolContender<T>) => () => number) => () => ({ batch: of(make()) });
  return [
    { name, variant: "1", program: loop(({ peer, live }) => oneLive(peer, live)) },
    { name, variant: "64 lifo", program: loop(({ peer, live }) => lastFirst(peer, live, 64)) },
    { name, variant: "64 random", program: loop(({ peer, live }) => inOrder(peer, live, permutation(64, 1))) },
    { name, variant: "4096 lifo", program: loop(({ peer, live }) => lastFirst(peer, live, 4096)) },
    { name, variant: "4096 fifo", program: loop(({ peer, live }) => firstFirst(peer, live, 4096)) },
    { name, variant: "4096 random", program: loop(({ peer, live }) => inOrder(peer, live, permutation(4096, 2))) },
  ];
}

export const suite: Suite = {
  name: "objects",
  about: "Taking and giving back an object that is reset on taking. The zone refuses a second release; reusify does not notice.",
  cases: [...cases("object zone", objectZone), ...cases("reusify", reusifyPool)],
  rows: [
    { label: "object zone ÷ reusify", over: across("object zone", "reusify", SEVERAL), limit: 1.2, aim: 1, direction: "at most" },
    { label: "object zone ÷ reusify, 1", over: across("object zone", "reusify", ["1"]), limit: 1.5, aim: 1, direction: "at most" },
  ],
};
