/** Limits: what a limit that is set but not met costs an allocation. */
import { type Zone, defineZone } from "../../src/index.ts";
import { lastFirst, oneLive } from "../programs/loops.ts";
import { ITEM_BYTES, roomyMemory } from "../programs/peers.ts";
import { across, type Case, type Suite } from "../harness/suite.ts";

const FAR = 10_000_000;

function cases(name: string, limit: number): Case[] {
  const open = (count: number): Zone => roomyMemory(count).open(defineZone("item", { size: ITEM_BYTES, limit }));
  return [
    { name, variant: "1", program: () => ({ batch: oneLive(open(64), new Int32Array(64)) }) },
    { name, variant: "4096 lifo", program: () => ({ batch: lastFirst(open(4096), new Int32Array(4096), 4096) }) },
  ];
}

export const suite: Suite = {
  name: "limits",
  about: "An alloc and its free, 64-byte items, in a zone with a limit that is far away and in one without.",
  cases: [...cases("limited", FAR), ...cases("unlimited", 0)],
  rows: [
    { label: "limited ÷ unlimited, 1", over: across("limited", "unlimited", ["1"]), limit: 1.1, aim: 1, direction: "at most" },
    { label: "limited ÷ unlimited, 4096", over: across("limited", "unlimited", ["4096 lifo"]), limit: 1.1, aim: 1, direction: "at most" },
  ],
};
