import { afterEach, expect, test } from "vitest";
import { type SecondaryOptions, type Uma, type Zone, defineSecondary, defineZone, umaTree } from "../../../src/index.ts";
import { KEG_REFS, ZONE_INDEX, ZONE_ITEMS } from "../../../src/backend/memory/layout.ts";
import { GatePrimary, gateOptions } from "../../fixtures/gate-zones.ts";
import { startWorker } from "../../fixtures/workers.ts";
import { expectSound, give, makeUma, secondWorker, take } from "../../fixtures/zones.ts";

const coded = (code: string): unknown => expect.objectContaining({ code });

const Mbuf = defineZone("mbuf", { size: 256, secondaries: true });

let uma: Uma;
afterEach(() => {
  expectSound(uma);
  uma.detach();
});

function setUp(options: SecondaryOptions = {}): { mbufs: Zone; packets: Zone } {
  uma = makeUma();
  const packets = uma.open(defineSecondary("packet", Mbuf, options));
  return { mbufs: uma.open(Mbuf), packets };
}

test("both zones draw on the same slabs, and count what is theirs", () => {
  const { mbufs, packets } = setUp();
  const mine = take(mbufs, 10);
  const theirs = take(packets, 20);
  expect(new Set([...mine, ...theirs]).size).toBe(30);
  expect([mbufs.getCur(), packets.getCur()]).toEqual([10, 20]);
  expect(packets.stats()).toMatchObject({ kind: "secondary", keg: "mbuf", slabs: 0, pages: 0, used: 20 });
  expect(mbufs.stats()).toMatchObject({ kind: "keg", keg: "mbuf", used: 10 });
  give(packets, theirs);
  packets.reclaim("drain");
  give(mbufs, mine);
  mbufs.reclaim("drain");
  expect(mbufs.stats()).toMatchObject({ slabs: 0, used: 0, free: 0 });
  const nodes = new Map(umaTree(uma));
  expect(nodes.get("packet")?.keg.name).toBe("mbuf");
});

test("what one zone gives back the other can have", () => {
  uma = makeUma({ bytes: 2 ** 18 });
  const packets = uma.open(defineSecondary("packet", Mbuf));
  const mbufs = uma.open(Mbuf);
  const all: number[] = [];
  for (let item = packets.tryAlloc(); item !== 0; item = packets.tryAlloc()) all.push(item);
  expect(all.length).toBeGreaterThan(100);
  expect(mbufs.tryAlloc()).toBe(0);
  give(packets, all.splice(0, 50));
  packets.reclaim("drain");
  const others: number[] = [];
  for (let item = mbufs.tryAlloc(); item !== 0; item = mbufs.tryAlloc()) others.push(item);
  expect(others.length).toBeGreaterThanOrEqual(50);
  give(mbufs, others);
  give(packets, all);
});

for (const hooks of [{}, { dtor: () => undefined }]) {
  test(`an item is refused by any zone but its own (${Object.keys(hooks).join() || "no hooks"})`, () => {
    const { mbufs, packets } = setUp(hooks);
    const p = packets.alloc();
    const m = mbufs.alloc();
    for (const [zone, item] of [
      [mbufs, p],
      [packets, m],
    ] as const) {
      expect(() => zone.free(item)).toThrow(coded("ERR_UMA_WRONG_ZONE"));
      expect(() => zone.freeBulk([item])).toThrow(coded("ERR_UMA_WRONG_ZONE"));
      expect(() => zone.transfer(item, 1)).toThrow(coded("ERR_UMA_WRONG_ZONE"));
      expect(() => zone.ownerOf(item)).toThrow(coded("ERR_UMA_WRONG_ZONE"));
    }
    expect([[...mbufs.owned()], [...packets.owned()]]).toEqual([[m], [p]]);
    packets.free(p);
    expect(() => packets.free(p)).toThrow(coded("ERR_UMA_DOUBLE_FREE"));
    mbufs.free(m);
  });
}

test("init and fini are the keg's; zoneInit and zoneFini run between slab and cache; ctor and dtor at each use", () => {
  const counts = { init: 0, fini: 0, zoneInit: 0, zoneFini: 0, ctor: 0, dtor: 0 };
  const count = (what: keyof typeof counts) => (): void => {
    counts[what]++;
  };
  uma = makeUma();
  const Primary = defineZone("primary", { size: 512, secondaries: true, init: count("init"), fini: count("fini") });
  const options = { ctor: count("ctor"), dtor: count("dtor"), zoneInit: count("zoneInit"), zoneFini: count("zoneFini") };
  const zone = uma.open(defineSecondary("second", Primary, options));
  for (let n = 0; n < 100; n++) zone.free(zone.alloc());
  expect([counts.ctor, counts.dtor]).toEqual([100, 100]);
  expect(counts.zoneInit).toBeGreaterThan(0);
  expect(counts.zoneInit).toBeLessThan(100);
  expect(counts.zoneFini).toBe(0);
  expect(counts.init).toBeGreaterThanOrEqual(counts.zoneInit);
  const primary = uma.open(Primary);
  primary.free(primary.alloc());
  zone.reclaim("drain");
  expect(counts.zoneFini).toBe(counts.zoneInit);
  primary.reclaim("drain");
  expect(counts.fini).toBe(counts.init);
  expect(primary.stats().slabs).toBe(0);
});

