/**
 * A world in miniature for the explorer: the library's own emitted code over a small memory, with a few workers that have
 * their zones open already. Each start of a worker builds its closures anew over the same memory; nothing else is shared.
 *
 * Behind the memory's last page lie some words of the scenario's own: a mailbox to hand items over, and a word to sleep on.
 */
import type * as cellsModule from "../../src/backend/memory/cells.ts";
import type * as floorModule from "../../src/backend/memory/floor.ts";
import type * as layoutModule from "../../src/backend/memory/layout.ts";
import type * as namesModule from "../../src/backend/memory/names.ts";
import type * as slotsModule from "../../src/backend/memory/slots.ts";
import type * as superblockModule from "../../src/backend/memory/superblock.ts";
import type * as compositionModule from "../../src/uma/composition.ts";
import type * as coreModule from "../../src/uma/core.ts";
import type * as definitionModule from "../../src/uma/definition.ts";
import type * as classesModule from "../../src/uma/malloc/classes.ts";
import type * as mallocModule from "../../src/uma/malloc/malloc.ts";
import type * as mapModule from "../../src/uma/map/shared-map.ts";
import type * as typedModule from "../../src/uma/typed/define.ts";
import type { Uma } from "../../src/uma/uma.ts";
import type * as cacheZoneModule from "../../src/uma/cache-zone.ts";
import type * as secondaryModule from "../../src/uma/secondary.ts";
import type { Zone, ZonePlace } from "../../src/uma/zone.ts";
import { emitOnce } from "../fixtures/emitted.ts";
import { openTree, runSync, sleep, type LockRules } from "../../tools/explore/index.ts";

/** A mutant's tree, or the library's. */
const dist = process.env["ZALLOC_DIST"] ?? emitOnce("ZALLOC_BUILT", "explore", "tsconfig.build.json");

const tree = openTree(dist, {
  include: ["backend/**", "uma/**"],
  // Spinning is waiting that the explorer does better; one turn keeps the code in play.
  edits: [
    { file: "backend/memory/lock.js", find: "SPINS = 200", replace: "SPINS = 1" },
    { file: "uma/smr.js", find: "SPINS = 100", replace: "SPINS = 1" },
  ],
});
const { createCells } = await tree.load<typeof cellsModule>("backend/memory/cells.js");
const { createFloor } = await tree.load<typeof floorModule>("backend/memory/floor.js");
const { createSlots } = await tree.load<typeof slotsModule>("backend/memory/slots.js");
const { layOut, declareReady } = await tree.load<typeof superblockModule>("backend/memory/superblock.js");
const { compose } = await tree.load<typeof compositionModule>("uma/composition.js");
const { createCore, finishUnfinished } = await tree.load<typeof coreModule>("uma/core.js");
export const layout: typeof layoutModule = await tree.load<typeof layoutModule>("backend/memory/layout.js");
const { slotOf, generationOf, stateWord } = await tree.load<typeof namesModule>("backend/memory/names.js");
export const { defineZone, FLAG_ZINIT } = await tree.load<typeof definitionModule>("uma/definition.js");
/** The form with handles: as plain where none of its options is given. */
export const { defineZone: defineTypedZone } = await tree.load<typeof typedModule>("uma/typed/define.js");
export const { defineMap, openMap } = await tree.load<typeof mapModule>("uma/map/shared-map.js");
export const { createMalloc } = await tree.load<typeof mallocModule>("uma/malloc/malloc.js");
export const { defineCache } = await tree.load<typeof cacheZoneModule>("uma/cache-zone.js");
export const { defineSecondary } = await tree.load<typeof secondaryModule>("uma/secondary.js");
export const { classZones } = await tree.load<typeof classesModule>("uma/malloc/classes.js");

export { finishUnfinished };
export type Definition = definitionModule.ZoneDefinition;

/** One logical worker's attachment. */
export interface Attachment extends compositionModule.Parts {
  readonly worker: number;
  readonly zones: Zone[];
  readonly world: MiniWorld;
}

export interface MiniWorld {
  readonly buffer: SharedArrayBuffer;
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
  /** Names of the workers' slots; of those not attached at the start, the names that they will have. */
  readonly names: readonly number[];
  /** Word indices of the workers' cache lines, of all zones. */
  readonly lines: readonly number[];
  /** Builds a worker's closures over the memory as it was set up. Touches no shared word that others write. */
  attach(worker: number): Attachment;
  /** Builds the closures of a worker that comes later, by the name it was given; it has no zones open yet. */
  join(name: number): Attachment;
  /** An attachment that the check uses at the end: nobody else's. */
  readonly observer: Attachment;
  /** Word index of the scenario's own words: MAIL_WORDS to hand something over, behind them one to sleep on. */
  readonly mail: number;
  /** What the library's locks look like. */
  readonly locks: LockRules;
  /** In a program: waits until nothing else can run. */
  nap(): Generator<unknown, void, unknown>;
}

export interface MiniOptions {
  readonly workers: number;
  readonly zones: readonly Definition[];
  /** Which zones a worker has open; default: all. */
  readonly opens?: (worker: number, zone: number) => boolean;
  /** Slots that are free at the start, behind those of the workers. */
  readonly free?: number;
  /** Whether the check's own attachment has the zones open; a zone that is to be taken apart must not be. Default true. */
  readonly observed?: boolean;
  /** Pages of the memory beside those of the workers; default 34. */
  readonly pages?: number;
  /** How long a worker waits for a lock; default: for ever. */
  readonly patienceMs?: number;
  /** Brings the memory into the state the scenario begins with. */
  setUp?(attachments: Attachment[], observer: Attachment): void;
}

