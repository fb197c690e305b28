import { describe, expect, test } from "vitest";
import { array, defineZone, f64, ref, struct, text, u16, u32, u8, Uma, UmaCorruptionError } from "../../../../src/index.ts";

const MiB = 2 ** 20;
const Owner = defineZone("owner", { size: 16 });
const type = struct({ a: u32, b: u32, tiny: u8, owner: ref(Owner), name: text(3) });
const CLOBBERED = expect.objectContaining({ code: "ERR_UMA_CLOBBERED", zone: "debugged" });

describe("a debug zone", () => {
  test("fills freed items with poison", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("debugged", { type, debug: true }));
    const item = zone.alloc();
    expect(zone.at(item).a).toBe(0xdeadbeef);
    zone.at(item).a = 1;
    zone.free(item);
    expect(uma.views.u32[item >> 2]).toBe(0xdeadbeef);
  });

  test("leaves the state that init made, and zeroes where that was asked for", () => {
    using uma = Uma.create({ bytes: MiB });
    const kept = uma.open(defineZone("debugged", { type, debug: true, init: (p) => void (p.a = 7) }));
    const item = kept.alloc();
    kept.at(item).b = 8;
    kept.free(item);
    expect(kept.at(kept.alloc()).toObject()).toMatchObject({ a: 7, b: 8 });
    const zeroed = uma.open(defineZone("zeroed", { size: 8, debug: true, zero: true }));
    for (let n = 0; n < 3; n++) {
      const zero = zeroed.alloc();
      expect(uma.views.i32[zero >> 2]).toBe(0);
      uma.views.i32[zero >> 2] = 5;
      zeroed.free(zero);
    }
  });

  test.each([
    ["without init", {}],
    ["with init", { init: () => true }],
  ])("%s finds out at the next alloc that a free item was written to, says so once, and goes on", (_how, hooks) => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("debugged", { type, debug: true, ...hooks }));
    const item = zone.alloc();
    zone.free(item);
    uma.views.i32[(item >> 2) + 2] ^= 0x100;
    expect(() => zone.alloc()).toThrow(CLOBBERED);
    expect(() => zone.alloc()).not.toThrow(UmaCorruptionError);
    expect(zone.stats()).toMatchObject({ used: 1, fail: 1 });
    expect(uma.verify().problems).toEqual([]);
  });

  test("finds out at the free that somebody wrote past the end of an item; the item is freed", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("debugged", { size: 30, debug: true }));
    const item = zone.alloc();
    uma.views.u8.fill(1, item, item + 34);
    expect(() => zone.free(item)).toThrow(CLOBBERED);
    expect(zone.stats().used).toBe(0);
    zone.free(zone.alloc());
    expect(uma.verify().problems).toEqual([]);
  });

  test("finds out when a slab dies, too", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("debugged", { size: 32, debug: true }));
    const item = zone.alloc();
    zone.free(item);
    uma.views.u8[item] = 0;
    expect(() => zone.reclaim()).toThrow(CLOBBERED);
    expect(zone.stats().slabs).toBe(0);
  });

  test("runs the user's hooks, and seals what a refusing ctor leaves", () => {
    using uma = Uma.create({ bytes: MiB });
    const seen: string[] = [];
    const zone = uma.open(
      defineZone("debugged", {
        type,
        debug: true,
        ctor: (p, accept: boolean) => {
          seen.push("ctor");
          p.a = 1;
          return accept;
        },
        dtor: (p) => void seen.push(`dtor ${p.a}`),
        init: () => void seen.push("init"),
        fini: () => void seen.push("fini"),
      }),
    );
    expect(zone.tryAlloc(false)).toBe(0);
    zone.free(zone.alloc(true));
    zone.reclaim();
    const { length } = seen.filter((hook) => hook === "init");
    expect(seen.filter((hook) => hook === "fini").length).toBe(length);
    expect(seen.slice(length, length + 3)).toEqual(["ctor", "ctor", "dtor 1"]);
  });

  test("throws where a view stands on a freed item, on reading, writing and moving", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("debugged", { type, debug: true }));
    const item = zone.alloc();
    const p = zone.view(item);
    p.a = 1;
    zone.free(item);
    const freed = expect.objectContaining({ code: "ERR_UMA_FREED", value: item });
    expect(() => p.a).toThrow(freed);
    expect(() => (p.a = 1)).toThrow(freed);
    expect(() => p.toObject()).toThrow(freed);
    expect(() => zone.at(item)).toThrow(freed);
    expect(() => zone.at(item + 4)).toThrow(expect.objectContaining({ code: "ERR_UMA_ADDRESS" }));
    expect(() => zone.view().a).toThrow(expect.objectContaining({ code: "ERR_UMA_ADDRESS" }));
    zone.alloc();
    expect(p.b).toBe(0xdeadbeef);
  });

  test("refuses what a field cannot hold, and references that are none", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("debugged", { type, debug: true, zero: true }));
    const owners = uma.open(Owner);
    const strangers = uma.open(defineZone("strangers", { size: 16 }));
    const p = zone.at(zone.alloc());
    const bad = expect.objectContaining({ code: "ERR_UMA_VALUE" });
    expect(() => (p.tiny = 256)).toThrow(bad);
    expect(() => (p.a = 0.5)).toThrow(bad);
    const [owner, stranger, gone] = [owners.alloc(), strangers.alloc(), owners.alloc()];
    owners.free(gone);
    p.owner = owner as number;
    expect(() => (p.owner = stranger as number)).toThrow(/owner of zone "debugged".*item of zone "strangers"/);
    expect(() => (p.owner = gone as number)).toThrow(/is free/);
    expect(() => (p.owner = (owner as number) + 4)).toThrow(bad);
    expect(p.owner).toBe(owner);
    p.owner = 0;
    expect(p.toObject()).toMatchObject({ tiny: 0, a: 0, owner: 0 });
  });
});

