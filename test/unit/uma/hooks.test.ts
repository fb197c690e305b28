import { describe, expect, test } from "vitest";
import { defineZone, type Uma, UmaCorruptionError, type Zone, type ZoneDefinition, type ZoneOptions } from "../../../src/index.ts";
import { KEG_IPERS } from "../../../src/backend/memory/layout.ts";
import { codeOf, errorOf } from "../../fixtures/codes.ts";
import { countsOf, expectSound, give, makeUma, secondWorker, take } from "../../fixtures/zones.ts";

type Hook = "ctor" | "dtor" | "init" | "fini";

/** A zone whose hooks keep a record, and hold every item to its life: init (ctor dtor)* fini. */
function recorded(size = 512, options: Partial<ZoneOptions> = {}) {
  const log: [Hook, number][] = [];
  const state = new Map<number, "born" | "built">();
  const step = (hook: Hook, item: number, from: string, to: "born" | "built" | "none"): void => {
    const now = state.get(item) ?? "none";
    if (now !== from) throw new Error(`${hook} of the item ${item}, which is ${now}`);
    if (to === "none") state.delete(item);
    else state.set(item, to);
    log.push([hook, item]);
  };
  const definition = defineZone("recorded", {
    size,
    init: (item) => step("init", item, "none", "born"),
    ctor: (item) => step("ctor", item, "born", "built"),
    dtor: (item) => step("dtor", item, "built", "born"),
    fini: (item) => step("fini", item, "born", "none"),
    ...options,
  });
  const count = (hook: Hook): number => log.filter(([which]) => which === hook).length;
  return { definition, log, count, state };
}

function open(uma: Uma, definition: ZoneDefinition): { zone: Zone; ipers: number } {
  const zone = uma.open(definition);
  return { zone, ipers: uma.core.floor.cells.i32[zone.keg + KEG_IPERS] as number };
}

describe("order and balance", () => {
  test.each([
    [512, {}],
    [24, {}],
    [6000, {}],
    [512, { bucket: 0 }],
    [512, { checks: false }],
  ])("every item of %d bytes (%o) is born once, built and destroyed in turns, and dies once", (size, options) => {
    const uma = makeUma();
    const { definition, count, state } = recorded(size, options);
    const { zone, ipers } = open(uma, definition);
    for (let round = 0; round < 4; round++) {
      const items = take(zone, 40);
      give(zone, round % 2 === 0 ? items : items.toReversed());
    }
    expect([count("ctor"), count("dtor")]).toEqual([160, 160]);
    expect(count("init")).toBe(zone.stats().slabs * ipers);
    expect(count("fini")).toBe(0);
    const { slabs } = zone.reclaim();
    expect(count("fini")).toBe(slabs * ipers);
    expect(count("fini")).toBe(count("init"));
    expect(state.size).toBe(0);
    expectSound(uma);
  });

  test("init runs from the slab's first item to its last, fini the other way", () => {
    const uma = makeUma();
    const { definition, log } = recorded();
    const { zone } = open(uma, definition);
    zone.free(zone.alloc());
    zone.reclaim();
    const items = (hook: Hook): number[] => log.filter(([which]) => which === hook).map(([, item]) => item);
    expect(items("init")).toEqual(items("init").toSorted((a, b) => a - b));
    expect(items("fini")).toEqual(items("init").toReversed());
  });

  test("ctor and dtor get the argument, and the views of the memory", () => {
    const uma = makeUma();
    const seen: unknown[] = [];
    const { zone } = open(
      uma,
      defineZone("args", {
        size: 16,
        init: (item, { i32 }) => void (i32[item >> 2] = 1),
        ctor: (item, arg, { i32 }) => {
          seen.push(arg);
          i32[item >> 2] = (i32[item >> 2] as number) + 10;
        },
        dtor: (item, arg, { i32 }) => {
          seen.push(arg);
          i32[item >> 2] = (i32[item >> 2] as number) + 100;
        },
      }),
    );
    const argument = { any: "thing" };
    const item = zone.alloc(argument);
    expect(uma.views.i32[item >> 2]).toBe(11);
    zone.free(item, "bye");
    expect(zone.tryAlloc(argument)).toBe(item);
    zone.free(item);
    expect(seen).toEqual([argument, "bye", argument, undefined]);
    expect(uma.views.i32[item >> 2]).toBe(221);
    expectSound(uma);
  });

  test("destroying a zone runs fini once over every item, and dtor over none", () => {
    const uma = makeUma();
    const { definition, count, state } = recorded();
    const { zone } = open(uma, definition);
    give(zone, take(zone, 100));
    zone.destroy();
    expect(count("fini")).toBe(count("init"));
    expect([state.size, count("dtor")]).toEqual([0, 100]);
    expectSound(uma);
  });

  test("by force, items that are out see neither dtor nor fini", () => {
    const uma = makeUma();
    const { definition, count, state } = recorded();
    const { zone } = open(uma, definition);
    const items = take(zone, 30);
    give(zone, items.splice(0, 10));
    const report = zone.destroy({ force: true });
    expect(report.outstanding).toBe(20);
    expect(count("dtor")).toBe(10);
    expect([...state.keys()].toSorted((a, b) => a - b)).toEqual(items.toSorted((a, b) => a - b));
    expectSound(uma);
  });
});

