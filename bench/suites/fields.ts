/** Fields: what it costs to read and write an item through views, against typed arrays by hand and against objects. */
import { across, type Case, type Suite } from "../harness/suite.ts";
import { at, columns, direct, objects, view } from "../programs/bodies.ts";

const ORDERS = ["in order", "random"] as const;

const cases: readonly Case[] = ORDERS.flatMap((variant) =>
  Object.entries({ direct, at, view, columns, objects }).map(([name, program]) => ({
    name,
    variant,
    sliceMs: 10,
    program: () => program(variant === "random"),
  })),
);

export const suite: Suite = {
  name: "fields",
  about: "Moving 100,000 bodies of eight floats: four reads, two writes each.",
  cases,
  rows: [
    { label: "at ÷ direct", over: across("at", "direct", ORDERS), limit: 1.15, aim: 1, direction: "at most" },
    { label: "view ÷ direct", over: across("view", "direct", ORDERS), limit: 1.15, aim: 1, direction: "at most" },
    { label: "columns ÷ direct", over: across("columns", "direct", ORDERS), limit: 1.15, aim: 1, direction: "at most" },
    { label: "at ÷ objects, random", over: across("at", "objects", ["random"]), limit: 0.6, aim: 0.4, direction: "at most" },
  ],
};
