/**
 * Out of memory, and out of everything else that can be refused, at every request in turn.
 *
 * One script of operations is run over and over, each time in a new memory; the first time the first request is refused, the next
 * time the second, and so on until a run makes fewer requests than that. After each run everything is given back: verify() must
 * find nothing, and nothing may be outstanding. What is refused: pages of the heap (none left, or its lock out of reach), any lock,
 * pages of a user's supplier (by 0 or by an exception), and items in init and ctor (by false or by an exception).
 */
import { defineZone, Uma, UmaError, type Zone, type ZoneDefinition } from "../../src/index.ts";
import { type DeniedParts, startParts } from "./denied-parts.ts";

/** What is refused, once. */
export const DENIALS = [
  "heap has no page",
  "heap's lock is out of reach",
  "a lock is out of reach",
  "supplier has no page",
  "supplier throws",
  "init refuses",
  "init throws",
  "ctor refuses",
  "ctor throws",
  "dtor throws",
  "fini throws",
] as const;
export type Denial = (typeof DENIALS)[number];

export interface DenialOutcome {
  /** Requests refused, one a run. */
  readonly denied: number;
  readonly problems: string[];
}

const NO_PARTS: DeniedParts = { giveBack: () => undefined, keeps: () => false };
/** Answers of `heap.alloc` and of suppliers that are no address. */
const NO_PAGES = 0;
const HEAP_BUSY = -1;
const MOST_PROBLEMS = 10;
const MOST_RUNS = 5000;
/** What a caller may be told when something is refused below it. */
const EXPECTED: ReadonlySet<string> = new Set([
  "ERR_UMA_EMPTY",
  "ERR_UMA_BUSY",
  "ERR_UMA_HOOK",
  "ERR_UMA_SUPPLIER",
  "ERR_UMA_LIMIT",
  "ERR_VMEM_NOTAGS",
  "ERR_VMEM_NOSPACE",
  "ERR_VMEM_BUSY",
]);

/** Counts requests down; at the chosen one, and only there, `refuse()` says true. */
class Countdown {
  left = 0;
  reached = false;

  refuse(): boolean {
    if (this.left === 0 || --this.left > 0) return false;
    this.reached = true;
    return true;
  }
}

/** Runs the script of the zones, or of what stands on them, once for each request it makes, refusing that one. */
export function denyEach(denial: Denial, what: "zones" | "parts" = "zones"): DenialOutcome {
  const problems: string[] = [];
  let denied = 0;
  for (let k = 1; k <= MOST_RUNS && problems.length < MOST_PROBLEMS; k++) {
    const countdown = new Countdown();
    using uma = Uma.create({ bytes: 2 ** 19, workers: 2, bootPages: 1, patience: 10 });
    const definitions = zonesFor(denial, countdown, () => uma);
    inject(uma, denial, countdown);
    countdown.left = k;
    const say = (problem: string): void => void problems.push(`${denial}, the ${k}. request: ${problem}`);
    const attempt = attempts(say);
    const held = what === "zones" ? script(uma, definitions, attempt, say) : new Map<string, Set<number>>();
    const parts = what === "parts" ? startParts(uma, attempt, say) : NO_PARTS;
    countdown.left = 0;
    finish(uma, what === "zones" ? definitions : [], held, parts, say);
    if (!countdown.reached) break;
    denied++;
  }
  return { denied, problems };
}

/** Fills memories with ever fewer pages left to the brim, so that each request for memory meets the end of it once. */
export function fillUp(most: number): DenialOutcome {
  const problems: string[] = [];
  for (let left = 0; left < most && problems.length < MOST_PROBLEMS; left++) {
    using uma = Uma.create({ bytes: 2 ** 19, workers: 2, bootPages: 1, patience: 10 });
    const { heap, floor } = uma.core;
    const blocks: number[] = [];
    for (let page = heap.alloc(1, floor.me, 0); page > 0; page = heap.alloc(1, floor.me, 0)) blocks.push(page);
    for (const page of blocks.splice(0, left)) heap.free(page, 0);
    const definitions = zonesFor("heap has no page", new Countdown(), () => uma);
    const say = (problem: string): void => void problems.push(`${left} pages left: ${problem}`);
    const attempt = attempts(say);
    const held = script(uma, definitions, attempt, say);
    const parts = startParts(uma, attempt, say);
    for (const page of blocks) heap.free(page, 0);
    finish(uma, definitions, held, parts, say);
  }
  return { denied: most, problems };
}

function zonesFor(denial: Denial, countdown: Countdown, uma: () => Uma): readonly ZoneDefinition[] {
  const refusing = (hook: string): boolean => {
    if (!denial.startsWith(hook) || !countdown.refuse()) return true;
    if (denial.endsWith("throws")) throw new Error(denial);
    return false;
  };
  return [
    defineZone("plain", { size: 64, bucket: 6 }),
    defineZone("hooked", {
      size: 200,
      bucket: 4,
      init: () => refusing("init"),
      ctor: () => refusing("ctor"),
      dtor: () => void refusing("dtor"),
      fini: () => void refusing("fini"),
    }),
    defineZone("large", { size: 6000, bucket: 2, zinit: true }),
    defineZone("no buckets", { size: 256, bucket: 0, zero: true }),
    defineZone("supplied", {
      size: 900,
      bucket: 5,
      allocPages: ({ bytes }) => {
        if (!refusing("supplier")) return NO_PAGES;
        return Math.max(NO_PAGES, uma().core.heap.alloc(bytes / 4096, uma().core.floor.me, 0));
      },
      freePages: (address) => {
        // Nothing is refused while a supplier gives back: what is lost there is the supplier's own.
        const { left } = countdown;
        countdown.left = 0;
        uma().core.heap.free(address, 0);
        countdown.left = left;
      },
    }),
  ];
}