describe("a ctor that refuses", () => {
  const REFUSALS: [string, () => boolean][] = [
    ["by returning false", () => false],
    [
      "by throwing",
      () => {
        throw new RangeError("not today");
      },
    ],
  ];

  test.each(REFUSALS)("%s leaves every count as it was, and the item goes back without dtor", (_how, refuse) => {
    const uma = makeUma();
    let refusing = false;
    let dtors = 0;
    const { zone } = open(uma, defineZone("picky", { size: 64, ctor: () => (refusing ? refuse() : true), dtor: () => void dtors++ }));
    const held = take(zone, 5);
    const before = countsOf(zone);
    refusing = true;
    for (let n = 0; n < 10; n++) {
      let thrown: unknown;
      try {
        expect(zone.tryAlloc()).toBe(0);
        expect(uma.lastFailure).toBe("REFUSED");
      } catch (error) {
        thrown = error;
      }
      if (thrown !== undefined) expect(thrown).toMatchObject({ code: "ERR_UMA_HOOK", zone: "picky", cause: { message: "not today" } });
      expect(codeOf(() => zone.alloc())).toBe("ERR_UMA_HOOK");
    }
    expect(countsOf(zone)).toEqual(before);
    expect(zone.stats().fail).toBe(20);
    expect(dtors).toBe(0);
    expectSound(uma);
    refusing = false;
    const again = zone.alloc();
    expect(held).not.toContain(again);
    give(zone, [...held, again]);
    expect(dtors).toBe(6);
    expectSound(uma);
  });

  test("without buckets the item goes back to its slab at once", () => {
    const uma = makeUma();
    const { zone } = open(uma, defineZone("picky", { size: 64, bucket: 0, ctor: () => false }));
    expect(zone.tryAlloc()).toBe(0);
    expect(zone.stats()).toMatchObject({ used: 0, requests: 0, fail: 1, freeInCaches: 0 });
    expectSound(uma);
  });

  test("what it threw is told with zone, item and cause", () => {
    const uma = makeUma();
    const cause = new Error("why");
    let at = 0;
    const { zone } = open(
      uma,
      defineZone("picky", {
        size: 64,
        ctor: (item) => {
          at = item;
          throw cause;
        },
      }),
    );
    const error = errorOf(() => zone.alloc());
    expect(error).toMatchObject({ code: "ERR_UMA_HOOK", zone: "picky", value: at, cause });
    expect(error.message).toContain("ctor");
    expectSound(uma);
  });
});

describe("an init that refuses", () => {
  test.each([0, 1, 3, 7])("at the slab's item %d: fini for those before it, the pages go back, and nothing is counted", (nth) => {
    const uma = makeUma();
    const { definition, log, count } = recorded(512);
    const refusing = defineZone("refusing", {
      size: 512,
      init: (item) => {
        if (count("init") === nth) return false;
        definition.init?.(item, uma.views);
        return true;
      },
      fini: (item) => definition.fini?.(item, uma.views),
    });
    const { zone } = open(uma, refusing);
    const heap = uma.stats().heapInUse;
    expect(zone.tryAlloc()).toBe(0);
    expect(uma.lastFailure).toBe("REFUSED");
    expect(countsOf(zone)).toEqual({ used: 0, requests: 0, xdomain: 0, slabs: 0, pages: 0 });
    expect([count("init"), count("fini")]).toEqual([nth, nth]);
    expect(log.filter(([hook]) => hook === "fini").map(([, item]) => item)).toEqual(
      log
        .filter(([hook]) => hook === "init")
        .map(([, item]) => item)
        .toReversed(),
    );
    // Pages of pools stay; those of the slab are back.
    expect(uma.stats().heapInUse - heap).toBeLessThanOrEqual(2 * 4096);
    expect(errorOf(() => zone.prealloc(10))).toMatchObject({ code: "ERR_UMA_HOOK", zone: "refusing", value: 10 });
    expectSound(uma);
  });

  test("that throws is told with zone, item and cause; later ones may accept", () => {
    const uma = makeUma();
    let calls = 0;
    const cause = new Error("no");
    const { zone } = open(
      uma,
      defineZone("throwing", {
        size: 1024,
        init: () => {
          if (calls++ === 2) throw cause;
        },
      }),
    );
    const error = errorOf(() => zone.alloc());
    expect(error).toMatchObject({ code: "ERR_UMA_HOOK", zone: "throwing", cause });
    expect(error.message).toContain("init");
    expectSound(uma);
    zone.free(zone.alloc());
    expect(zone.stats()).toMatchObject({ used: 0, requests: 1, slabs: 1 });
    expectSound(uma);
  });
});

