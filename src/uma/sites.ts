/**
 * Call sites: where in the program each outstanding item of a zone was allocated, by whom, and when.
 *
 * A zone with the option `sites` has 16 bytes behind each item: {site, sequence, time, worker}. They are written after each
 * allocation, the site last, and the site is cleared before a free, so that what is found there is of this allocation or says that
 * it is not known. Being part of the slab they outlive the worker: the report shows a dead worker's items like all others. The
 * sites' texts stand in the memory, too, each once: records that are only ever added, under the control lock.
 *
 * Zones without the option are of another class, and know nothing of this.
 */
import {
  INTENT_EXTENT,
  INTENT_PAGE,
  MARK_BUSY,
  MARK_FREE,
  MARK_ORPHAN,
  PAGE_BYTES,
  SB_CONTROL_LOCK,
  SB_RECORD_PAGES,
  SB_SITE_COUNT,
  SB_SITE_END,
  SB_SITE_FIRST,
  SB_SITE_NEXT,
  SITE_ITEM_ID,
  SITE_ITEM_SEQUENCE,
  SITE_ITEM_TIME,
  SITE_ITEM_WORDS,
  SITE_ITEM_WORKER,
  SITE_LENGTH,
  SITE_LINK,
  SITE_TEXT,
} from "../backend/memory/layout.ts";
import type { Floor } from "../backend/memory/floor.ts";
import { generationOf, slotOf } from "../backend/memory/names.ts";
import type { Heap } from "../backend/vmem/heap.ts";
import { createMarkScan } from "./marks.ts";
import type { Slabs } from "./slab.ts";

/** Bytes behind each item of a zone with `sites`. */
export const SITE_ITEM_BYTES: number = SITE_ITEM_WORDS * 4;

/** An outstanding item, and where it comes from. */
export interface OutstandingItem {
  readonly item: number;
  /** Slot of its owner now; 127: its owner is dead. */
  readonly owner: number;
  /** The line of the stack at which it was allocated, or why that is not known, in parentheses. */
  readonly site: string;
  /** Who allocated it; slot 0 where that is not known. */
  readonly slot: number;
  readonly generation: number;
  /** It was that worker's allocation number so much in the zone. */
  readonly sequence: number;
  /** How long ago, milliseconds. */
  readonly age: number;
}

/** The outstanding items of one call site. */
export interface SiteReport {
  readonly site: string;
  items: number;
  /** Items as laid out, bytes. */
  bytes: number;
  /** Ages of the youngest and the oldest, milliseconds. */
  youngest: number;
  oldest: number;
  /** Of those, items whose owner is dead. */
  orphans: number;
  /** Slots of the workers that allocated them. */
  readonly slots: number[];
  /** The first of them. */
  readonly examples: number[];
}

/** As much of a zone as is needed here. */
export interface SiteZone {
  readonly keg: number;
  readonly rsize: number;
  readonly definition: { readonly sample: number };
}

export interface Sites {
  /** Notes where the item at `p`, just allocated, comes from. @param sampled - whether this one's call site is to be found out. */
  note(z: SiteZone, p: number, sequence: number, sampled: boolean): void;
  /** The item at `p` is about to be freed. */
  forget(z: SiteZone, p: number): void;
  outstanding(z: SiteZone): Generator<OutstandingItem, void, void>;
  report(z: SiteZone): SiteReport[];
  /** Number of a text of at most 80 characters, which any thread can ask for; small numbers say why there is none. */
  idOf(text: string): number;
  textOf(id: number): string;
}

/** Ids that are no records: being allocated or freed just now; not in the sample; no room for another site. */
const SITE_UNKNOWN = 0;
const SITE_UNSAMPLED = 1;
const SITE_TOO_MANY = 2;
const MEANINGS: readonly string[] = ["(being allocated or freed)", "(not sampled)", "(too many sites, or no memory for them)"];
const NOT_TRACKED = "(the zone has no option sites)";

