import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createObjectZone, defineObjectZone, type ObjectZone, UmaCorruptionError } from "../../../../src/index.ts";

class Shot {
  x = 0;
  target: object | null = null;
}

const make = (): ObjectZone<Shot> => createObjectZone("shots", { create: () => new Shot() });
const code = (name: string): unknown => expect.objectContaining({ code: name });

describe("an object zone", () => {
  test("hands out the objects that were freed, the last first, and makes one only when none is free", () => {
    const zone = make();
    const [a, b] = [zone.alloc(), zone.acquire()];
    expect(a).toBeInstanceOf(Shot);
    zone.free(a);
    zone.release(b);
    expect(zone.alloc()).toBe(b);
    expect(zone.alloc()).toBe(a);
    expect(zone.alloc()).not.toBe(a);
    expect(zone.stats()).toEqual({ name: "shots", limit: 0, used: 3, free: 0, requests: 5, fail: 0, created: 3, dropped: 0 });
  });

  test("leaves no trace on an object that anybody would stumble over", () => {
    const zone = make();
    const shot = zone.alloc();
    expect(Object.keys(shot)).toEqual(["x", "target"]);
    expect(JSON.stringify(shot)).toBe('{"x":0,"target":null}');
    const copy = Object.assign(new Shot(), shot);
    expect(() => zone.free(copy)).toThrow(code("ERR_UMA_FOREIGN"));
  });

  test("refuses an object that is free already, another zone's, or nobody's, and nothing changes", () => {
    const zone = make();
    const other = make();
    const shot = zone.alloc();
    zone.free(shot);
    expect(() => zone.free(shot)).toThrow(UmaCorruptionError);
    expect(() => zone.release(shot)).toThrow(code("ERR_UMA_DOUBLE_FREE"));
    for (const foreign of [other.alloc(), new Shot(), null, undefined, 7]) {
      expect(() => zone.free(foreign as Shot)).toThrow(code("ERR_UMA_FOREIGN"));
    }
    expect(zone.stats()).toMatchObject({ used: 0, free: 1 });
    expect(other.stats()).toMatchObject({ used: 1, free: 0 });
    expect(zone.alloc()).toBe(shot);
  });

  test("runs init and fini once for each object, ctor and dtor at every use", () => {
    const seen: string[] = [];
    const zone = createObjectZone("hooked", {
      create: () => ({ id: 0 }),
      init: (o) => void (o.id = seen.push("init")),
      ctor: (o, arg: string) => void seen.push(`ctor ${o.id} ${arg}`),
      dtor: (o) => void seen.push(`dtor ${o.id}`),
      fini: (o) => void seen.push(`fini ${o.id}`),
    });
    zone.prealloc(1);
    zone.free(zone.alloc("a"));
    zone.free(zone.alloc("b"));
    expect(zone.reclaim()).toBe(1);
    expect(seen).toEqual(["init", "ctor 1 a", "dtor 1", "ctor 1 b", "dtor 1", "fini 1"]);
    expect(zone.stats()).toMatchObject({ used: 0, free: 0, created: 1, dropped: 1 });
  });

  test("keeps its counts when hooks refuse or throw", () => {
    let ctor: boolean | "throw" = false;
    let init = true;
    const zone = createObjectZone("refusing", {
      create: () => new Shot(),
      init: () => init,
      reset: () => {
        if (ctor === "throw") throw new Error("no");
        return ctor;
      },
      dtor: () => {
        throw new Error("never");
      },
    });
    expect(zone.tryAlloc()).toBeNull();
    expect(() => zone.alloc()).toThrow(code("ERR_UMA_HOOK"));
    ctor = "throw";
    expect(() => zone.alloc()).toThrow(code("ERR_UMA_HOOK"));
    expect(zone.stats()).toMatchObject({ used: 0, free: 1, requests: 0, fail: 3, created: 1 });
    ctor = true;
    const shot = zone.alloc();
    expect(() => zone.free(shot)).toThrow(code("ERR_UMA_HOOK"));
    expect(zone.stats()).toMatchObject({ used: 0, free: 1, requests: 1 });
    init = false;
    zone.alloc();
    expect(zone.tryAlloc()).toBeNull();
    expect(() => zone.prealloc(1)).toThrow(code("ERR_UMA_HOOK"));
    expect(zone.stats()).toMatchObject({ used: 1, free: 0, requests: 2, created: 1 });
  });

  test("lets hooks use the zone itself", () => {
    const zone: ObjectZone<{ inner: object | null }, number> = createObjectZone("nested", {
      create: () => ({ inner: null as object | null }),
      ctor: (o, depth: number) => void (o.inner = depth > 0 ? zone.alloc(depth - 1) : null),
      dtor: (o) => {
        if (o.inner !== null) zone.free(o.inner as { inner: object | null });
      },
    });
    for (let n = 0; n < 3; n++) {
      const chain = zone.alloc(4);
      expect(zone.stats().used).toBe(5);
      zone.free(chain);
      expect(zone.stats()).toMatchObject({ used: 0, free: 5 });
    }
  });

  test("has no more objects than its limit, and keeps no more free ones than it may", () => {
    let finis = 0;
    const zone = createObjectZone("limited", { create: () => new Shot(), limit: 3, maxFree: 2, prealloc: 1, fini: () => void finis++ });
    expect(zone.stats()).toMatchObject({ free: 1, created: 1 });
    const shots = [zone.alloc(), zone.alloc(), zone.alloc()];
    expect(zone.tryAlloc()).toBeNull();
    expect(() => zone.alloc()).toThrow(code("ERR_UMA_LIMIT"));
    expect(() => zone.prealloc(1)).toThrow(code("ERR_UMA_LIMIT"));
    for (const shot of shots) zone.free(shot);
    expect(zone.stats()).toMatchObject({ used: 0, free: 2, dropped: 1, fail: 2 });
    expect(finis).toBe(1);
    expect(zone.alloc()).toBe(shots[1]);
  });

  test("behaves as a stack of free objects does, over any order of calls", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant("alloc"), fc.constant("reclaim"), fc.nat(20)), { maxLength: 200 }), (calls) => {
        const zone = createObjectZone("model", { create: () => new Shot(), limit: 12 });
        const out: Shot[] = [];
        let free: Shot[] = [];
        for (const call of calls) {
          if (call === "reclaim") {
            expect(zone.reclaim(2)).toBe(Math.max(0, free.length - 2));
            free = free.slice(-2);
          } else if (call === "alloc") {
            const expected = free.pop();
            const shot = zone.tryAlloc();
            if (expected !== undefined) expect(shot).toBe(expected);
            expect(shot === null).toBe(expected === undefined && out.length === 12);
            if (shot !== null) out.push(shot);
          } else if (out.length > 0) {
            const [shot] = out.splice(Number(call) % out.length, 1) as [Shot];
            zone.free(shot);
            free.push(shot);
          }
          expect(zone.stats()).toMatchObject({ used: out.length, free: free.length });
        }
        expect(new Set(out).size).toBe(out.length);
      }),
    );
  });
});