describe("a dtor or fini that throws", () => {
  test("dtor: the item is free all the same, and the caller is told", () => {
    const uma = makeUma();
    const cause = new Error("late");
    let throwing = true;
    const { zone } = open(
      uma,
      defineZone("throwing", {
        size: 64,
        dtor: () => {
          if (throwing) throw cause;
        },
      }),
    );
    const items = take(zone, 3);
    const error = errorOf(() => zone.free(items[0] as number));
    expect(error).toMatchObject({ code: "ERR_UMA_HOOK", zone: "throwing", value: items[0], cause });
    expect(zone.stats().used).toBe(2);
    expect(errorOf(() => zone.free(items[0] as number))).toBeInstanceOf(UmaCorruptionError);
    expectSound(uma);
    throwing = false;
    give(zone, items.slice(1));
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
  });

  test("fini: the slabs die all the same, the first failure is told when all is done, and no other zone hears of it", () => {
    const uma = makeUma();
    let finis = 0;
    const { zone } = open(
      uma,
      defineZone("throwing", {
        size: 1024,
        fini: (item) => {
          finis++;
          if (finis % 3 === 1) throw new Error(`fini ${item}`);
        },
      }),
    );
    give(zone, take(zone, 12));
    const items = zone.stats().free;
    const error = errorOf(() => zone.reclaim());
    expect(error).toMatchObject({ code: "ERR_UMA_HOOK", zone: "throwing" });
    expect(finis).toBe(items);
    expect(zone.stats()).toMatchObject({ slabs: 0, free: 0 });
    expectSound(uma);
    const { zone: other } = open(uma, defineZone("other", { size: 64 }));
    other.free(other.alloc());
    expect(other.reclaim().slabs).toBe(1);
  });

  test("fini while a birth is undone: what init said is told, not what fini said, now or later", () => {
    const uma = makeUma();
    let inits = 0;
    const { zone } = open(
      uma,
      defineZone("both", {
        size: 1024,
        init: () => ++inits < 3,
        fini: () => {
          throw new Error("fini");
        },
      }),
    );
    expect(zone.tryAlloc()).toBe(0);
    expect(uma.lastFailure).toBe("REFUSED");
    const { zone: other } = open(uma, defineZone("other", { size: 64 }));
    other.free(other.alloc());
    expect(other.reclaim().slabs).toBe(1);
    expectSound(uma);
  });

  test("fini in destroy: the zone is gone, then the caller is told", () => {
    const uma = makeUma();
    const { zone } = open(
      uma,
      defineZone("throwing", {
        size: 1024,
        fini: () => {
          throw new Error("no");
        },
      }),
    );
    zone.free(zone.alloc());
    expect(codeOf(() => zone.destroy())).toBe("ERR_UMA_HOOK");
    expect(uma.stats().zones).toEqual([]);
    expectSound(uma);
  });
});

