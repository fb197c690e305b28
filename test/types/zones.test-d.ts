/** What the types of the public face promise to whoever writes against it. */
import { describe, expectTypeOf, test } from "vitest";
import {
  defineZone,
  type DeathPolicy,
  type Failure,
  type LeakReport,
  type MemoryBuffer,
  type Reclaimed,
  type RecoveryReport,
  type Ticket,
  Uma,
  type UmaError,
  type UmaErrorCode,
  type Verdict,
  type Views,
  type Zone,
  type ZoneStatistics,
} from "../../src/index.ts";

const definition = defineZone("typed", { size: 64 });

describe("a definition", () => {
  test("of bytes opens as a zone of addresses", () => {
    const uma = Uma.create();
    const zone = uma.open(definition);
    expectTypeOf(zone).toEqualTypeOf<Zone>();
    expectTypeOf(zone.alloc()).toEqualTypeOf<number>();
    expectTypeOf(zone.tryAlloc("argument")).toEqualTypeOf<number>();
    expectTypeOf(zone.free(0)).toEqualTypeOf<void>();
    expectTypeOf(zone.allocAsync()).toEqualTypeOf<Promise<number>>();
    expectTypeOf(zone.stats()).toEqualTypeOf<ZoneStatistics>();
    expectTypeOf(zone.reclaim()).toEqualTypeOf<Reclaimed>();
    expectTypeOf(zone.destroy({ force: true })).toEqualTypeOf<LeakReport>();
    expectTypeOf(zone.owned()).toExtend<Iterable<number>>();
  });

  test("needs a size, and knows its options", () => {
    // @ts-expect-error a size is needed
    defineZone("none", {});
    // @ts-expect-error sizes are numbers
    defineZone("text", { size: "64" });
    // @ts-expect-error there is no such option
    defineZone("unknown", { size: 64, colour: "red" });
    // @ts-expect-error a policy is one of two
    defineZone("policy", { size: 64, onDeath: "forget" });
    expectTypeOf<DeathPolicy>().toEqualTypeOf<"keep" | "free">();
  });

  test("types what its hooks get", () => {
    defineZone("hooks", {
      size: 64,
      init: (item, views) => {
        expectTypeOf(item).toEqualTypeOf<number>();
        expectTypeOf(views).toEqualTypeOf<Views>();
      },
      ctor: (item, arg, views) => {
        expectTypeOf(item).toEqualTypeOf<number>();
        expectTypeOf(arg).toEqualTypeOf<unknown>();
        expectTypeOf(views.i32).toEqualTypeOf<Int32Array>();
        return item > 0;
      },
      dtor: (_item, arg) => expectTypeOf(arg).toEqualTypeOf<unknown>(),
    });
    // @ts-expect-error a ctor accepts or refuses, it returns nothing else
    defineZone("hooks", { size: 64, ctor: () => 7 });
  });

  test("is a value that nobody changes", () => {
    // @ts-expect-error read only
    definition.size = 128;
  });
});

describe("the memory", () => {
  test("answers with what the documents say", () => {
    const uma = Uma.create({ bytes: 1 << 20, workers: 4 });
    expectTypeOf(uma.buffer).toEqualTypeOf<MemoryBuffer>();
    expectTypeOf(uma.ticket()).toEqualTypeOf<Ticket>();
    expectTypeOf(uma.lastFailure).toEqualTypeOf<Failure>();
    expectTypeOf(uma.verify()).toEqualTypeOf<Verdict>();
    expectTypeOf(uma.reap(3)).toEqualTypeOf<RecoveryReport | null>();
    expectTypeOf(uma.detach()).toEqualTypeOf<RecoveryReport>();
    expectTypeOf(uma.table()).toExtend<Iterable<string>>();
    expectTypeOf<Uma>().toExtend<Disposable>();
    expectTypeOf<Zone>().toExtend<Disposable>();
    expectTypeOf<"NONE" | "EMPTY" | "LIMIT" | "BUSY" | "REFUSED">().toEqualTypeOf<Failure>();
  });

  test("is made by create or attach, not by new", () => {
    // @ts-expect-error the constructor is private
    void new Uma();
    // @ts-expect-error a ticket is needed
    void Uma.attach();
    // @ts-expect-error one of two kinds
    void Uma.create({ kind: "wasm" });
  });
});

test("errors carry a literal code, and perhaps a zone and a number", () => {
  expectTypeOf<UmaError["code"]>().toEqualTypeOf<UmaErrorCode>();
  expectTypeOf<"ERR_UMA_DOUBLE_FREE">().toExtend<UmaErrorCode>();
  expectTypeOf<"ERR_NO_SUCH_CODE">().not.toExtend<UmaErrorCode>();
  expectTypeOf<UmaError["zone"]>().toEqualTypeOf<string | undefined>();
  expectTypeOf<UmaError["value"]>().toEqualTypeOf<number | undefined>();
});
