import { expect, test } from "vitest";
import { type Zone, defineCache, defineZone } from "../../../src/index.ts";
import { expectSound, makeUma } from "../../fixtures/zones.ts";

const coded = (code: string): unknown => expect.objectContaining({ code });

for (const checks of [true, false]) {
  for (const hook of ["ctor", "dtor"] as const) {
    test(`a ${hook} that would wait for an item of its own zone is refused (checks: ${checks})`, () => {
      const uma = makeUma();
      let own: Zone | null = null;
      let caught: unknown;
      const wait = (): void => {
        if (own === null) return;
        try {
          own.free(own.allocWait({ timeout: 2000 }));
        } catch (error) {
          caught = error;
        }
      };
      const zone = uma.open(defineZone("own", { size: 64, limit: 1, checks, [hook]: wait }));
      if (hook === "dtor") {
        const item = zone.alloc();
        own = zone;
        zone.free(item);
      } else {
        own = zone;
        zone.free(zone.alloc());
      }
      expect(caught).toEqual(coded("ERR_UMA_HOOK_RECURSION"));
      expect(zone.exhausted()).toBe(false);
      expectSound(uma);
      uma.detach();
    });
  }
}

test("a ctor may wait for an item of another zone, and its zone is not thought to be in a hook afterwards", () => {
  const uma = makeUma();
  const other = uma.open(defineZone("other", { size: 64, limit: 1 }));
  const held = other.alloc();
  const zone = uma.open(
    defineZone("waits", {
      size: 64,
      limit: 1,
      ctor: () => {
        expect(() => other.allocWait({ timeout: 1 })).toThrow(coded("ERR_UMA_TIMEOUT"));
      },
    }),
  );
  const item = zone.alloc();
  expect(() => zone.allocWait({ timeout: 1 })).toThrow(coded("ERR_UMA_TIMEOUT"));
  zone.free(item);
  other.free(held);
  expectSound(uma);
  uma.detach();
});

test("a cache zone's ctor is refused as well", () => {
  const uma = makeUma();
  const codes: string[] = [];
  const zone: Zone = uma.open(
    defineCache("cache", {
      limit: 1,
      import: (store) => ((store[0] = 7), 1),
      release: () => undefined,
      ctor: () => {
        try {
          zone.allocWait({ timeout: 1000 });
        } catch (error) {
          codes.push((error as { code: string }).code);
        }
      },
    }),
  );
  zone.free(zone.alloc());
  expect(codes).toEqual(["ERR_UMA_HOOK_RECURSION"]);
  expectSound(uma);
  uma.detach();
});
