import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  array,
  bool,
  defineZone,
  enumOf,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  ref,
  struct,
  text,
  u16,
  u32,
  u64,
  u8,
  Uma,
} from "../../../../src/index.ts";

const MiB = 2 ** 20;
const VALUE = expect.objectContaining({ code: "ERR_UMA_VALUE" });

describe("fields", () => {
  test("of all kinds keep what is stored in them, and lie where the offsets say, whatever their neighbours", () => {
    const kinds = {
      u8: [u8, fc.integer({ min: 0, max: 255 }), "getUint8"],
      i8: [i8, fc.integer({ min: -128, max: 127 }), "getInt8"],
      u16: [u16, fc.integer({ min: 0, max: 65535 }), "getUint16"],
      i16: [i16, fc.integer({ min: -32768, max: 32767 }), "getInt16"],
      u32: [u32, fc.integer({ min: 0, max: 2 ** 32 - 1 }), "getUint32"],
      i32: [i32, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), "getInt32"],
      f32: [f32, fc.float(), "getFloat32"],
      f64: [f64, fc.double(), "getFloat64"],
      u64: [u64, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), "getBigUint64"],
      i64: [i64, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), "getBigInt64"],
    } as const;
    const kind = fc.constantFrom(...(Object.keys(kinds) as (keyof typeof kinds)[]));
    const field = kind.chain((name) => (kinds[name][1] as fc.Arbitrary<number | bigint>).map((value) => ({ name, value })));
    fc.assert(
      fc.property(fc.array(field, { minLength: 1, maxLength: 12 }), (fields) => {
        using uma = Uma.create({ bytes: MiB, kind: "array" });
        const type = struct(Object.fromEntries(fields.map(({ name }, n) => [`f${n}`, kinds[name][0]])));
        const zone = uma.open(defineZone("z", { type }));
        const item = zone.alloc();
        const view = zone.at(item) as Record<string, unknown>;
        for (const [n, { value }] of fields.entries()) view[`f${n}`] = value;
        const bytes = new DataView(uma.buffer as ArrayBuffer);
        for (const [n, { name, value }] of fields.entries()) {
          expect(view[`f${n}`]).toBe(value);
          expect(bytes[kinds[name][2]](item + (type.offsets[`f${n}`] as number), true)).toBe(value);
        }
        zone.free(item);
        expect(uma.verify()).toMatchObject({ ok: true, outstanding: 0 });
      }),
      { numRuns: 60 },
    );
  });

  test("of truth values and names are a byte: 0 and 1, and the place among the names", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("z", { type: struct({ on: bool, state: enumOf("idle", "busy", "gone") }), zero: true }));
    const p = zone.at(zone.alloc());
    expect([p.on, p.state]).toEqual([false, "idle"]);
    p.on = true;
    p.state = "gone";
    expect([...uma.views.u8.subarray(p.item, p.item + 2)]).toEqual([1, 2]);
    expect(() => (p.state = "lost" as never)).toThrow(VALUE);
    expect(p.state).toBe("gone");
    uma.views.u8[p.item + 1] = 9;
    expect(() => p.state).toThrow(VALUE);
  });

  test("integers too large are cut to their low bits, as typed arrays do", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("z", { type: struct({ a: u8, b: i16 }) }));
    const p = zone.at(zone.alloc());
    p.a = 300;
    p.b = 40000;
    expect([p.a, p.b]).toEqual([44, -25536]);
  });
});

describe("text", () => {
  const open = (uma: Uma) => uma.open(defineZone("z", { type: struct({ name: text(8), cut: text(8, { overflow: "truncate" }) }) }));

  test("of any characters comes back as it went in, if it fits", () => {
    using uma = Uma.create({ bytes: MiB });
    const p = open(uma).view();
    p.item = open(uma).alloc();
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 8 }), (value) => {
        const bytes = new TextEncoder().encode(value);
        if (value.includes("\0")) {
          expect(() => (p.name = value)).toThrow(VALUE);
        } else if (bytes.length > 8) {
          const before = p.name;
          expect(() => (p.name = value)).toThrow(VALUE);
          expect(p.name).toBe(before);
          p.cut = value;
          expect(value.startsWith(p.cut)).toBe(true);
          expect(new TextEncoder().encode(p.cut).length).toBeGreaterThan(4);
        } else {
          p.name = value;
          expect(p.name).toBe(value);
          expect([...uma.views.u8.subarray(p.item, p.item + bytes.length)]).toEqual([...bytes]);
        }
      }),
    );
  });

  test("that is too long is refused with both lengths, or cut behind the last whole character", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const p = zone.at(zone.alloc());
    p.name = "12345678";
    expect(() => (p.name = "123456789")).toThrow(/name of zone "z".*9 bytes; 8 fit/);
    p.cut = "1234567é";
    expect(p.cut).toBe("1234567");
    p.cut = "12345😀";
    expect(p.cut).toBe("12345");
    expect([p.name, p.cut]).toEqual(["12345678", "12345"]);
  });

  test("with half a surrogate pair, or that is no string, is refused", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = open(uma);
    const p = zone.at(zone.alloc());
    for (const bad of ["\ud800", "a\udc00b", 7, null]) expect(() => (p.name = bad as string)).toThrow(VALUE);
  });
});

