import { describe, expect, test } from "vitest";
import {
  array,
  bool,
  defineZone,
  f32,
  f64,
  ref,
  struct,
  text,
  u16,
  u32,
  u64,
  u8,
  Uma,
  type ZoneDefinition,
} from "../../../../src/index.ts";

const MiB = 2 ** 20;
const Body = struct({ x: f32, y: f32, mass: f64, id: u32 });

describe("a definition", () => {
  test.each<[string, object]>([
    ["type", { type: { size: 8 } }],
    ["size", { type: Body, size: 8 }],
    ["handles", { type: Body, handles: 1 }],
    ["debug", { size: 8, debug: "yes" }],
    ["checks", { size: 8, handles: true, checks: false }],
    ["checks", { type: Body, debug: true, checks: false }],
    ["ctor", { type: Body, ctor: 7 }],
    ["limit", { type: Body, limit: -1 }],
    ["size", {}],
  ])("with a bad option %s is refused, and the error names it", (option, options) => {
    expect(() => defineZone("z", options as never)).toThrow(expect.objectContaining({ code: "ERR_UMA_OPTION" }));
    expect(() => defineZone("z", options as never)).toThrow(`option ${option} `);
  });

  test("of bytes only stays what it was: no face, nothing hidden", () => {
    expect(defineZone("z", { size: 24 })).toMatchObject({ size: 24, hidden: 0, face: null, counting: null });
  });

  test("is a frozen value that serves several memories in one thread", () => {
    const Z = defineZone("z", { type: Body, ctor: (p, id: number) => void (p.id = id) });
    expect(Object.isFrozen(Z)).toBe(true);
    using a = Uma.create({ bytes: MiB });
    using b = Uma.create({ bytes: MiB });
    const [za, zb] = [a.open(Z), b.open(Z)];
    const [ia, ib] = [za.alloc(1), zb.alloc(2)];
    expect([za.at(ia).id, zb.at(ib).id]).toEqual([1, 2]);
    expect(a.open(Z)).toBe(za);
  });
});

describe("hooks of typed zones", () => {
  test("get a view of the item and what alloc and free were given", () => {
    using uma = Uma.create({ bytes: MiB });
    const seen: unknown[] = [];
    const zone = uma.open(
      defineZone("z", {
        type: Body,
        init: (p) => p.set({ x: 1, y: 2, mass: 3, id: 4 }),
        ctor: (p, arg: { id: number }) => {
          seen.push(["ctor", p.item, p.mass]);
          p.id = arg.id;
        },
        dtor: (p, why?: string) => void seen.push(["dtor", p.item, p.id, why]),
        fini: (p) => void seen.push(["fini", p.x]),
      }),
    );
    const item = zone.alloc({ id: 9 });
    expect(zone.at(item).toObject()).toEqual({ x: 1, y: 2, mass: 3, id: 9 });
    zone.free(item, "done");
    expect(seen).toEqual([
      ["ctor", item, 3],
      ["dtor", item, 9, "done"],
    ]);
    zone.reclaim();
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toEqual(["fini", 1]);
    expect(uma.verify().problems).toEqual([]);
  });

  test("never move the caller's view, nor each other's, even when a ctor allocates from its own zone", () => {
    using uma = Uma.create({ bytes: MiB });
    const order: number[] = [];
    const Node = defineZone("node", {
      type: struct({ depth: u8, next: ref("node") }),
      ctor: (p, depth: number) => {
        p.depth = depth;
        p.next = depth > 0 ? zone.alloc(depth - 1) : 0;
        order.push(p.depth);
      },
      dtor: (p) => {
        const { next } = p;
        if (next !== 0) zone.free(next);
        order.push(p.depth);
      },
    });
    const zone = uma.open(Node);
    const other = zone.alloc(0);
    const view = zone.at(other);
    const chain = zone.alloc(3);
    expect(view.item).toBe(other);
    expect(order.splice(0)).toEqual([0, 0, 1, 2, 3]);
    zone.free(chain);
    expect(order).toEqual([0, 1, 2, 3]);
    expect(view.item).toBe(other);
    expect(zone.stats().used).toBe(1);
  });

  test("that refuse or throw leave every count as it was", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(
      defineZone("z", {
        type: Body,
        ctor: (_p, how: "accept" | "refuse" | "throw") => {
          if (how === "throw") throw new Error("no");
          return how === "accept";
        },
      }),
    );
    expect(zone.tryAlloc("refuse")).toBe(0);
    expect(() => zone.alloc("refuse")).toThrow(expect.objectContaining({ code: "ERR_UMA_HOOK" }));
    expect(() => zone.alloc("throw")).toThrow(expect.objectContaining({ code: "ERR_UMA_HOOK" }));
    expect(zone.stats()).toMatchObject({ used: 0, requests: 0, fail: 3 });
    zone.free(zone.alloc("accept"));
    expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0 });
  });
});

