import { expect, test } from "vitest";
import {
  Uma,
  defineCache,
  defineSecondary,
  defineZone,
  umaTree,
  umaTreeJson,
  vmstatJson,
  vmstatZones,
  zoneTable,
} from "../../../src/index.ts";

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

test("secondary and cache zones show what is theirs: a keg's pages are counted with its first zone", () => {
  const uma = Uma.create({ bytes: 2 ** 22, workers: 4 });
  expect(Array.from(umaTreeJson(uma)).join("")).toBe("{}");
  const Primary = defineZone("primary", { size: 256, secondaries: true });
  const second = uma.open(defineSecondary("second", Primary, { limit: 9 }));
  const primary = uma.open(Primary);
  let next = 0;
  const cache = uma.open(defineCache("cache", { size: 16, import: (store) => ((store[0] = ++next), 1), release: () => undefined }));
  for (const zone of [second, primary, cache]) {
    zone.alloc();
    zone.free(zone.alloc());
  }
  const zones = new Map(uma.stats().zones.map((z) => [z.name, z]));
  expect(zones.get("second")).toMatchObject({
    size: 256,
    limit: 9,
    used: 1,
    requests: 2,
    slabs: 0,
    bytes: 0,
    kind: "secondary",
    keg: "primary",
  });
  expect(zones.get("cache")).toMatchObject({ size: 16, used: 1, free: 1, requests: 2, slabs: 0, kind: "cache", keg: "cache" });
  expect(zones.get("primary")?.slabs).toBeGreaterThan(0);
  for (const z of zones.values()) expect(z.free).toBe(z.freeInSlabs + z.freeInDepot + z.freeInCaches);
  const tree = JSON.parse(Array.from(umaTreeJson(uma)).join("")) as Record<string, { keg: { name: string; domain: { pages: number }[] } }>;
  expect(Object.keys(tree).toSorted()).toEqual(["cache", "primary", "second"]);
  expect(tree.second?.keg).toEqual(tree.primary?.keg);
  expect(tree.cache?.keg.domain[0]?.pages).toBe(0);
  const lines = Array.from(zoneTable(uma.stats().zones));
  expect(lines.length).toBe(4);
  expect(uma.stats().zones.flatMap((z) => z.workers.map((w) => w.requests))).toEqual([2, 2, 2]);
  expect(uma.verify().problems).toEqual([]);
  expect(uma.verify({ online: true }).problems).toEqual([]);
  uma.detach();
});