const MOST_SITES = 4096;
const MOST_TEXT_BYTES = 240;
const MOST_EXAMPLES = 20;
const MOST_CALLER_CHARACTERS = 80;
/** Where this library lies, as it stands in stacks: frames of it are no call sites. */
const HOME: string = import.meta.url.slice(0, Math.max(0, import.meta.url.lastIndexOf("/uma/"))).replace(/^file:\/\//, "");

/** The first line of a stack that is not the library's own. */
export function callerIn(stack: string): string {
  const lines = stack.split("\n").filter((line) => line !== "" && !/^\w*Error\b/.test(line));
  const own = lines.findIndex((line) => HOME === "" || !line.includes(HOME));
  // Bundled into one file with its user, the library cannot be told by its place: then by its depth.
  const line = lines[own >= 0 && HOME !== "" ? own : Math.min(2, lines.length - 1)] ?? "";
  return line.trim().replace(/^at /, "");
}

/** "function file:line" of whoever called the library. */
export function callerText(): string {
  const frame = callerIn(String(new Error("caller").stack));
  const parts = /^(?:(.*) \()?(.*?):(\d+):\d+\)?$/.exec(frame);
  if (parts === null) return frame.slice(0, MOST_CALLER_CHARACTERS);
  const file = (parts[2] ?? "").split(/[\\/]/).pop() ?? "";
  return `${parts[1] ?? "(top level)"} ${file}:${parts[3] ?? "0"}`.slice(-MOST_CALLER_CHARACTERS);
}

export function createSites(floor: Floor, heap: Heap, slabs: Slabs): Sites {
  const { i32, u8 } = floor.cells;
  const { locks, intents, patienceMs, me, slots } = floor;
  const { set, add, commit } = floor.journal;
  const { heapStart, heapEnd } = floor.geometry;
  const sb = floor.cells.base;
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  /** Sites known to this thread, and the newest record among them. */
  const ids = new Map<string, number>();
  const texts = new Map<number, string>();
  let known = 0;

  /** Learns of the sites that others have added. */
  function learn(): void {
    const newest = Atomics.load(i32, sb + SB_SITE_FIRST);
    for (let record = newest; record !== known && record !== 0; record = i32[record + SITE_LINK]) {
      const start = (record + SITE_TEXT) << 2;
      const text = decoder.decode(u8.slice(start, start + i32[record + SITE_LENGTH]) as Uint8Array<ArrayBuffer>);
      ids.set(text, record);
      texts.set(record, text);
    }
    known = newest;
  }

  function idOf(text: string): number {
    const id = ids.get(text);
    if (id !== undefined) return id;
    learn();
    return ids.get(text) ?? enter(text);
  }

  function enter(text: string): number {
    locks.mend();
    const bytes = encoder.encode(text);
    const words = SITE_TEXT + ((bytes.length + 3) >>> 2);
    for (let tries = 0; tries < 2; tries++) {
      if (!locks.acquire(sb + SB_CONTROL_LOCK, patienceMs)) return SITE_TOO_MANY;
      try {
        learn();
        const there = ids.get(text);
        if (there !== undefined) return there;
        if (i32[sb + SB_SITE_COUNT] >= MOST_SITES) return SITE_TOO_MANY;
        if (i32[sb + SB_SITE_NEXT] + words <= i32[sb + SB_SITE_END]) return link(bytes, words);
      } finally {
        locks.release();
      }
      if (!morePages()) return SITE_TOO_MANY;
    }
    return SITE_TOO_MANY;
  }

  /** Adds a record, under the control lock: nobody sees it before the transaction links it. */
  function link(bytes: Uint8Array, words: number): number {
    const record = i32[sb + SB_SITE_NEXT];
    i32[record + SITE_LINK] = i32[sb + SB_SITE_FIRST];
    i32[record + SITE_LENGTH] = bytes.length;
    u8.set(bytes, (record + SITE_TEXT) << 2);
    set(sb + SB_SITE_NEXT, record + words);
    set(sb + SB_SITE_FIRST, record);
    add(sb + SB_SITE_COUNT, 1);
    commit();
    return record;
  }

  function morePages(): boolean {
    const frame = intents.push(INTENT_PAGE);
    const page = heap.alloc(1, 0, frame + INTENT_EXTENT);
    if (page > 0 && locks.acquire(sb + SB_CONTROL_LOCK, patienceMs)) {
      try {
        set(sb + SB_SITE_NEXT, page >>> 2);
        set(sb + SB_SITE_END, (page + PAGE_BYTES) >>> 2);
        add(sb + SB_RECORD_PAGES, 1);
        set(frame + INTENT_EXTENT, 0);
        commit();
      } finally {
        locks.release();
      }
    }
    const left = i32[frame + INTENT_EXTENT];
    if (left !== 0 && !heap.free(left, frame + INTENT_EXTENT)) return false;
    intents.pop(frame);
    return page > 0 && left === 0;
  }

  function behind(z: SiteZone, p: number): number {
    return (p + z.rsize - SITE_ITEM_BYTES) >> 2;
  }

  function note(z: SiteZone, p: number, sequence: number, sampled: boolean): void {
    const at = behind(z, p);
    i32[at + SITE_ITEM_ID] = SITE_UNKNOWN;
    i32[at + SITE_ITEM_SEQUENCE] = sequence;
    i32[at + SITE_ITEM_TIME] = Date.now() | 0;
    i32[at + SITE_ITEM_WORKER] = me;
    const id = sampled ? idOf(callerIn(String(new Error("site").stack)).slice(0, MOST_TEXT_BYTES / 3)) : SITE_UNSAMPLED;
    i32[at + SITE_ITEM_ID] = id;
  }

  function forget(z: SiteZone, p: number): void {
    i32[behind(z, p) + SITE_ITEM_ID] = SITE_UNKNOWN;
  }

  function textOf(id: number): string {
    const meaning = MEANINGS[id];
    if (meaning !== undefined) return meaning;
    if (!texts.has(id)) learn();
    return texts.get(id) ?? MEANINGS[SITE_UNKNOWN] ?? "";
  }

  function* outstanding(z: SiteZone): Generator<OutstandingItem, void, void> {
    const scan = createMarkScan(floor, slabs);
    const now = Date.now() | 0;
    let from = heapStart;
    while (scan.nextOutstanding(from, heapEnd, z.keg)) {
      const { item, value } = scan.found;
      from = item + 1;
      if (value === MARK_FREE) continue;
      const owner = value & ~MARK_BUSY;
      if (z.definition.sample === 0) {
        yield { item, owner, site: NOT_TRACKED, slot: 0, generation: 0, sequence: 0, age: 0 };
        continue;
      }
      const at = behind(z, item);
      const id = i32[at + SITE_ITEM_ID];
      const worker = i32[at + SITE_ITEM_WORKER];
      const isKnown = id !== SITE_UNKNOWN && slotOf(worker) <= slots.count;
      yield {
        item,
        owner,
        site: textOf(id),
        slot: isKnown ? slotOf(worker) : 0,
        generation: isKnown ? generationOf(worker) : 0,
        sequence: isKnown ? i32[at + SITE_ITEM_SEQUENCE] : 0,
        age: isKnown ? (now - i32[at + SITE_ITEM_TIME]) >>> 0 : 0,
      };
    }
  }

  function report(z: SiteZone): SiteReport[] {
    const bySite = new Map<string, SiteReport>();
    for (const { item, owner, site, slot, age } of outstanding(z)) {
      let group = bySite.get(site);
      if (group === undefined) {
        group = { site, items: 0, bytes: 0, youngest: age, oldest: age, orphans: 0, slots: [], examples: [] };
        bySite.set(site, group);
      }
      group.items++;
      group.bytes += z.rsize;
      group.youngest = Math.min(group.youngest, age);
      group.oldest = Math.max(group.oldest, age);
      if (owner === MARK_ORPHAN) group.orphans++;
      if (slot !== 0 && !group.slots.includes(slot)) group.slots.push(slot);
      if (group.examples.length < MOST_EXAMPLES) group.examples.push(item);
    }
    return [...bySite.values()].sort((a, b) => b.items - a.items);
  }

  return { note, forget, outstanding, report, idOf, textOf };
}