describe("views and columns", () => {
  test("at moves one view, view makes another", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("z", { type: Body }));
    const [a, b] = [zone.alloc(), zone.alloc()];
    const mine = zone.view(a);
    expect(zone.at(a)).toBe(zone.at(b));
    expect(mine).not.toBe(zone.at(a));
    zone.at(a).x = 1;
    zone.at(b).x = 2;
    expect([mine.x, mine.at(b).x, mine.item]).toEqual([1, 2, b]);
  });

  test("columns address the field of any item, nested and in arrays", () => {
    using uma = Uma.create({ bytes: MiB });
    const type = struct({ on: bool, pos: struct({ x: f64, y: f64 }), tail: array(u16, 4), big: u64, name: text(3) });
    const zone = uma.open(defineZone("z", { type }));
    const items = Array.from({ length: 20 }, () => zone.alloc());
    const { on, pos, tail, big } = zone.columns;
    expect(zone.columns).not.toHaveProperty("name");
    for (const [n, item] of items.entries()) {
      zone.at(item).set({ on: n % 2 === 0, pos: { y: n }, tail: [0, 0, n], big: BigInt(n) });
      expect(on.view[(item >> on.shift) + on.offset]).toBe(n % 2 === 0 ? 1 : 0);
      expect(pos.y.view[(item >> pos.y.shift) + pos.y.offset]).toBe(n);
      expect(tail.view[(item >> tail.shift) + tail.offset + 2]).toBe(n);
      expect(big.view[(item >> big.shift) + big.offset]).toBe(BigInt(n));
    }
    expect(pos.x.stride * 8).toBe(zone.rsize);
  });
});

describe("walking over live items", () => {
  const open = (uma: Uma) => uma.open(defineZone("z", { type: struct({ id: u32 }), ctor: (p, id: number) => void (p.id = id) }));

  test("meets each once, in address order, and none that is free", () => {
    using uma = Uma.create({ bytes: 4 * MiB });
    const zone = open(uma);
    uma.open(defineZone("between", { size: 3000 })).prealloc(10);
    const items = Array.from({ length: 5000 }, (_, n) => zone.alloc(n));
    const kept = items.filter((item, n) => n % 3 !== 0 || (zone.free(item), false));
    const met: number[] = [];
    for (const p of zone) met.push(p.item);
    expect(met).toEqual(kept.toSorted((a, b) => a - b));
    const ids = new Set<number>();
    zone.forEach((p, item) => {
      expect(p.item).toBe(item);
      ids.add(p.id);
    });
    expect(ids.size).toBe(kept.length);
    expect(kept.every((item) => ids.has(zone.at(item).id))).toBe(true);
  });

  test("works for items as large as several pages", () => {
    using uma = Uma.create({ bytes: 4 * MiB });
    const zone = uma.open(defineZone("z", { type: struct({ id: u32, rest: array(u8, 9000) }) }));
    const items = Array.from({ length: 9 }, () => zone.alloc());
    zone.free(items[4] as number);
    const met: number[] = [];
    zone.forEach((_p, item) => void met.push(item));
    expect(met).toEqual(items.filter((_, n) => n !== 4).toSorted((a, b) => a - b));
  });

  test("in slices goes on where it stopped, while items come and go", () => {
    using uma = Uma.create({ bytes: 4 * MiB });
    const zone = open(uma);
    const items = Array.from({ length: 1000 }, (_, n) => zone.alloc(n)).toSorted((a, b) => a - b);
    const met: number[] = [];
    const stay = new Set(items.filter((_, n) => n % 2 === 0));
    let from = 0;
    let slices = 0;
    do {
      from = zone.forEach((_p, item) => void met.push(item), { from, items: 64 });
      slices++;
      for (const item of items.splice(-30)) if (!stay.has(item)) zone.free(item);
      for (let n = 0; n < 10; n++) zone.alloc(5000 + n);
    } while (from !== 0);
    expect(slices).toBeGreaterThan(8);
    expect(met).toEqual([...new Set(met)].toSorted((a, b) => a - b));
    expect([...stay].every((item) => met.includes(item))).toBe(true);
  });

  test("lets the visitor free what it meets, and give slabs back", () => {
    using uma = Uma.create({ bytes: 4 * MiB });
    const zone = open(uma);
    for (let n = 0; n < 3000; n++) zone.alloc(n);
    for (const p of zone) {
      const { id } = p;
      zone.free(p.item);
      if (id % 500 === 0) zone.reclaim();
    }
    zone.reclaim();
    expect(zone.stats()).toMatchObject({ used: 0, slabs: 0 });
    expect(uma.verify().problems).toEqual([]);
    expect([...zone]).toEqual([]);
  });

  test("does not meet an item that is still in its ctor", () => {
    using uma = Uma.create({ bytes: MiB });
    const met: number[] = [];
    const visit = (): void => void zone.forEach((_p, item) => void met.push(item));
    const zone = uma.open(defineZone("z", { type: struct({ id: u32 }), ctor: () => visit() }));
    const first = zone.alloc();
    zone.alloc();
    expect(met).toEqual([first]);
  });

  test("is refused where checks are off: nobody knows what is live", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("z", { type: Body, checks: false }));
    expect(() => zone.forEach(() => undefined)).toThrow(expect.objectContaining({ code: "ERR_UMA_OPTION" }));
    expect(() => [...zone]).toThrow(expect.objectContaining({ code: "ERR_UMA_OPTION" }));
  });
});

describe("a zone that exists", () => {
  test.each<[string, ZoneDefinition<unknown>]>([
    ["other fields of the same size", defineZone("z", { type: struct({ a: f32, b: u32 }) })],
    ["no fields", defineZone("z", { size: 8 })],
    ["handles", defineZone("z", { type: struct({ a: u32, b: f32 }), handles: true })],
    ["debugging", defineZone("z", { type: struct({ a: u32, b: f32 }), debug: true })],
  ])("is not opened by a definition with %s", (_what, other) => {
    using uma = Uma.create({ bytes: MiB });
    uma.open(defineZone("z", { type: struct({ a: u32, b: f32 }) }));
    expect(() => uma.open(other)).toThrow(expect.objectContaining({ code: "ERR_UMA_ZONE_MISMATCH", zone: "z" }));
    uma.open(defineZone("z", { type: struct({ a: u32, b: f32 }) }));
  });
});