test("each item is in the state its zone leaves it in: 1 from init, 2 from zoneInit, 3 from ctor", () => {
  const { mbufs: _, packets: __ } = setUp();
  const { i32 } = uma.views;
  const step = (from: number, to: number) => (item: number) => {
    if (i32[item >> 2] !== from) throw new Error(`${i32[item >> 2]} instead of ${from}`);
    i32[item >> 2] = to;
  };
  const Primary = defineZone("states", { size: 64, secondaries: true, zinit: true, init: step(0, 1), fini: step(1, 0) });
  const options = { zoneInit: step(1, 2), zoneFini: step(2, 1), ctor: step(2, 3), dtor: step(3, 2) };
  const zone = uma.open(defineSecondary("stateful", Primary, { ...options, maxCache: 100, bucket: 30 }));
  const primary = uma.open(Primary);
  for (let round = 0; round < 4; round++) {
    const items = take(zone, 300);
    const others = take(primary, 50);
    for (const item of others) expect(i32[item >> 2]).toBe(1);
    give(zone, items);
    give(primary, others);
    if (round % 2 === 0) zone.reclaim("drain");
  }
  zone.prefill(20);
  give(zone, take(zone, 20));
  zone.prefill(0);
  zone.setMax(10);
  give(zone, take(zone, 10));
  zone.reclaim("drain");
  primary.reclaim("drain");
  expect(primary.stats().slabs).toBe(0);
});

test("a zoneInit that refuses or throws leaves every count as it was", () => {
  let answer: () => boolean = () => false;
  const { mbufs, packets } = setUp({ zoneInit: () => answer() });
  expect(packets.tryAlloc()).toBe(0);
  expect(uma.lastFailure).toBe("REFUSED");
  answer = () => {
    throw new Error("no");
  };
  expect(() => packets.tryAlloc()).toThrow(coded("ERR_UMA_HOOK"));
  expect(packets.stats()).toMatchObject({ used: 0, free: 0, requests: 0 });
  expect(mbufs.stats().freeInSlabs).toBe(mbufs.stats().free);
  let n = 0;
  answer = () => ++n <= 3;
  give(packets, take(packets, 3));
});

test("a zoneFini that throws is told to whoever reclaims, and keeps no item", () => {
  const { packets } = setUp({
    zoneFini: () => {
      throw new Error("no");
    },
  });
  packets.free(packets.alloc());
  expect(() => packets.reclaim("drain")).toThrow(coded("ERR_UMA_HOOK"));
  expect(packets.stats().free).toBe(0);
});

