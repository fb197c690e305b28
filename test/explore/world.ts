/**
 * A world in miniature for the explorer: the library's own emitted code over a memory of 32 pages, with a few workers that have
 * their zones open already. Each start of a worker builds its closures anew over the same memory; nothing else is shared.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type * as cellsModule from "../../src/backend/memory/cells.ts";
import type * as floorModule from "../../src/backend/memory/floor.ts";
import type * as layoutModule from "../../src/backend/memory/layout.ts";
import type * as slotsModule from "../../src/backend/memory/slots.ts";
import type * as superblockModule from "../../src/backend/memory/superblock.ts";
import type * as compositionModule from "../../src/uma/composition.ts";
import type * as coreModule from "../../src/uma/core.ts";
import type * as definitionModule from "../../src/uma/definition.ts";
import type { Zone } from "../../src/uma/zone.ts";
import { openTree, runSync } from "../../tools/explore/index.ts";

const root = resolve(import.meta.dirname, "../..");
const dist = join(root, "build/explore");
if (process.env["ZALLOC_DIST"] === undefined && (process.env["ZALLOC_BUILT"] === undefined || !existsSync(dist))) {
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", join(root, "tsconfig.build.json"), "--outDir", dist], { stdio: "inherit" });
}

const tree = openTree(dist, ["backend/**", "uma/**"]);
const { createCells } = await tree.load<typeof cellsModule>("backend/memory/cells.js");
const { createFloor } = await tree.load<typeof floorModule>("backend/memory/floor.js");
const { createSlots } = await tree.load<typeof slotsModule>("backend/memory/slots.js");
const { layOut, declareReady } = await tree.load<typeof superblockModule>("backend/memory/superblock.js");
const { compose } = await tree.load<typeof compositionModule>("uma/composition.js");
const { createCore } = await tree.load<typeof coreModule>("uma/core.js");
export const layout: typeof layoutModule = await tree.load<typeof layoutModule>("backend/memory/layout.js");
export const { defineZone } = await tree.load<typeof definitionModule>("uma/definition.js");

export type Definition = definitionModule.ZoneDefinition;

/** One logical worker's attachment. */
export interface Attachment extends compositionModule.Parts {
  readonly zones: Zone[];
}

export interface MiniWorld {
  readonly buffer: SharedArrayBuffer;
  readonly i32: Int32Array;
  readonly names: number[];
  /** Builds a worker's closures over the memory as it was set up. Touches no shared word that others write. */
  attach(worker: number): Attachment;
  /** An attachment that the check uses at the end: nobody else's. */
  readonly observer: Attachment;
}

export interface MiniOptions {
  readonly workers: number;
  readonly zones: readonly Definition[];
  /** Which zones a worker has open; default: all. */
  readonly opens?: (worker: number, zone: number) => boolean;
  /** Brings the memory into the state the scenario begins with. */
  setUp?(attachments: Attachment[], observer: Attachment): void;
}

/** Milliseconds of the explorer's clock that a worker waits for a lock. */
const PATIENCE_MS = 1e9;

export function miniWorld(options: MiniOptions): MiniWorld {
  const buffer = new SharedArrayBuffer(layout.PAGE_BYTES * 40);
  const count = options.workers + 1;
  const cells = runSync(createCells(buffer, 0, true));
  const geometry = runSync(layOut(cells, count, 2));
  const slots = runSync(createSlots(cells, geometry.slots, count));
  const names: number[] = [];
  for (let worker = 0; worker < count; worker++) {
    const name = runSync(slots.reserve(0));
    runSync(slots.adopt(name));
    names.push(name);
  }
  const build = (worker: number): compositionModule.Parts => {
    const floor = runSync(createFloor(cells, geometry, names[worker] as number, PATIENCE_MS));
    return runSync(compose(runSync(createCore(floor))));
  };
  const first = build(options.workers);
  runSync(first.core.heap.init());
  runSync(declareReady(cells));
  const opens = options.opens ?? (() => true);
  const attachments: Attachment[] = [];
  for (let worker = 0; worker < count; worker++) {
    const parts = worker === options.workers ? first : build(worker);
    const zones = options.zones.map((definition, zone) =>
      worker === options.workers || opens(worker, zone) ? runSync(parts.registry.open(definition)) : (undefined as unknown as Zone),
    );
    attachments.push({ ...parts, zones });
  }
  const observer = attachments.pop() as Attachment;
  options.setUp?.(attachments, observer);
  const places = attachments.map(({ zones }) =>
    zones.map(
      (z) => z && { id: z.id, zone: z.zone, keg: z.keg, line: z.line, tag: z.tag, shift: z.shift, rsize: z.rsize, unitMask: unitMaskOf(z) },
    ),
  );

  function attach(worker: number): Attachment {
    const parts = build(worker);
    const zones = options.zones.map((definition, n) => {
      const place = places[worker]?.[n];
      if (!place) return undefined as unknown as Zone;
      const zone = runSync(parts.factory.make(definition, { ...place, supplier: parts.core.arenaPages }));
      parts.core.open[place.id] = zone;
      return zone;
    });
    return { ...parts, zones };
  }

  return { buffer, i32: new Int32Array(buffer), names, attach, observer };
}

function unitMaskOf(zone: Zone): number {
  return (zone as unknown as { unitMask: number }).unitMask;
}

/** Throws with what verify() finds wrong. */
export function mustVerify(attachment: Attachment): void {
  const verdict = runSync(attachment.verify());
  if (!verdict.ok) throw new Error(verdict.problems.slice(0, 4).join("; "));
}