describe("the end of an object zone", () => {
  test("is refused while objects are out, unless forced, and tells where they were allocated", () => {
    const zone = createObjectZone("leaky", { create: () => new Shot(), track: true });
    const leak = (): Shot => zone.alloc();
    leak();
    leak();
    zone.free(zone.alloc());
    const [site, ...more] = zone.leaks().sites;
    expect(more).toHaveLength(1);
    expect(site?.site).toContain("leak");
    expect(site?.site).toContain("object-zone.test.ts");
    expect(() => zone.destroy()).toThrow(code("ERR_UMA_OUTSTANDING"));
    expect(() => zone.destroy()).toThrow(/2 objects out.*\n1 allocated at .*leak/);
    expect(zone.destroy({ force: true }).outstanding).toBe(2);
  });

  test("lets all free objects go, and refuses further use", () => {
    let finis = 0;
    const zone = createObjectZone("ended", { create: () => new Shot(), prealloc: 4, fini: () => void finis++ });
    const late = zone.alloc();
    expect(zone.destroy({ force: true })).toEqual({ zone: "ended", outstanding: 1, sites: [] });
    expect(finis).toBe(3);
    expect(() => zone.alloc()).toThrow(code("ERR_UMA_ZONE_CLOSED"));
    expect(() => zone.prealloc(1)).toThrow(code("ERR_UMA_ZONE_CLOSED"));
    zone.free(late);
    expect(finis).toBe(4);
    expect(zone.stats()).toMatchObject({ used: 0, free: 0 });
  });

  test("comes with the end of its block", () => {
    let finis = 0;
    {
      using zone = createObjectZone("scoped", { create: () => new Shot(), fini: () => void finis++ });
      zone.free(zone.alloc());
    }
    expect(finis).toBe(1);
  });
});

describe("a definition of an object zone", () => {
  test("can be made into zones of their own", () => {
    const Shots = defineObjectZone("shots", { create: () => new Shot(), prealloc: 2 });
    const [a, b] = [createObjectZone(Shots), createObjectZone(Shots)];
    expect(() => b.free(a.alloc())).toThrow(code("ERR_UMA_FOREIGN"));
    expect(b.stats().free).toBe(2);
  });

  test.each<[string, object]>([
    ["create", {}],
    ["init", { create: Object, init: 1 }],
    ["reset", { create: Object, ctor: () => true, reset: () => true }],
    ["limit", { create: Object, limit: -1 }],
    ["maxFree", { create: Object, maxFree: 0.5 }],
    ["prealloc", { create: Object, prealloc: 3, limit: 2 }],
    ["track", { create: Object, track: 1 }],
  ])("with a bad option %s is refused", (option, options) => {
    expect(() => defineObjectZone("z", options as never)).toThrow(`option ${option} `);
    expect(() => defineObjectZone("z", options as never)).toThrow(code("ERR_UMA_OPTION"));
  });

  test.each<[string, () => unknown]>([
    ["a number", () => 7],
    ["a frozen object", () => Object.freeze({})],
    ["nothing", () => undefined],
  ])("whose create returns %s is found out at once", (_what, create) => {
    const zone = createObjectZone("z", { create: create as () => object });
    expect(() => zone.alloc()).toThrow(code("ERR_UMA_HOOK"));
    expect(zone.stats()).toMatchObject({ used: 0, free: 0, created: 0 });
  });

  test("whose create returns the same object twice is found out, too", () => {
    const one = {};
    const zone = createObjectZone("z", { create: () => one });
    zone.alloc();
    expect(() => zone.alloc()).toThrow(code("ERR_UMA_HOOK"));
  });
});