describe("arrays and nested structs", () => {
  const Point = struct({ x: f32, y: f32 });
  const Shape = defineZone("shape", {
    type: struct({ pos: Point, scores: array(u16, 3), path: array(Point, 2), grid: array(array(u8, 2), 2), tags: array(text(4), 2) }),
    zero: true,
  });

  test("are read and written through the view", () => {
    using uma = Uma.create({ bytes: MiB });
    const shapes = uma.open(Shape);
    const p = shapes.at(shapes.alloc());
    p.pos.x = 1;
    p.pos = { x: 2, y: 3 };
    p.scores.put(1, 7);
    p.scores.set([5]);
    p.path.at(1).y = 9;
    p.path.put(0, { x: 4, y: 4 });
    p.grid.at(1).put(0, 8);
    p.tags.put(1, "ab");
    expect(p.toObject()).toEqual({
      pos: { x: 2, y: 3 },
      scores: [5, 7, 0],
      path: [
        { x: 4, y: 4 },
        { x: 0, y: 9 },
      ],
      grid: [
        [0, 0],
        [8, 0],
      ],
      tags: ["", "ab"],
    });
    expect([...p.scores]).toEqual([5, 7, 0]);
  });

  test("move with their view, and each view has parts of its own", () => {
    using uma = Uma.create({ bytes: MiB });
    const shapes = uma.open(Shape);
    const [a, b] = [shapes.alloc(), shapes.alloc()];
    const [p, q] = [shapes.view(a), shapes.view(b)];
    const scores = p.scores;
    p.pos.x = 1;
    q.pos.x = 2;
    q.scores.put(0, 6);
    expect([p.pos.x, q.pos.x, scores.at(0)]).toEqual([1, 2, 0]);
    p.at(b);
    expect([p.pos.x, p.scores.at(0)]).toEqual([2, 6]);
  });

  test("refuse an index that is none, and values that do not fit, and change nothing", () => {
    using uma = Uma.create({ bytes: MiB });
    const shapes = uma.open(Shape);
    const p = shapes.at(shapes.alloc());
    for (const index of [-1, 3, 0.5, Number.NaN, "0" as never]) {
      expect(() => p.scores.at(index)).toThrow(VALUE);
      expect(() => p.scores.put(index, 1)).toThrow(VALUE);
    }
    expect(() => p.scores.set([1, 2, 3, 4])).toThrow(VALUE);
    expect(() => p.scores.set([1, -2])).toThrow(VALUE);
    expect(() => p.tags.set(["ab", "abcde"])).toThrow(VALUE);
    expect(() => (p.pos = { x: "1" as never, y: 2 })).toThrow(VALUE);
    expect(p.toObject()).toMatchObject({ scores: [0, 0, 0], tags: ["", ""], pos: { x: 0, y: 0 } });
  });
});

describe("set", () => {
  test("stores the fields that it is given, and none when one of them is refused", () => {
    using uma = Uma.create({ bytes: MiB });
    const zone = uma.open(defineZone("z", { type: struct({ a: u8, b: f32, name: text(4), big: i64 }), zero: true }));
    const p = zone.at(zone.alloc());
    p.set({ a: 1, big: -5n });
    expect(p.toObject()).toEqual({ a: 1, b: 0, name: "", big: -5n });
    expect(() => p.set({ a: 2, name: "too long" })).toThrow(VALUE);
    expect(() => p.set({ a: 256 })).toThrow(/a of zone "z".*256/);
    expect(() => p.set({ a: 2, c: 1 } as never)).toThrow(/c of zone "z".*no such field/);
    expect(() => p.set({ b: "1" as never })).toThrow(VALUE);
    expect(() => p.set({ big: 2n ** 63n })).toThrow(VALUE);
    expect(() => p.set(null as never)).toThrow(VALUE);
    expect(p.toObject()).toEqual({ a: 1, b: 0, name: "", big: -5n });
  });

  test("copies from another view", () => {
    using uma = Uma.create({ bytes: MiB });
    const Z = defineZone("z", { type: struct({ a: u8, v: struct({ x: f32 }), l: array(u8, 2), r: ref("z") }), zero: true });
    const zone = uma.open(Z);
    const [p, q] = [zone.view(zone.alloc()), zone.view(zone.alloc())];
    p.set({ a: 1, v: { x: 2 }, l: [3, 4], r: p.item });
    q.set(p);
    expect(q.toObject()).toEqual({ a: 1, v: { x: 2 }, l: [3, 4], r: p.item });
  });
});
