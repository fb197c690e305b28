import { expectTypeOf, test } from "vitest";
import { createObjectZone, defineObjectZone, type ObjectZone } from "../../src/index.ts";

test("an object zone infers its objects from create, and what alloc wants from ctor", () => {
  const zone = createObjectZone("z", {
    create: () => ({ x: 0, name: "" }),
    ctor: (o, arg: { x: number }) => {
      expectTypeOf(o).toEqualTypeOf<{ x: number; name: string }>();
      o.x = arg.x;
    },
    dtor: (o) => void (o.name = ""),
  });
  expectTypeOf(zone).toEqualTypeOf<ObjectZone<{ x: number; name: string }, { x: number }>>();
  expectTypeOf(zone.alloc({ x: 1 }).name).toBeString();
  expectTypeOf(zone.tryAlloc({ x: 1 })).toEqualTypeOf<{ x: number; name: string } | null>();
  // @ts-expect-error ctor has a use for it
  zone.alloc();
  // @ts-expect-error of another type
  zone.free({ y: 1 });
});

test("without a ctor alloc needs nothing, and definitions carry the types", () => {
  const definition = defineObjectZone("z", { create: () => new Map<string, number>() });
  const zone = createObjectZone(definition);
  expectTypeOf(zone.alloc()).toEqualTypeOf<Map<string, number>>();
});