test("zoneInit and zoneFini may use other zones, not their own", () => {
  const codes: string[] = [];
  const zones: Zone[] = [];
  const { mbufs, packets } = setUp({
    zoneInit: () => {
      try {
        zones[0]?.tryAlloc();
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
      zones[1]?.free(zones[1].alloc());
    },
    bucket: 1,
  });
  zones.push(packets, mbufs);
  packets.free(packets.alloc());
  expect(codes).toEqual(["ERR_UMA_HOOK_RECURSION"]);
});

test("limits are each zone's own", () => {
  const { mbufs, packets } = setUp({ limit: 4 });
  const items = take(packets, 4);
  expect(packets.tryAlloc()).toBe(0);
  expect(uma.lastFailure).toBe("LIMIT");
  mbufs.free(mbufs.alloc());
  expect(mbufs.getMax()).toBe(0);
  give(packets, items);
});

test("a primary with living secondaries is not destroyed; a secondary goes without its slabs", () => {
  const { mbufs, packets } = setUp();
  const kept = mbufs.alloc();
  packets.free(packets.alloc());
  for (const force of [false, true]) expect(() => mbufs.destroy({ force })).toThrow(coded("ERR_UMA_SECONDARIES"));
  const { slabs } = mbufs.stats();
  packets.destroy();
  expect(mbufs.stats().slabs).toBe(slabs);
  mbufs.free(kept);
  mbufs.destroy();
  const again = uma.open(Mbuf);
  again.free(again.alloc());
});

test("what was out when a secondary was destroyed by force becomes the primary's again", () => {
  const inits: number[] = [];
  uma = makeUma();
  const Primary = defineZone("primary", { size: 512, secondaries: true, init: (item) => void inits.push(item) });
  const zone = uma.open(defineSecondary("second", Primary));
  const primary = uma.open(Primary);
  const items = take(zone, 5);
  inits.length = 0;
  expect(zone.destroy({ force: true })).toMatchObject({
    outstanding: 5,
    items: items.toSorted((a, b) => a - b).map((item) => ({ item, owner: uma.slot })),
  });
  uma.poll();
  expect(inits.toSorted((a, b) => a - b)).toEqual(items.toSorted((a, b) => a - b));
  expect(primary.getCur()).toBe(0);
  primary.reclaim("drain");
  expect(primary.stats().slabs).toBe(0);
});

test("many secondaries of one primary, made and destroyed under the same names", () => {
  uma = makeUma();
  for (let round = 0; round < 3; round++) {
    const zones = Array.from({ length: 31 }, (_, n) => uma.open(defineSecondary(`second ${n}`, Mbuf, { bucket: 4 })));
    expect(() => uma.open(defineSecondary("one more", Mbuf))).toThrow(coded("ERR_UMA_ZONE_TABLE_FULL"));
    expectSound(uma);
    const items = zones.map((zone) => zone.alloc());
    zones.forEach((zone, n) => zone.free(items[n] as number));
    for (const zone of zones) zone.destroy();
  }
});

test("a dead worker's items go back to the zones they were of", async () => {
  const Packet = defineSecondary("packet", Mbuf, { onDeath: "free", zoneInit: () => true });
  uma = makeUma();
  const packets = uma.open(Packet);
  const mbufs = uma.open(Mbuf);
  const other = await secondWorker(uma);
  const there = other.open(Packet);
  const thereMbufs = other.open(Mbuf);
  take(there, 7);
  const kept = take(thereMbufs, 3);
  there.free(there.alloc());
  const report = uma.reap(other.slot);
  expect(report).toMatchObject({ done: true });
  const zones = new Map(report?.zones.map((left) => [left.zone, left]));
  expect(zones.get("packet")).toMatchObject({ freed: 7, kept: 0 });
  expect(zones.get("mbuf")).toMatchObject({ freed: 0, kept: 3 });
  expect([packets.getCur(), mbufs.getCur()]).toEqual([0, 3]);
  expectSound(uma);
  give(mbufs, kept);
});

for (const [hook, at] of [
  ["zoneInit", 1],
  ["zoneInit", 4],
  ["zoneFini", 1],
  ["zoneFini", 5],
  ["ctor", 3],
  ["dtor", 3],
] as const) {
  test(`a worker that dies inside ${hook} (call ${at}) leaves each item whole, the one in hand made anew`, async () => {
    uma = makeUma({ patience: 1000 });
    const packets = uma.open(
      defineSecondary(
        "gated",
        GatePrimary,
        gateOptions(() => undefined),
      ),
    );
    const primary = uma.open(GatePrimary);
    const ticket = uma.ticket();
    const started = startWorker("gate-worker.ts", { ticket, hook, at });
    expect(await started.next()).toBe("stuck");
    await started.kill();
    expect(uma.reap(ticket)?.done).toBe(true);
    uma.poll();
    expectSound(uma);
    expect([packets.getCur(), primary.getCur()]).toEqual([0, 0]);
    give(packets, take(packets, 40));
    give(primary, take(primary, 40));
    packets.reclaim("drain");
    primary.reclaim("drain");
    expect(primary.stats().slabs).toBe(0);
  });
}

test("verify sees a zone byte, a count of zones or a count of items that is wrong", () => {
  const { mbufs, packets } = setUp();
  const { i32, u8 } = uma.core.floor.cells;
  const item = packets.alloc();
  mbufs.free(mbufs.alloc());
  const mark = uma.core.slabs.markOf(item, packets.shift);
  const cached = uma.core.slabs.markOf(mbufs.alloc(), mbufs.shift);
  for (const [damage, complaint] of [
    [() => (u8[mark + packets.zoneAt] ^= 1), /marks against items out/],
    [() => (u8[cached + packets.zoneAt] ^= 1), /marks against items out/],
    [() => (i32[mbufs.keg + KEG_REFS] ^= 4), /zones are on the keg/],
    [() => (i32[packets.zone + ZONE_INDEX] ^= 2), /names another one/],
    [() => (i32[packets.zone + ZONE_ITEMS] ^= 1024), /items out of the keg/],
  ] as const) {
    damage();
    expect(uma.verify().problems.join("; ")).toMatch(complaint);
    // Each of them undoes itself.
    damage();
    expectSound(uma);
  }
  give(mbufs, mbufs.owned());
  packets.free(item);
});

test("a zone says whether it may have secondaries, and all threads must agree on whose a secondary is", async () => {
  uma = makeUma();
  const Plain = defineZone("plain", { size: 256 });
  expect(() => defineSecondary("x", Plain)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => defineSecondary("x", undefined as never)).toThrow(coded("ERR_UMA_OPTION"));
  expect(() => defineZone("y", { size: 16, secondaries: true, checks: false })).toThrow(coded("ERR_UMA_OPTION"));
  uma.open(defineSecondary("packet", Mbuf));
  const Other = defineZone("other", { size: 256, secondaries: true });
  expect(() => uma.open(defineSecondary("packet", Other))).toThrow(coded("ERR_UMA_ZONE_MISMATCH"));
  expect(() => uma.open(defineZone("packet", { size: 256 }))).toThrow(coded("ERR_UMA_ZONE_MISMATCH"));
  const other = await secondWorker(uma);
  const there = other.open(defineSecondary("packet", Mbuf));
  there.free(there.alloc());
  other.detach();
});
