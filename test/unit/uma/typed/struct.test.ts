import { describe, expect, test } from "vitest";
import { array, bool, enumOf, f32, f64, i16, i32, i64, i8, ref, struct, text, u16, u32, u64, u8, UmaError } from "../../../../src/index.ts";

/** What offsetof and sizeof say of the same declaration, compiled by a C compiler for x86-64. */
describe("the layout of a struct follows C", () => {
  test("a byte before a double is padded to eight", () => {
    const s = struct({ a: u8, b: f64, c: u8 });
    expect(s.offsets).toEqual({ a: 0, b: 8, c: 16 });
    expect([s.size, s.align]).toEqual([24, 8]);
  });

  test("each scalar is aligned to its own size", () => {
    const s = struct({ a: i8, b: i16, c: u8, d: i32, e: bool, f: u16, g: u8, h: f32, i: u8, j: u64, k: u32, l: i64 });
    expect(s.offsets).toEqual({ a: 0, b: 2, c: 4, d: 8, e: 12, f: 14, g: 16, h: 20, i: 24, j: 32, k: 40, l: 48 });
    expect([s.size, s.align]).toEqual([56, 8]);
  });

  test("an array is aligned as its elements, a nested struct as its most aligned field", () => {
    const inner = struct({ a: u8, b: u32 });
    const s = struct({ a: u8, b: array(u16, 3), c: u8, d: inner, e: array(inner, 2), f: u8 });
    expect([inner.size, inner.align]).toEqual([8, 4]);
    expect(s.offsets).toEqual({ a: 0, b: 2, c: 8, d: 12, e: 20, f: 36 });
    expect([s.size, s.align]).toEqual([40, 4]);
  });

  test("text needs no alignment, names take a byte, references four", () => {
    const s = struct({ a: u8, name: text(7), kind: enumOf("x", "y"), next: ref("node") });
    expect(s.offsets).toEqual({ a: 0, name: 1, kind: 8, next: 12 });
    expect(s.size).toBe(16);
  });
});

describe("the hash of a layout", () => {
  test("is the same for the same declaration made twice", () => {
    const make = () => struct({ x: f32, name: text(8), pos: struct({ y: f64 }) });
    expect(make().hash).toBe(make().hash);
    expect(make().hash).not.toBe(0);
  });

  test.each([
    ["a name", struct({ x: f32, z: f32 })],
    ["a type of the same size", struct({ x: f32, y: i32 })],
    ["the order", struct({ y: f32, x: f32 })],
    ["a further field", struct({ x: f32, y: f32, z: f32 })],
    ["the names of an enum", struct({ x: enumOf("a", "b"), y: f32 })],
  ])("changes with %s", (_what, other) => {
    expect(other.hash).not.toBe(struct({ x: f32, y: f32 }).hash);
    expect(struct({ x: enumOf("b", "a"), y: f32 }).hash).not.toBe(struct({ x: enumOf("a", "b"), y: f32 }).hash);
    expect(struct({ r: ref("a") }).hash).not.toBe(struct({ r: ref("b") }).hash);
  });
});

describe("a definition that cannot be is refused with ERR_UMA_STRUCT", () => {
  test.each<[string, () => unknown]>([
    ["no fields", () => struct({})],
    ["no object", () => struct(7 as never)],
    ["a field of unknown type", () => struct({ a: "u8" as never })],
    ["a field that is null", () => struct({ a: null as never })],
    ["a name that begins with a digit", () => struct({ "1": u8 })],
    ["a name with a blank", () => struct({ "a b": u8 })],
    ["the name item, which views have", () => struct({ item: u8 })],
    ["the name constructor", () => struct({ constructor: u8 })],
    ["an array of length 0", () => array(u8, 0)],
    ["an array of half an element", () => array(u8, 1.5)],
    ["an array of no type", () => array({} as never, 2)],
    ["more than a gigabyte", () => struct({ a: array(array(f64, 2 ** 20), 2 ** 10) })],
    ["text of no length", () => text(0)],
    ["text with an unknown overflow", () => text(4, { overflow: "wrap" as never })],
    ["an enum without names", () => enumOf()],
    ["an enum with a name twice", () => enumOf("a", "a")],
    ["an enum of numbers", () => enumOf(1 as never)],
    ["an enum of 257 names", () => enumOf(...Array.from({ length: 257 }, (_, n) => `n${n}`))],
    ["a reference to nothing", () => ref("")],
    ["a reference to a number", () => ref(3 as never)],
  ])("%s", (_what, make) => {
    expect(make).toThrow(UmaError);
    expect(make).toThrow(expect.objectContaining({ code: "ERR_UMA_STRUCT" }));
  });
});
