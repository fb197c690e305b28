/** Handles: alloc, get and free by handle, against alloc and free by address. */
import { defineZone, Uma } from "../../src/index.ts";
import { across, type BatchProgram, type Case, type Suite } from "../harness/suite.ts";
import { permutation } from "../programs/orders.ts";

const LIVE = [64, 4096] as const;
const ITEM_BYTES = 64;

/** One after the other is freed and replaced, in a fixed random order. */
function plain(live: number): BatchProgram {
  const zone = Uma.create({ bytes: 2 ** 22 }).open(defineZone("item", { size: ITEM_BYTES }));
  const order = permutation(live, 1);
  const items = Int32Array.from({ length: live }, () => zone.alloc());
  return {
    batch: () => {
      for (let n = 0; n < live; n++) {
        const place = order[n] as number;
        zone.free(items[place] as number);
        items[place] = zone.alloc();
      }
      return live;
    },
  };
}

function byHandle(live: number): BatchProgram {
  const zone = Uma.create({ bytes: 2 ** 22 }).open(defineZone("item", { size: ITEM_BYTES, handles: true }));
  const order = permutation(live, 1);
  const handles = Float64Array.from({ length: live }, () => zone.allocHandle());
  return {
    batch: () => {
      for (let n = 0; n < live; n++) {
        const place = order[n] as number;
        const handle = handles[place] as number;
        if (zone.get(handle) === 0) throw new Error("a live handle is stale");
        zone.freeHandle(handle);
        handles[place] = zone.allocHandle();
      }
      return live;
    },
  };
}

const cases: readonly Case[] = LIVE.flatMap((live) => [
  { name: "plain", variant: `${live} live`, program: () => plain(live) },
  { name: "handle", variant: `${live} live`, program: () => byHandle(live) },
]);

export const suite: Suite = {
  name: "handles",
  about: "alloc, get and free by handle; plain: alloc and free by address. 64-byte items, replaced in random order.",
  cases,
  rows: [
    {
      label: "handle alloc + get + free ÷ plain alloc + free",
      over: across(
        "handle",
        "plain",
        LIVE.map((live) => `${live} live`),
      ),
      limit: 2.5,
      aim: 1.8,
      direction: "at most",
    },
  ],
};
