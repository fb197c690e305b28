import { expect, test } from "vitest";
import { Uma, defineZone, umaTree, vmstatJson, vmstatZones } from "../../../src/index.ts";

test("the JSON of vmstat has its keys, a zone at a time, and says what stats says", () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 4 });
  const a = uma.open(defineZone("a", { size: 64, limit: 2 }));
  const b = uma.open(defineZone('b "quoted"', { size: 100 }));
  for (let n = 0; n < 3; n++) a.tryAlloc();
  b.free(b.alloc());
  const pieces = Array.from(vmstatJson(uma));
  expect(pieces.length).toBe(4);
  const { zone } = (JSON.parse(pieces.join("")) as { "memory-zone-statistics": { zone: Record<string, unknown>[] } })[
    "memory-zone-statistics"
  ];
  expect(zone).toEqual(Array.from(vmstatZones(uma)));
  const found = zone.find(({ name }) => name === "a");
  expect(found).toMatchObject({ size: 64, limit: 2, used: 2, requests: 2, fail: 1, sleep: 0, xdomain: 0 });
  expect(Object.keys(found as object)).toEqual(["name", "size", "limit", "used", "free", "requests", "fail", "sleep", "xdomain"]);
  uma.detach();
});

test("the vm.uma tree agrees with itself and with the zone", () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 4 });
  const z = uma.open(defineZone("tree", { size: 100, limit: 50 }));
  const items = Array.from({ length: 20 }, () => z.alloc());
  for (const item of items.slice(5)) z.free(item);
  z.reserve(3);
  const [first] = Array.from(umaTree(uma));
  const [name, node] = first!;
  expect(name).toBe("tree");
  expect(node).toMatchObject({
    size: 100,
    keg: { name: "tree", ppera: 1, reserve: 3, rsize: z.rsize },
    limit: { max_items: 50, sleepers: 0, sleeps: 0 },
    stats: { current: 5, allocs: 20, frees: 15, fails: 0, xdomain: 0 },
  });
  expect(node.keg.efficiency).toBeGreaterThan(80);
  expect(node.limit.items).toBe(5 + z.stats().freeInCaches + z.stats().freeInDepot);
  uma.detach();
});