/** Milliseconds of the explorer's clock, which only passes in sleep. */
const FOR_EVER_MS = 1e9;
export const MAIL_WORDS = 15;

export function miniWorld(options: MiniOptions): MiniWorld {
  const { PAGE_BYTES } = layout;
  const pages = (options.pages ?? 34) + 2 * options.workers;
  const buffer = new SharedArrayBuffer(PAGE_BYTES * pages + (MAIL_WORDS + 1) * 4);
  const mail = (PAGE_BYTES * pages) >> 2;
  const count = options.workers + 1 + (options.free ?? 0);
  const cells = runSync(createCells(buffer, 0, true));
  const geometry = runSync(layOut(cells, count, 2));
  const slots = runSync(createSlots(cells, geometry.slots, count));
  const observer = options.workers;
  const names: number[] = [];
  for (let worker = 0; worker <= observer; worker++) {
    const name = runSync(slots.reserve(0));
    runSync(slots.adopt(name));
    names.push(name);
  }
  const build = (name: number): compositionModule.Parts => {
    const floor = runSync(createFloor(cells, geometry, name, options.patienceMs ?? FOR_EVER_MS));
    return runSync(compose(runSync(createCore(floor))));
  };
  const first = build(names[observer] as number);
  runSync(first.core.heap.init());
  runSync(declareReady(cells));
  const opens = options.opens ?? (() => true);
  const attachments: Attachment[] = [];
  const world = { buffer, i32: new Int32Array(buffer), u8: new Uint8Array(buffer), names, mail } as unknown as MiniWorld;
  for (let worker = 0; worker <= observer; worker++) {
    const parts = worker === observer ? first : build(names[worker] as number);
    const zones = options.zones.map((definition, zone) =>
      (worker === observer ? (options.observed ?? true) : opens(worker, zone))
        ? runSync(parts.registry.open(definition))
        : (undefined as unknown as Zone),
    );
    attachments.push({ ...parts, worker, zones, world });
  }
  options.setUp?.(attachments.slice(0, observer), attachments[observer] as Attachment);
  const places = attachments.map(({ zones }) =>
    zones.map(
      (z) =>
        z && {
          id: z.id,
          zone: z.zone,
          keg: z.keg,
          line: z.line,
          tag: z.tag,
          shift: z.shift,
          rsize: z.rsize,
          unitMask: unitMaskOf(z),
          zoneAt: z.zoneAt,
          zoneIndex: z.zoneIndex,
        },
    ),
  );

  function attach(worker: number): Attachment {
    const parts = build(names[worker] as number);
    const zones: Zone[] = [];
    options.zones.forEach((definition, n) => {
      const place = places[worker]?.[n];
      zones.push(place ? opened(parts, definition, place, zones) : (undefined as unknown as Zone));
    });
    return { ...parts, worker, zones, world };
  }

  /** What the registry does when a worker opens a zone that is there. */
  function opened(parts: compositionModule.Parts, definition: Definition, place: Omit<ZonePlace, "supplier">, before: Zone[]): Zone {
    const here = { ...place, supplier: parts.core.arenaPages };
    const bound = definition.face === null ? null : runSync(definition.face.bindTo(definition, parts.core, here));
    const { primary } = definition;
    const first = primary === null ? null : before.find((zone) => zone?.name === primary.name);
    const whole = first
      ? { ...definition, init: first.init, fini: first.fini, flags: definition.flags | (first.zeroInit ? FLAG_ZINIT : 0) }
      : definition;
    const made = runSync(parts.factory.make(bound === null ? whole : bound.definition, here));
    const zone = bound === null ? made : runSync(bound.dress(made));
    parts.core.open[place.id] = zone;
    return zone;
  }

  function join(name: number): Attachment {
    return { ...build(name), worker: slotOf(name) - 1, zones: [], world };
  }

  const lines = places.flatMap((ofWorker) => ofWorker.flatMap((place) => (place ? [place.line] : [])));
  const slotWordOf = (name: number): number => geometry.slots + slotOf(name) * layout.SLOT_WORDS;
  const locks: LockRules = {
    nameOf: (program) => names[Number(program.replace(/^\D+/, ""))] as number,
    pendingOf: (name) => slotWordOf(name) + layout.SLOT_PENDING_LOCK,
    holderIn: (value) => value & ~layout.LOCK_WAITERS,
    isDead: (name) => world.i32[slotWordOf(name) + layout.SLOT_STATE] === stateWord(generationOf(name), layout.STATE_DEAD),
  };
  return Object.assign(world, {
    lines,
    locks,
    attach,
    join,
    observer: attachments[observer] as Attachment,
    nap: () => sleep(world.i32, mail + MAIL_WORDS),
  });
}

/** What maps and malloc use of a `Uma`: it opens zones that the world has open already. */
export function umaOf(a: Attachment): Uma {
  const open = (definition: Definition): Zone => {
    const known = a.zones.find((zone) => zone?.name === definition.name);
    if (!known) throw new Error(`the world has no zone ${definition.name}`);
    return known;
  };
  return { core: a.core, open, lastFailure: "EMPTY" } as unknown as Uma;
}

function unitMaskOf(zone: Zone): number {
  return (zone as unknown as { unitMask: number }).unitMask;
}
