/** Hooks: what a ctor and a dtor cost, and what it costs that there are many. */
import { alone, eightZones, oneFunction, oneZone, ownFunctions, sharedSite } from "../programs/hooked.ts";
import type { Case, Suite } from "../harness/suite.ts";

const ONE = "1 zone";
const OWN = "8 zones, own call sites";
const TOGETHER = "8 zones, own call sites in one function";
const SHARED = "8 zones, one call site";

const cases: readonly Case[] = (["plain", "ctor+dtor"] as const).flatMap((name) => {
  const hooked = name === "ctor+dtor";
  return [
    { name, variant: ONE, group: "all", program: () => ({ batch: alone(oneZone(hooked)) }) },
    { name, variant: OWN, group: "all", program: () => ({ batch: ownFunctions(eightZones(hooked)) }) },
    { name, variant: TOGETHER, group: "all", program: () => ({ batch: oneFunction(eightZones(hooked)) }) },
    { name, variant: SHARED, group: "all", program: () => ({ batch: sharedSite(eightZones(hooked)) }) },
  ];
});

export const suite: Suite = {
  name: "hooks",
  about: "Zones with a ctor that writes two words and a dtor that writes one, one item live in each.",
  cases,
  rows: [
    {
      label: "8 zones with hooks, own call sites ÷ 1 without",
      over: [{ numerator: ["ctor+dtor", OWN], denominator: ["plain", ONE] }],
      limit: 2.5,
      aim: 1.6,
      direction: "at most",
    },
  ],
};
