import { describe, expect, test } from "vitest";
import { defineZone, type Ticket, Uma, UmaCorruptionError, type Zone, type ZoneOptions } from "../../../src/index.ts";
import { LAYOUT_VERSION, PAGE_BYTES } from "../../../src/backend/memory/layout.ts";
import { errorOf } from "../../fixtures/codes.ts";
import { anotherCopy, countsOf, expectSound, makeUma, take } from "../../fixtures/zones.ts";

const KINDS: [string, Partial<ZoneOptions>][] = [
  ["plain", {}],
  ["hooked", { ctor: () => true, dtor: () => undefined }],
  ["without buckets", { bucket: 0 }],
  ["of large items", { size: 5000 }],
];

/** A zone with items outstanding, cached and free, and a neighbour. */
function scene(options: Partial<ZoneOptions>) {
  const uma = makeUma();
  const zone = uma.open(defineZone("zone", { size: 80, ...options }));
  const other = uma.open(defineZone("other", { size: 48 }));
  const items = take(zone, 20);
  const freed = items.pop() as number;
  zone.free(freed);
  return { uma, zone, other, item: items[0] as number, freed, foreign: other.alloc() };
}

type Scene = ReturnType<typeof scene>;

const WRONG_FREES: [string, (s: Scene) => unknown, string][] = [
  ["an item already free", (s) => s.freed, "ERR_UMA_DOUBLE_FREE"],
  ["another zone's item", (s) => s.foreign, "ERR_UMA_WRONG_ZONE"],
  ["an address inside an item", (s) => s.item + 16, "ERR_UMA_ADDRESS"],
  ["an address one byte off", (s) => s.item + 1, "ERR_UMA_ADDRESS"],
  ["an address in the superblock", () => 64, "ERR_UMA_ADDRESS"],
  ["an address in a page of no zone", (s) => s.uma.core.floor.geometry.heapEnd - PAGE_BYTES, "ERR_UMA_ADDRESS"],
  ["the end of the heap", (s) => s.uma.core.floor.geometry.heapEnd, "ERR_UMA_ADDRESS"],
  ["an address beyond the memory", () => 2 ** 30, "ERR_UMA_ADDRESS"],
  ["NaN", () => Number.NaN, "ERR_UMA_ADDRESS"],
  ["−1", () => -1, "ERR_UMA_ADDRESS"],
  ["2⁴⁰", () => 2 ** 40, "ERR_UMA_ADDRESS"],
  ["an item's address plus 2³²", (s) => s.item + 2 ** 32, "ERR_UMA_ADDRESS"],
  ["a fraction", (s) => s.item + 0.5, "ERR_UMA_ADDRESS"],
  ["infinity", () => Number.POSITIVE_INFINITY, "ERR_UMA_ADDRESS"],
  ["undefined", () => undefined, "ERR_UMA_ADDRESS"],
  ["null", () => null, "ERR_UMA_ADDRESS"],
  ["an item's address as text", (s) => String(s.item), "ERR_UMA_ADDRESS"],
];

describe.each(KINDS)("in a zone that is %s, a free of", (_kind, options) => {
  test.each(WRONG_FREES)("%s is refused with zone and number, and changes nothing", (_what, address, code) => {
    const s = scene(options);
    const before = [countsOf(s.zone), countsOf(s.other)];
    const wrong = address(s) as number;
    for (let n = 0; n < 3; n++) {
      const error = errorOf(() => s.zone.free(wrong));
      expect(error).toMatchObject({ code, zone: "zone" });
      expect(error.value).toBe(wrong);
      expect(error instanceof UmaCorruptionError).toBe(code === "ERR_UMA_DOUBLE_FREE");
    }
    expect([countsOf(s.zone), countsOf(s.other)]).toEqual(before);
    expectSound(s.uma);
  });

  test("0 does nothing, as free(NULL)", () => {
    const s = scene(options);
    const before = countsOf(s.zone);
    s.zone.free(0);
    expect(countsOf(s.zone)).toEqual(before);
    expectSound(s.uma);
  });

  test("an item whose slab has been given back is refused", () => {
    const uma = makeUma();
    const zone = uma.open(defineZone("zone", { size: 80, ...options }));
    const item = zone.alloc();
    zone.free(item);
    zone.reclaim();
    expect(errorOf(() => zone.free(item))).toMatchObject({ code: "ERR_UMA_ADDRESS", zone: "zone", value: item });
    expectSound(uma);
  });
});

test("a free of what lies behind a slab's last item is no double free", () => {
  const uma = makeUma();
  const zone = uma.open(defineZone("slack", { size: 1100 }));
  const item = zone.alloc();
  const { slabs, free, used, pages, rsize } = zone.stats();
  const ipers = (free + used) / slabs;
  const start = Math.min(...take(zone, ipers - 1), item);
  const behind = start + ipers * rsize;
  if (behind < start + (pages / slabs) * PAGE_BYTES) {
    expect(errorOf(() => zone.free(behind))).toMatchObject({ code: "ERR_UMA_ADDRESS", zone: "slack", value: behind });
  }
  expectSound(uma);
});