describe("nested parts of a debug zone's items", () => {
  const Part = struct({ level: u16, deep: struct({ tiny: u8 }) });
  const Nested = defineZone("nested", {
    type: struct({ first: u32, part: Part, parts: array(Part, 3), row: array(u8, 4) }),
    debug: true,
    zero: true,
  });

  test("throw where they stand in a freed item, like the item itself", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(Nested);
    zone.alloc();
    const item = zone.alloc();
    const p = zone.view(item);
    const { part, parts, row } = p;
    const { deep } = part;
    deep.tiny = 1;
    parts.at(2).deep.tiny = 3;
    row.put(3, 7);
    expect([part.deep.tiny, parts.at(2).deep.tiny, row.at(3)]).toEqual([1, 3, 7]);
    zone.free(item);
    const freed = expect.objectContaining({ code: "ERR_UMA_FREED", value: item });
    for (const use of [
      () => part.level,
      () => (part.level = 1),
      () => deep.tiny,
      () => parts.at(2).level,
      () => (parts.at(1).deep.tiny = 1),
      () => row.at(0),
      () => row.put(0, 1),
      () => parts.toObject(),
    ]) {
      expect(use).toThrow(freed);
    }
  });

  test("refuse what their fields cannot hold", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(Nested);
    const p = zone.view(zone.alloc());
    const bad = expect.objectContaining({ code: "ERR_UMA_VALUE", zone: "nested" });
    for (const use of [
      () => (p.part.level = 65_536),
      () => (p.part.deep.tiny = -1),
      () => (p.parts.at(1).level = 0.5),
      () => p.row.put(1, 256),
      () => p.row.set([1, 2, 3, 256]),
      () => p.set({ part: { level: 70_000 } }),
    ]) {
      expect(use).toThrow(bad);
    }
    expect(p.toObject()).toEqual({
      first: 0,
      part: { level: 0, deep: { tiny: 0 } },
      parts: Array(3).fill({ level: 0, deep: { tiny: 0 } }),
      row: [0, 0, 0, 0],
    });
  });

  test("are open to all hooks, also to those that run while the item is free", () => {
    using uma = Uma.create({ bytes: MiB });
    const seen: string[] = [];
    const zone = uma.open(
      defineZone("hooked", {
        type: struct({ part: Part, row: array(u8, 2) }),
        debug: true,
        init: (p) => void (p.part.deep.tiny = 5),
        ctor: (p) => p.row.put(1, p.part.deep.tiny),
        dtor: (p) => void seen.push(`dtor ${p.row.at(1)}`),
        fini: (p) => void seen.push(`fini ${p.part.deep.tiny}`),
      }),
    );
    zone.free(zone.alloc());
    zone.reclaim();
    expect(seen.slice(0, 2)).toEqual(["dtor 5", "fini 5"]);
  });
});

test("a reference to the wrong zone is refused also by a thread that has not opened the right one", () => {
  using uma = Uma.create({ bytes: MiB });
  const zone = uma.open(defineZone("referring", { type: struct({ owner: ref("elsewhere") }), debug: true, zero: true }));
  const stranger = uma.open(defineZone("strangers", { size: 16 })).alloc();
  const elsewhere = uma.open(defineZone("elsewhere", { size: 16 }));
  const item = elsewhere.alloc();
  elsewhere.close();
  const p = zone.at(zone.alloc());
  p.owner = item;
  expect(p.owner).toBe(item);
  expect(() => (p.owner = stranger as number)).toThrow(expect.objectContaining({ code: "ERR_UMA_VALUE" }));
  expect(() => (p.owner = stranger as number)).toThrow(/zone "strangers", not in "elsewhere"/);
  expect(() => (p.owner = 12)).toThrow(/no address/);
});

test("zones without debug do not pay: their items have nothing behind them", () => {
  using uma = Uma.create({ bytes: MiB });
  const size = struct({ a: f64, b: f64 }).size;
  expect(uma.open(defineZone("plain", { type: struct({ a: f64, b: f64 }) })).rsize).toBe(size);
  expect(uma.open(defineZone("debugged", { type: struct({ a: f64, b: f64 }), debug: true })).rsize).toBe(32);
});