/** The parts of an attachment call each other through these objects, so one entry can be exchanged for a run. */
function inject(uma: Uma, denial: Denial, countdown: Countdown): void {
  const { heap, floor } = uma.core as { heap: Mutable<typeof uma.core.heap>; floor: { locks: Mutable<typeof uma.core.floor.locks> } };
  if (denial.startsWith("heap")) {
    const { alloc } = heap;
    const answer = denial === "heap has no page" ? NO_PAGES : HEAP_BUSY;
    heap.alloc = (...request) => (countdown.refuse() ? answer : alloc(...request));
  } else if (denial === "a lock is out of reach") {
    const { acquire } = floor.locks;
    floor.locks.acquire = (...request) => !countdown.refuse() && acquire(...request);
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Does something that may be refused. @returns undefined when it was. */
export type Attempt = <T>(work: () => T) => T | undefined;

function attempts(say: (problem: string) => void): Attempt {
  return (work) => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof UmaError) || !EXPECTED.has(error.code)) say(String((error as Error).stack));
      return undefined;
    }
  };
}

/** A bit of everything that zones do. @returns what was allocated and not freed. */
function script(
  uma: Uma,
  definitions: readonly ZoneDefinition[],
  attempt: Attempt,
  say: (problem: string) => void,
): Map<string, Set<number>> {
  const held = new Map<string, Set<number>>();
  for (const definition of definitions) {
    const items = new Set<number>();
    held.set(definition.name, items);
    let zone = attempt(() => uma.open(definition)) ?? attempt(() => uma.open(definition));
    if (zone === undefined) continue;
    const open: Zone = zone;
    attempt(() => open.prealloc(3));
    for (let n = 0; n < 20; n++) {
      const item = n % 2 === 0 ? attempt(() => open.alloc()) : attempt(() => open.tryAlloc());
      if (item === undefined || item === 0) continue;
      if (items.has(item)) say(`zone "${definition.name}" handed ${item} out twice`);
      items.add(item);
    }
    for (const item of [...items].filter((_, n) => n % 3 !== 0)) give(open, items, item, say);
    attempt(() => open.reclaim());
    // With nothing left in them slabs die, with fini.
    for (const item of [...items]) give(open, items, item, say);
    attempt(() => open.reclaim());
    attempt(() => open.close());
    zone = attempt(() => uma.open(definition)) ?? attempt(() => uma.open(definition));
    if (zone === undefined) continue;
    const again: Zone = zone;
    const item = attempt(() => again.tryAlloc());
    if (item !== undefined && item !== 0) items.add(item);
  }
  const passing = defineZone("passing", { size: 80, init: () => undefined, fini: () => undefined });
  const passed = attempt(() => uma.open(passing)) ?? attempt(() => uma.open(passing));
  attempt(() => passed?.tryAlloc());
  // Refused once, it is done again; once closed here, it is finished by itself.
  for (let tries = 0; tries < 2; tries++) if (passed?.closed === false) attempt(() => passed.destroy({ force: true }));
  return held;
}

/** A free never fails; only what a dtor threw comes through, and the item is freed all the same. */
function give(zone: Zone, items: Set<number>, item: number, say: (problem: string) => void): void {
  try {
    zone.free(item);
  } catch (error) {
    if (!(error instanceof UmaError) || error.code !== "ERR_UMA_HOOK") say(`free failed: ${String((error as Error).stack)}`);
  }
  items.delete(item);
}

/** Everything is given back; then nothing may be outstanding, no page in a zone, and no invariant broken. */
function finish(
  uma: Uma,
  definitions: readonly ZoneDefinition[],
  held: Map<string, Set<number>>,
  parts: DeniedParts,
  say: (problem: string) => void,
): void {
  try {
    uma.poll();
    judge(uma, "after the refusal", say);
    for (const definition of definitions) {
      const zone = uma.open(definition);
      for (const item of held.get(definition.name) ?? []) zone.free(item);
      zone.reclaim();
    }
    parts.giveBack();
    uma.reclaim("drain");
    uma.poll();
    for (const zone of uma.stats().zones) {
      if (parts.keeps(zone)) continue;
      if (zone.used !== 0 || zone.pages !== 0)
        say(`zone "${zone.name}" keeps ${zone.used} items and ${zone.pages} pages when everything was given back`);
    }
    judge(uma, "when everything was given back", say);
  } catch (error) {
    say(`life does not go on: ${String((error as Error).stack)}`);
  }
}

function judge(uma: Uma, when: string, say: (problem: string) => void): void {
  for (const problem of uma.verify().problems.slice(0, 3)) say(`${when}: ${problem}`);
}