describe("transfer, adopt and ownerOf refuse what free refuses", () => {
  test.each(WRONG_FREES.filter(([, , code]) => code !== "ERR_UMA_DOUBLE_FREE"))("%s", (_what, address, code) => {
    const s = scene({});
    const wrong = address(s) as number;
    for (const use of [() => s.zone.transfer(wrong, 1), () => s.zone.adopt(wrong), () => s.zone.ownerOf(wrong)]) {
      const error = errorOf(use);
      expect(error).toMatchObject({ code, zone: "zone" });
      expect(error.value).toBe(wrong);
    }
    expectSound(s.uma);
  });

  test("an item that is not one's own, or a slot that is none", () => {
    const s = scene({});
    expect(errorOf(() => s.zone.transfer(s.freed, s.uma.slot))).toMatchObject({ code: "ERR_UMA_NOT_OWNER", zone: "zone", value: s.freed });
    for (const slot of [0, -1, 9, 1.5, Number.NaN])
      expect(errorOf(() => s.zone.transfer(s.item, slot))).toMatchObject({ code: "ERR_UMA_OPTION", zone: "zone" });
    expect(errorOf(() => s.zone.transfer(s.item, 5))).toMatchObject({ code: "ERR_UMA_NO_SLOT", zone: "zone", value: 5 });
    expect(s.zone.ownerOf(s.item)).toBe(s.uma.slot);
    expect(s.zone.adopt(s.item)).toBe(false);
    expectSound(s.uma);
  });
});

describe("a second definition of one name", () => {
  const first: ZoneOptions = { size: 64, align: 16 };
  test.each<[string, Partial<ZoneOptions>]>([
    ["another size", { size: 65 }],
    ["another size that is laid out alike", { size: 63 }],
    ["another alignment", { align: 256 }],
    ["a hook more", { ctor: () => true }],
    ["a fini", { fini: () => undefined }],
    ["another flag", { zero: true }],
    ["checks off", { checks: false }],
    ["another policy", { onDeath: "free" }],
    ["another limit", { limit: 5 }],
    ["another bucket", { bucket: 5 }],
    ["another maxCache", { maxCache: 5 }],
    ["a supplier", { allocPages: () => 0, freePages: () => undefined }],
  ])("with %s is refused, whether it is open here or only elsewhere", async (_what, change) => {
    const uma = makeUma();
    const zone = uma.open(defineZone("twice", first));
    zone.free(zone.alloc());
    const second = defineZone("twice", { ...first, ...change });
    const error = errorOf(() => uma.open(second));
    expect(error).toMatchObject({ code: "ERR_UMA_ZONE_MISMATCH", zone: "twice" });
    expect(error.value).toBeTypeOf("number");
    const other = (await anotherCopy()).Uma.attach(uma.ticket(), { patience: 0 });
    let code = "";
    try {
      other.open(second);
    } catch (thrown) {
      ({ code } = thrown as { code: string });
    }
    expect(code).toBe("ERR_UMA_ZONE_MISMATCH");
    expect(uma.open(defineZone("twice", first))).toBe(zone);
    expectSound(uma);
  });
});

test.each([undefined, null, 7, "zone", {}, { name: "x", size: 64 }, { name: "", size: Number.NaN, align: 16 }])(
  "opening %o, which is no definition, is refused at once",
  (value) => {
    const uma = makeUma();
    expect(errorOf(() => uma.open(value as never)).code).toBe("ERR_UMA_OPTION");
    expect(uma.stats().zones).toEqual([]);
    expectSound(uma);
  },
);

describe("creating a memory", () => {
  test.each<[string, object]>([
    ["bytes", { bytes: 131_071 }],
    ["bytes", { bytes: 2 ** 31 + 1 }],
    ["bytes", { bytes: Number.NaN }],
    ["bytes", { bytes: "1 MiB" }],
    ["workers", { workers: 0 }],
    ["workers", { workers: 127 }],
    ["workers", { workers: 1.5 }],
    ["bootPages", { bootPages: -1 }],
    ["bootPages", { bootPages: 1025 }],
    ["patience", { patience: -1 }],
    ["patience", { patience: 60_001 }],
    ["patience", { patience: Number.NaN }],
    ["kind", { kind: "wasm" }],
    ["base", { base: 100 }],
    ["base", { base: -4096 }],
    ["base", { base: 2 ** 40 }],
    ["buffer", { buffer: new Uint8Array(1 << 20) }],
    ["buffer", { buffer: {} }],
    ["wasm", { wasm: {} }],
  ])("with a wrong %s (%o) is refused, naming it", (option, options) => {
    const error = errorOf(() => Uma.create(options));
    expect(error.code).toBe("ERR_UMA_OPTION");
    expect(error.message).toContain(`option ${option} `);
  });

  test.each([null, 7, "options"])("with %o for options is refused", (options) => {
    expect(errorOf(() => Uma.create(options as never)).code).toBe("ERR_UMA_OPTION");
  });

  test.each([131_073, 131_074, 131_075, 200_001, 1_048_577])("of %d bytes uses the whole pages of it", (bytes) => {
    const uma = Uma.create({ bytes, workers: 1 });
    const zone = uma.open(defineZone("odd", { size: 64 }));
    zone.free(zone.alloc());
    expect(uma.core.floor.geometry.heapEnd).toBe(bytes - (bytes % PAGE_BYTES));
    expectSound(uma);
  });
});

