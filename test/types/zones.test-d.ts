import { describe, expectTypeOf, test } from "vitest";
import {
  array,
  bool,
  type Cells,
  type Column,
  defineZone,
  enumOf,
  f32,
  f64,
  type Handle,
  i64,
  type Item,
  ref,
  struct,
  text,
  u16,
  u8,
  type Uma,
  type ViewOfZone,
  type Zone,
  type ZoneOf,
} from "../../src/index.ts";

declare const uma: Uma;

const Owner = defineZone("owner", { type: struct({ name: text(8) }) });
const Particle = defineZone("particle", {
  type: struct({
    x: f32,
    on: bool,
    kind: enumOf("spark", "smoke"),
    big: i64,
    owner: ref(Owner),
    next: ref("particle"),
    pos: struct({ a: f64, b: f64 }),
    tail: array(u16, 4),
    path: array(struct({ q: u8 }), 2),
    label: text(4),
  }),
  ctor: (p, arg: { x: number; name?: string }) => {
    expectTypeOf(p.kind).toEqualTypeOf<"spark" | "smoke">();
    p.x = arg.x;
  },
  dtor: (p, why: string | undefined) => {
    expectTypeOf(p.tail.at(0)).toBeNumber();
    expectTypeOf(why).toEqualTypeOf<string | undefined>();
  },
});
const particles = uma.open(Particle);
const p = particles.at(particles.alloc({ x: 1 }));

describe("a view", () => {
  test("has each field with the type that it was declared with", () => {
    expectTypeOf(p.x).toEqualTypeOf<number>();
    expectTypeOf(p.on).toEqualTypeOf<boolean>();
    expectTypeOf(p.kind).toEqualTypeOf<"spark" | "smoke">();
    expectTypeOf(p.big).toEqualTypeOf<bigint>();
    expectTypeOf(p.owner).toEqualTypeOf<Item<"owner">>();
    expectTypeOf(p.next).toEqualTypeOf<Item<"particle">>();
    expectTypeOf(p.pos).toEqualTypeOf<{ a: number; b: number }>();
    expectTypeOf(p.label).toEqualTypeOf<string>();
    expectTypeOf(p.tail).toExtend<Cells<number>>();
    expectTypeOf(p.path.at(0)).toEqualTypeOf<{ q: number }>();
    expectTypeOf(p.item).toEqualTypeOf<Item<"particle">>();
  });

  test("takes values of those types only", () => {
    p.pos = { a: 1, b: 2 };
    p.set({ pos: { a: 1 }, tail: [1, 2], path: [{ q: 1 }], kind: "smoke" });
    p.set(particles.view());
    // @ts-expect-error no such name
    p.kind = "fire";
    // @ts-expect-error no such field
    p.set({ y: 1 });
    // @ts-expect-error no number
    p.x = "1";
    // @ts-expect-error an array is set by its elements
    p.tail = particles.view().tail;
  });

  test("copies out plain values", () => {
    expectTypeOf(p.toObject().pos).toEqualTypeOf<{ a: number; b: number }>();
    expectTypeOf(p.toObject().tail).toEqualTypeOf<number[]>();
    expectTypeOf(p.toObject().path).toEqualTypeOf<{ q: number }[]>();
  });

  test("is what iteration gives", () => {
    for (const q of particles) expectTypeOf(q).toEqualTypeOf<typeof p>();
    particles.forEach((q) => expectTypeOf(q).toEqualTypeOf<typeof p>());
    expectTypeOf<ViewOfZone<typeof Particle>>().toEqualTypeOf<typeof p>();
  });
});

describe("items", () => {
  test("of one zone are not taken for another's, numbers are", () => {
    const owners = uma.open(Owner);
    const owner = owners.alloc();
    p.owner = owner;
    owners.free(owner);
    owners.free(4096);
    // @ts-expect-error an item of another zone
    particles.free(owner);
    // @ts-expect-error an item of another zone
    p.next = owner;
    // @ts-expect-error an item of another zone
    owners.at(p.item);
  });
});

describe("alloc", () => {
  test("wants what ctor declares", () => {
    expectTypeOf(particles.alloc({ x: 1 })).toEqualTypeOf<Item<"particle">>();
    // @ts-expect-error ctor has a use for it
    particles.alloc();
    // @ts-expect-error of another type
    particles.tryAlloc({ x: "1" });
    particles.free(0, "why");
    // @ts-expect-error of another type
    particles.free(0, 1);
    uma.open(Owner).alloc();
  });

  test("of a zone of bytes takes anything", () => {
    const bytes = uma.open(defineZone("bytes", { size: 8, ctor: (item, arg, views) => void (views.i32[item >> 2] = Number(arg)) }));
    expectTypeOf(bytes).toExtend<Zone>();
    expectTypeOf(bytes.alloc(1)).toBeNumber();
    // @ts-expect-error no fields are known
    bytes.at(0);
  });
});

describe("columns", () => {
  test("are typed arrays of the fields' kinds; texts have none", () => {
    expectTypeOf(particles.columns.x).toEqualTypeOf<Column<Float32Array>>();
    expectTypeOf(particles.columns.pos.a).toEqualTypeOf<Column<Float64Array>>();
    expectTypeOf(particles.columns.tail).toEqualTypeOf<Column<Uint16Array>>();
    expectTypeOf(particles.columns).not.toHaveProperty("label");
    expectTypeOf(Particle.type.offsets.kind).toBeNumber();
    // @ts-expect-error no such field
    void Particle.type.offsets.y;
  });
});

describe("handles", () => {
  const Shot = defineZone("shot", { type: struct({ x: f32 }), handles: true, ctor: (q, x: number) => void (q.x = x) });
  const shots = uma.open(Shot);

  test("are there when they were asked for", () => {
    expectTypeOf(shots.allocHandle(1)).toEqualTypeOf<Handle<"shot">>();
    expectTypeOf(shots.get(shots.allocHandle(1))).toEqualTypeOf<Item<"shot">>();
    expectTypeOf(uma.open(defineZone("t", { size: 8, handles: true })).get(0)).toEqualTypeOf<Item<"t">>();
    // @ts-expect-error not asked for
    particles.allocHandle();
    // @ts-expect-error ctor has a use for an argument
    shots.allocHandle();
  });

  test("are not taken for items, nor for another zone's", () => {
    const handle = shots.allocHandle(1);
    // @ts-expect-error a handle is no address
    shots.at(handle);
    // @ts-expect-error an address is no handle
    shots.get(shots.alloc(1));
    // @ts-expect-error another zone's
    uma.open(defineZone("t", { size: 8, handles: true })).get(handle);
  });

  test("come with the zone's type", () => {
    expectTypeOf<ZoneOf<typeof Shot>>().toEqualTypeOf<typeof shots>();
  });
});
