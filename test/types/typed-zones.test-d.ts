/** What the types of structs, views, references and handles promise: nothing is written twice, and nothing is taken for another. */
import { describe, expectTypeOf, test } from "vitest";
import {
  array,
  bool,
  type Cells,
  type Column,
  defineZone,
  enumOf,
  f32,
  type Handle,
  i64,
  type Item,
  ref,
  struct,
  text,
  u16,
  u64,
  u8,
  Uma,
  type ViewOfZone,
  type Zone,
  type ZoneOf,
} from "../../src/index.ts";

const Vector = struct({ x: f32, y: f32 });
const Ship = defineZone("ship", { type: struct({ position: Vector, hull: u8 }) });
const Boat = defineZone("boat", {
  type: struct({
    position: Vector,
    state: enumOf("docked", "sailing"),
    armed: bool,
    cargo: array(u16, 4),
    path: array(Vector, 8),
    name: text(12),
    target: ref("boat"),
    ship: ref(Ship),
    big: u64,
    signed: i64,
  }),
  ctor: (p, name: string) => {
    expectTypeOf(p.name).toEqualTypeOf<string>();
    p.name = name;
  },
  dtor: (p, why?: "sunk" | "sold") => {
    expectTypeOf(why).toEqualTypeOf<"sunk" | "sold" | undefined>();
    expectTypeOf(p.armed).toEqualTypeOf<boolean>();
  },
  handles: true,
});

describe("a struct", () => {
  test("says the type of each field by itself", () => {
    type View = ViewOfZone<typeof Boat>;
    expectTypeOf<View["position"]["x"]>().toEqualTypeOf<number>();
    expectTypeOf<View["state"]>().toEqualTypeOf<"docked" | "sailing">();
    expectTypeOf<View["armed"]>().toEqualTypeOf<boolean>();
    expectTypeOf<View["cargo"]>().toExtend<Cells<number>>();
    expectTypeOf<ReturnType<View["path"]["at"]>["y"]>().toEqualTypeOf<number>();
    expectTypeOf<View["name"]>().toEqualTypeOf<string>();
    expectTypeOf<View["big"]>().toEqualTypeOf<bigint>();
    expectTypeOf<View["signed"]>().toEqualTypeOf<bigint>();
    expectTypeOf<View["target"]>().toEqualTypeOf<Item<"boat">>();
    expectTypeOf<View["ship"]>().toEqualTypeOf<Item<"ship">>();
  });

  test("has offsets by name, and a size", () => {
    expectTypeOf(Boat.type.offsets.position).toEqualTypeOf<number>();
    expectTypeOf(Vector.offsets).toEqualTypeOf<{ readonly x: number; readonly y: number }>();
    // @ts-expect-error there is no such field
    void Vector.offsets.z;
    // @ts-expect-error a field has a type
    struct({ x: "f32" });
    // @ts-expect-error a size and a struct are one too many
    defineZone("both", { type: Vector, size: 8 });
  });
});

describe("a typed zone", () => {
  test("wants what its hooks declare, and gives items of its own", () => {
    const boats = Uma.create().open(Boat);
    expectTypeOf(boats).toEqualTypeOf<ZoneOf<typeof Boat>>();
    const boat = boats.alloc("Argo");
    expectTypeOf(boat).toEqualTypeOf<Item<"boat">>();
    boats.free(boat, "sold");
    // @ts-expect-error ctor has a use for a name
    boats.alloc();
    // @ts-expect-error names are strings
    boats.alloc(7);
    // @ts-expect-error dtor knows two reasons
    boats.free(boat, "burnt");
    const plain = Uma.create().open(defineZone("plain", { type: Vector }));
    plain.alloc();
    expectTypeOf(Uma.create().open(defineZone("bytes", { size: 8 }))).toEqualTypeOf<Zone>();
  });

  test("shows fields that can be set as they are read, whole or in part, and none that are not there", () => {
    const boats = Uma.create().open(Boat);
    const p = boats.at(boats.alloc("Argo"));
    p.set({ position: { x: 1 }, cargo: [1, 2], state: "sailing", big: 1n });
    p.position = { x: 1, y: 2 };
    expectTypeOf(p.toObject().path).toEqualTypeOf<{ x: number; y: number }[]>();
    // @ts-expect-error one of two names
    p.state = "flying";
    // @ts-expect-error a bigint
    p.big = 1;
    // @ts-expect-error there is no such field
    p.speed = 1;
    // @ts-expect-error there is no such field
    p.set({ speed: 1 });
    // @ts-expect-error elements are put, the array stays
    p.cargo = [1];
    boats.forEach((q, item) => {
      expectTypeOf(q).toEqualTypeOf<ViewOfZone<typeof Boat>>();
      expectTypeOf(item).toEqualTypeOf<Item<"boat">>();
    });
    for (const q of boats) expectTypeOf(q.item).toEqualTypeOf<Item<"boat">>();
  });

  test("has a column for each number, nested as its struct is, and none for text", () => {
    const { columns } = Uma.create().open(Boat);
    expectTypeOf(columns.position.x).toEqualTypeOf<Column<Float32Array>>();
    expectTypeOf(columns.cargo).toEqualTypeOf<Column<Uint16Array>>();
    expectTypeOf(columns.path.y).toEqualTypeOf<Column<Float32Array>>();
    expectTypeOf(columns.big).toEqualTypeOf<Column<BigUint64Array>>();
    expectTypeOf(columns.state).toEqualTypeOf<Column<Uint8Array>>();
    // @ts-expect-error text has none
    void columns.name;
  });
});

describe("items, references and handles", () => {
  test("of one zone are not taken for another's", () => {
    const uma = Uma.create();
    const boats = uma.open(Boat);
    const ships = uma.open(Ship);
    const boat = boats.alloc("Argo");
    const ship = ships.alloc();
    const p = boats.at(boat);
    p.ship = ship;
    p.target = boat;
    // @ts-expect-error a ship is no boat
    p.target = ship;
    // @ts-expect-error a boat is no ship
    ships.free(boat);
    // @ts-expect-error a boat is no ship
    ships.at(boat);
  });

  test("a handle is no item, and zones have them only if asked", () => {
    const uma = Uma.create();
    const boats = uma.open(Boat);
    const ships = uma.open(Ship);
    const handle = boats.allocHandle("Argo");
    expectTypeOf(handle).toEqualTypeOf<Handle<"boat">>();
    expectTypeOf(boats.get(handle)).toEqualTypeOf<Item<"boat">>();
    expectTypeOf(boats.handleOf(boats.alloc("Argo"))).toEqualTypeOf<Handle<"boat">>();
    boats.freeHandle(handle, "sunk");
    // @ts-expect-error a handle is no item
    boats.free(handle);
    // @ts-expect-error an item is no handle
    boats.get(boats.alloc("Argo"));
    // @ts-expect-error not asked for
    ships.allocHandle();
    // @ts-expect-error a ctor wants its argument here, too
    boats.allocHandle();
  });
});