describe("a ticket", () => {
  const change: [string, (ticket: Ticket, foreign: Ticket) => unknown, string][] = [
    ["of another version", (t) => ({ ...t, zalloc: LAYOUT_VERSION + 1 }), "ERR_UMA_VERSION"],
    ["of another memory", (t, f) => ({ ...t, idLow: f.idLow, idHigh: f.idHigh }), "ERR_UMA_TICKET"],
    ["with another memory's buffer", (t, f) => ({ ...t, buffer: f.buffer }), "ERR_UMA_TICKET"],
    ["that was copied through JSON", (t) => JSON.parse(JSON.stringify(t)), "ERR_UMA_TICKET"],
    ["for slot 0", (t) => ({ ...t, name: 0 }), "ERR_UMA_TICKET"],
    ["for a slot there is not", (t) => ({ ...t, name: 100 }), "ERR_UMA_TICKET"],
    ["of an earlier generation", (t) => ({ ...t, name: t.name + (5 << 7) }), "ERR_UMA_TICKET"],
    ["with a wrong base", (t) => ({ ...t, base: 4096 }), "ERR_UMA_NOT_A_MEMORY"],
    ["with a base off the grid", (t) => ({ ...t, base: 7 }), "ERR_UMA_OPTION"],
    ["with an empty buffer", (t) => ({ ...t, buffer: new SharedArrayBuffer(1 << 20) }), "ERR_UMA_NOT_A_MEMORY"],
    ["that is null", () => null, "ERR_UMA_TICKET"],
    ["that is a number", () => 7, "ERR_UMA_TICKET"],
    ["that is empty", () => ({}), "ERR_UMA_TICKET"],
  ];

  test.each(change)("%s is refused by attach, and stays good for whom it was made", async (_what, make, code) => {
    const [uma, foreign] = [makeUma(), makeUma()];
    const ticket = uma.ticket();
    const copy = await anotherCopy();
    let thrown: unknown;
    try {
      copy.Uma.attach(make(ticket, foreign.ticket()) as Ticket);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code });
    expectSound(uma);
    expectSound(foreign);
    const other = copy.Uma.attach(ticket);
    expect(other.slot).toBe(ticket.name & 127);
    other.detach();
  });

  test("of another memory is refused by reap and watch, which certify nobody here", () => {
    const [uma, foreign] = [makeUma(), makeUma()];
    const mine = uma.ticket();
    const theirs = foreign.ticket();
    expect(theirs.name).toBe(mine.name);
    for (const wrong of [theirs, {} as Ticket, null as unknown as Ticket]) {
      expect(errorOf(() => uma.reap(wrong)).code).toBe("ERR_UMA_TICKET");
      expect(errorOf(() => void uma.watch({ once: () => undefined } as never, wrong)).code).toBe("ERR_UMA_TICKET");
    }
    expect(uma.core.floor.slots.takesPart(mine.name)).toBe(true);
    expectSound(uma);
  });

  test.each([0, -1, 9, 1.5, Number.NaN])("reap of slot %d, which is none, is refused", (slot) => {
    expect(errorOf(() => makeUma().reap(slot)).code).toBe("ERR_UMA_OPTION");
  });

  test("reap of oneself is refused", () => {
    const uma = makeUma();
    expect(errorOf(() => uma.reap(uma.slot))).toMatchObject({ code: "ERR_UMA_OPTION", value: uma.slot });
    expectSound(uma);
  });

  test("more of them than slots are refused with their number", () => {
    const uma = makeUma({ workers: 3 });
    uma.ticket();
    uma.ticket();
    expect(errorOf(() => uma.ticket())).toMatchObject({ code: "ERR_UMA_NO_SLOT", value: 3 });
    expectSound(uma);
  });

  test("for a memory of one thread is refused", () => {
    expect(errorOf(() => Uma.create({ kind: "array", bytes: 1 << 20 }).ticket()).code).toBe("ERR_UMA_NO_SHARED_MEMORY");
  });
});

test("a thread that has detached is told so by everything", () => {
  const uma = makeUma();
  const ticket = uma.ticket();
  const zone: Zone = uma.open(defineZone("gone", { size: 64 }));
  uma.detach();
  const uses = [
    () => uma.open(defineZone("gone", { size: 64 })),
    () => uma.ticket(),
    () => uma.reap(ticket),
    () => void uma.watch({ once: () => undefined } as never, ticket),
    () => uma.poll(),
    () => uma.detach(),
  ];
  for (const use of uses) expect(errorOf(use).code).toBe("ERR_UMA_DETACHED");
  expect(errorOf(() => zone.alloc()).code).toBe("ERR_UMA_ZONE_CLOSED");
});