describe("hooks that use zones", () => {
  test("every hook may use another zone, which may have to grow, and whose hooks may use a third", () => {
    const uma = makeUma();
    const third = uma.open(defineZone("third", { size: 2000 }));
    const { definition, state } = recorded(3000, {
      ctor: (item) => {
        definition0.ctor?.(item, undefined, uma.views);
        third.free(third.alloc());
      },
    });
    const definition0 = recordedCtor(state);
    const other = uma.open(definition);
    const held: number[] = [];
    const use = (): void => void held.push(other.alloc());
    const zone = uma.open(
      defineZone("using", {
        size: 700,
        init: use,
        ctor: use,
        dtor: () => other.free(held.pop() as number),
        fini: () => other.free(held.pop() as number),
      }),
    );
    const items = take(zone, 60);
    expect(other.stats().used).toBe(held.length);
    expectSound(uma);
    give(zone, items);
    zone.reclaim();
    expect([held.length, other.stats().used, third.stats().used]).toEqual([0, 0, 0]);
    other.reclaim();
    expect(state.size).toBe(0);
    expectSound(uma);
  });

  test("zones whose inits build each other's slabs stack up as deep as there are frames, and deeper is refused whole", () => {
    const uma = makeUma();
    const chain = (depth: number): { first: Zone; all: Zone[] } => {
      const all: Zone[] = [];
      for (let n = 0; n < depth; n++) {
        const inner = all.at(-1);
        all.push(uma.open(defineZone(`${depth}: zone ${n}`, { size: 4096, init: () => void inner?.alloc() })));
      }
      return { first: all.at(-1) as Zone, all };
    };
    const deep = chain(5);
    expect(deep.first.alloc()).toBeGreaterThan(0);
    expectSound(uma);
    const tooDeep = chain(12);
    const error = errorOf(() => tooDeep.first.alloc());
    expect(error.code).toBe("ERR_UMA_HOOK");
    expect(JSON.stringify(causes(error))).toContain("ERR_UMA_HOOK_RECURSION");
    // The zones below the ones that were refused have what they gave.
    for (const zone of tooDeep.all.slice(8)) expect(zone.stats().slabs).toBe(0);
    expectSound(uma);
  });

  test("a ctor may allocate from its own zone, a dtor may free to it", () => {
    const uma = makeUma();
    const { views } = uma;
    const zone: Zone = uma.open(
      defineZone("tree", {
        size: 64,
        ctor: (item, arg, { i32 }) => {
          const depth = arg as number;
          i32[item >> 2] = depth > 0 ? zone.alloc(depth - 1) : 0;
        },
        dtor: (item, _arg, { i32 }) => {
          const child = i32[item >> 2] as number;
          if (child !== 0) zone.free(child);
        },
      }),
    );
    const root = zone.alloc(600);
    expect(zone.stats()).toMatchObject({ used: 601, requests: 601 });
    let length = 0;
    for (let item = root; item !== 0; item = views.i32[item >> 2] as number) length++;
    expect(length).toBe(601);
    expectSound(uma);
    zone.free(root);
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
  });

  test("a ctor that allocates from its own zone and then refuses loses nothing", () => {
    const uma = makeUma();
    const inner: number[] = [];
    const zone: Zone = uma.open(
      defineZone("half", {
        size: 64,
        ctor: (_item, arg) => {
          if (arg === "inner") return true;
          inner.push(zone.alloc("inner"));
          return false;
        },
      }),
    );
    for (let n = 0; n < 300; n++) expect(zone.tryAlloc()).toBe(0);
    expect(zone.stats()).toMatchObject({ used: 300, requests: 300, fail: 300 });
    give(zone, inner);
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
  });

  test.each(["init", "fini"] as const)("an %s that uses its own zone in any way is told so, and the zone stays sound", (hook) => {
    const uma = makeUma();
    const codes: string[] = [];
    let item = 0;
    let armed = false;
    const zone: Zone = uma.open(
      defineZone("own", {
        size: 256,
        [hook]: () => {
          if (!armed) return;
          const uses = [
            () => zone.alloc(),
            () => zone.tryAlloc(),
            () => zone.free(item),
            () => zone.prealloc(1),
            () => zone.reclaim(),
            () => zone.close(),
            () => zone.destroy({ force: true }),
            () => zone.transfer(item, 1),
            () => zone.adopt(item),
            () => zone.owned(),
            () => zone.setAllocf(() => 0),
            () => uma.detach(),
          ];
          for (const use of uses) codes.push(codeOf(use));
        },
      }),
    );
    give(zone, take(zone, 40));
    item = zone.alloc();
    armed = true;
    zone.prealloc(zone.stats().freeInSlabs + 1);
    zone.reclaim();
    armed = false;
    expect(codes.length % 12).toBe(0);
    expect(codes.length).toBeGreaterThan(0);
    expect(new Set(codes)).toEqual(new Set(["ERR_UMA_HOOK_RECURSION"]));
    zone.free(item);
    give(zone, take(zone, 40));
    expectSound(uma);
  });

  test("an init that lets the refusal through is itself told as the failed hook", () => {
    const uma = makeUma();
    const zone: Zone = uma.open(defineZone("own", { size: 256, init: () => void zone.alloc() }));
    const error = errorOf(() => zone.alloc());
    expect(error.code).toBe("ERR_UMA_HOOK");
    expect(error.cause).toMatchObject({ code: "ERR_UMA_HOOK_RECURSION", zone: "own" });
    expect(countsOf(zone)).toMatchObject({ used: 0, requests: 0, slabs: 0 });
    expectSound(uma);
  });

  test("an item given back while its zone's init runs goes to its slab, and no bucket is lost", () => {
    const uma = makeUma();
    let due = 0;
    const other = uma.open(defineZone("other", { size: 64, dtor: () => void 0 }));
    const zone: Zone = uma.open(
      defineZone("zone", {
        size: 128,
        dtor: () => undefined,
        init: () => {
          if (due === 0) return;
          // As another zone's slow path would: finish what was left of a free of this zone.
          uma.core.unfinished.push({ zone, item: due });
          due = 0;
          other.reclaim();
        },
      }),
    );
    const items = take(zone, 200);
    give(zone, items.splice(0, 100));
    const item = items.pop() as number;
    // The free of this one was cut short after dtor: BUSY in this worker's name.
    const { u8 } = uma.core.floor.cells;
    u8[uma.core.slabs.markOf(item, zone.shift)] = uma.slot | 0x80;
    due = item;
    zone.prealloc(zone.stats().freeInSlabs + 1);
    expect(uma.core.unfinished).toEqual([]);
    expect(zone.stats().used).toBe(items.length);
    expectSound(uma);
    give(zone, items);
    zone.reclaim();
    expect(zone.stats().slabs).toBe(0);
    expectSound(uma);
  });

  test("a poll from within an init leaves that zone alone", () => {
    const uma = makeUma();
    let polls = 0;
    const zone = uma.open(
      defineZone("zone", {
        size: 64,
        init: () => {
          polls++;
          uma.poll();
        },
      }),
    );
    give(zone, take(zone, 500));
    expect(polls).toBeGreaterThan(500);
    expectSound(uma);
  });

  test("a ctor that closes its zone, and a dtor that does, end in a typed error or none, and lose nothing", () => {
    const uma = makeUma();
    const definition: ZoneDefinition = defineZone("closing", {
      size: 64,
      ctor: (_item, arg) => arg !== "close" || (zone.close(), false),
      dtor: (_item, arg) => arg === "close" && zone.close(),
    });
    let zone: Zone = uma.open(definition);
    const held = take(zone, 5);
    expect(zone.tryAlloc("close")).toBe(0);
    expectSound(uma);
    zone = uma.open(definition);
    expect(zone.stats().used).toBe(5);
    zone.free(held.pop() as number, "close");
    expect(zone.closed).toBe(true);
    expectSound(uma);
    zone = uma.open(definition);
    expect(zone.stats().used).toBe(4);
    give(zone, held);
    expect(zone.stats().used).toBe(0);
    expectSound(uma);
  });

  test("a dtor that destroys its own zone by force takes the item along", () => {
    const uma = makeUma();
    const zone: Zone = uma.open(defineZone("end", { size: 64, dtor: () => void zone.destroy({ force: true }) }));
    const items = take(zone, 5);
    zone.free(items[0] as number);
    expect(zone.closed).toBe(true);
    expect(uma.stats().zones).toEqual([]);
    expectSound(uma);
    const next = uma.open(defineZone("next", { size: 64 }));
    give(next, take(next, 300));
    expectSound(uma);
  });

  test("a ctor that destroys its own zone by force and refuses takes the item along", () => {
    const uma = makeUma();
    const zone: Zone = uma.open(defineZone("end", { size: 64, ctor: () => (zone.destroy({ force: true }), false) }));
    expect(zone.tryAlloc()).toBe(0);
    expect(uma.stats().zones).toEqual([]);
    expectSound(uma);
  });
});

