import { describe, expect, test } from "vitest";
import { defineZone, type ZoneOptions } from "../../../src/index.ts";
import { BUCKET_MAX_ITEMS } from "../../../src/backend/memory/layout.ts";
import { bucketRange, checkDefinition, hookBits } from "../../../src/uma/definition.ts";
import { codeOf, errorOf } from "../../fixtures/codes.ts";

const nothing = (): void => undefined;

describe("a definition", () => {
  test("is a frozen value with everything filled in", () => {
    const definition = defineZone("small", { size: 24 });
    expect(definition).toMatchObject({ name: "small", size: 24, align: 16, limit: 0, ctor: null, dtor: null, init: null, fini: null });
    expect(Object.isFrozen(definition)).toBe(true);
  });

  test("keeps its hooks", () => {
    const hooks = { ctor: nothing, dtor: nothing, init: nothing, fini: nothing };
    expect(defineZone("hooked", { size: 24, ...hooks })).toMatchObject(hooks);
  });

  test("says in bits which hooks it has, each in one of its own", () => {
    const bits = (options: Partial<ZoneOptions>): number => hookBits(defineZone("hooked", { size: 8, ...options }));
    const single = [
      { ctor: nothing },
      { dtor: nothing },
      { init: nothing },
      { fini: nothing },
      { allocPages: () => 0, freePages: nothing },
    ];
    expect(bits({})).toBe(0);
    expect(new Set(single.map(bits)).size).toBe(5);
    expect(bits(Object.assign({}, ...single) as ZoneOptions)).toBe(single.reduce((sum, hook) => sum | bits(hook), 0));
  });

  test("takes names of one byte to 128 bytes of UTF-8", () => {
    for (const name of ["x", "a".repeat(128), "ü".repeat(64), "粒子"]) expect(defineZone(name, { size: 1 }).name).toBe(name);
  });
});

const BAD: [string, string, unknown][] = [
  ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 30 + 1, 2 ** 40, "64", null, undefined].map(
    (size): [string, string, unknown] => ["size", "1 to 1073741824", size],
  ),
  ...[0, 3, 24, -16, 8192, 1.5, Number.NaN, "16", null].map((align): [string, string, unknown] => ["align", "a power of two", align]),
  ...[-1, 1.5, Number.NaN, 2 ** 31, "7", null].map((limit): [string, string, unknown] => ["limit", "0 (no limit) to 2147483647", limit]),
  ...[-1, 1.5, Number.NaN, BUCKET_MAX_ITEMS + 1, "7", null].map((bucket): [string, string, unknown] => [
    "bucket",
    "0 (no buckets)",
    bucket,
  ]),
  ...[-1, 0.5, Number.NaN, 2 ** 31, null].map((maxCache): [string, string, unknown] => ["maxCache", "0 (no bound)", maxCache]),
  ...["ctor", "dtor", "init", "fini"].flatMap((hook) =>
    [1, "f", {}, true, null].map((given): [string, string, unknown] => [hook, "a function", given]),
  ),
  ...["zero", "zinit", "checks", "nofree"].flatMap((flag) =>
    [1, "yes", null, {}].map((given): [string, string, unknown] => [flag, "true or false", given]),
  ),
  ...["drop", 1, null].map((policy): [string, string, unknown] => ["onDeath", '"keep" or "free"', policy]),
  ["allocPages", "given together with freePages", () => 0],
];

describe("an option out of range", () => {
  test.each(BAD)("%s (allowed: %s) refuses %o", (option, allowed, given) => {
    const error = errorOf(() => defineZone("bad", { size: 64, [option]: given }));
    expect(error.code).toBe("ERR_UMA_OPTION");
    expect(error.zone).toBe("bad");
    expect(error.message).toContain(option);
    expect(error.message).toContain(allowed);
    if (typeof given === "number") expect(error.value).toBe(given);
  });

  test.each(["", "a".repeat(129), "ü".repeat(65), 7, null, undefined, {}])("as a name, %o is refused", (name) => {
    expect(codeOf(() => defineZone(name as string, { size: 1 }))).toBe("ERR_UMA_OPTION");
  });

  test.each([null, undefined, 64, "64"])("%o instead of options is refused", (options) => {
    expect(codeOf(() => defineZone("bad", options as never))).toBe("ERR_UMA_OPTION");
  });

  test("freePages alone is refused, as are free-on-death without checks", () => {
    expect(codeOf(() => defineZone("bad", { size: 1, freePages: nothing }))).toBe("ERR_UMA_OPTION");
    expect(codeOf(() => defineZone("bad", { size: 1, checks: false, onDeath: "free" }))).toBe("ERR_UMA_OPTION");
  });
});

describe("the check of what open is given", () => {
  test("takes what defineZone made, and a copy of it", () => {
    const definition = defineZone("copied", { size: 64 });
    expect(() => checkDefinition(definition)).not.toThrow();
    expect(() => checkDefinition({ ...definition })).not.toThrow();
  });

  test.each([undefined, null, 7, "zone", {}, { name: "x" }, { name: "x", size: 64 }, { name: "x", size: Number.NaN, align: 16 }])(
    "refuses %o",
    (value) => {
      expect(codeOf(() => checkDefinition(value))).toBe("ERR_UMA_OPTION");
    },
  );
});

describe("bucket capacities", () => {
  test("shrink with the item's size, never below one nor above what a bucket holds", () => {
    let before = BUCKET_MAX_ITEMS;
    for (const size of [16, 64, 65, 128, 129, 256, 512, 1024, 2048, 4096, 4097, 1 << 20]) {
      const { start, max } = bucketRange(size, -1);
      expect(start).toBeLessThanOrEqual(before);
      expect(start).toBeGreaterThanOrEqual(1);
      expect(max).toBe(BUCKET_MAX_ITEMS);
      before = start;
    }
  });

  test("are bounded by the option, down to none", () => {
    expect(bucketRange(16, 5)).toEqual({ start: 5, max: 5 });
    expect(bucketRange(16, 0)).toEqual({ start: 0, max: 0 });
    expect(bucketRange(8192, 5)).toEqual({ start: 1, max: 5 });
  });
});