function recordedCtor(state: Map<number, "born" | "built">): ZoneDefinition {
  return defineZone("step", {
    size: 1,
    ctor: (item) => {
      if (state.get(item) !== "born") throw new Error("built twice");
      state.set(item, "built");
    },
  });
}

function causes(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let at = error as { code?: string; cause?: unknown } | undefined; at !== undefined; at = at.cause as typeof at) chain.push(at.code);
  return chain;
}

test("a dtor that throws while this worker does what others have asked for keeps it from nothing but that moment", async () => {
  const uma = makeUma();
  const other = await secondWorker(uma);
  let bad = true;
  const of = (dtor: () => void) => defineZone("asked", { size: 64, smr: true, dtor });
  const zone = uma.open(
    of(() => {
      if (!bad) return;
      bad = false;
      throw new Error("once");
    }),
  );
  const theirs = other.open(of(() => undefined));
  zone.freeSmr(zone.allocSmr());
  theirs.reclaim("drain-cpu");
  theirs.destroy();
  expect(() => uma.poll()).toThrow(expect.objectContaining({ code: "ERR_UMA_HOOK" }));
  expect(zone.closed).toBe(false);
  uma.poll();
  expect(zone.closed).toBe(true);
  expect(uma.stats().zones).toEqual([]);
  expectSound(uma);
});
