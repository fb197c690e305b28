/**
 * What the scenarios have in common: a case says who works and who may die; what a death brings about, and what must hold at the
 * end, is the same for all.
 *
 * A worker tells the check what it has in its hands: `alloc` notes an item when it has been handed out, `free` notes it before
 * it gives it back. At the end, with everybody alive finished and every dead worker recovered:
 *
 *  1. verify() finds nothing wrong;
 *  2. what a living worker holds is marked with its slot, so nobody else can hold it (unless another has begun to free it);
 *  3. what is outstanding, orphans aside, is exactly what the living hold;
 *  4. what a dead worker held is an orphan (or was freed by somebody), and there are no more orphans than that, give or take the
 *     one item that each dead worker may have had on its way;
 *  5. every dead worker's slot is free again, at the next generation;
 *  6. nobody stands in a zone's queue of waiters;
 *  7. where nobody died, no worker has been asked for something without its hot path being turned off.
 */
import { call, note, read, runSync, type Program, type Scenario, type Victim, type WorkerEnd } from "../../tools/explore/index.ts";
import {
  type Attachment,
  type Definition,
  type MiniOptions,
  type MiniWorld,
  defineZone,
  finishUnfinished,
  layout,
  miniWorld,
} from "./world.ts";

type Steps<T> = Generator<unknown, T, unknown>;

/** Items of 1000 bytes: four a slab, so that slabs run out fast. Buckets of two. */
export function small(name: string, more: Partial<Parameters<typeof defineZone>[1]> = {}): Definition {
  return runSync(defineZone(name, { size: 1000, bucket: 2, ...more }));
}

const ORPHAN: number = layout.MARK_ORPHAN;

/** What a worker does, over its attachment. */
export type Work = (a: Attachment) => Steps<unknown>;

export interface Case {
  readonly name: string;
  readonly quick?: boolean;
  /** Where it does not end in the time: a preemption bound, or seconds. */
  readonly bounds?: Pick<Scenario, "preemptionBound" | "maxSeconds" | "maxStates" | "earlyTimeouts">;
  readonly world: Omit<MiniOptions, "workers" | "opens">;
  /** A worker for each. */
  readonly works: readonly Work[];
  /** Deaths in all, recoverers' included; default 0. */
  readonly kills?: number;
  /** Which workers may die; default: all, and recoverers. */
  readonly mayKill?: (worker: number) => boolean;
  /** Recoverers started by each death: they race for the claim. Default 1. */
  readonly recoverers?: number;
  /** Whether recoverers have the zones open; default true. */
  readonly recoverersOpen?: boolean;
  /** Which zones a worker has open; default: all. */
  readonly opens?: (worker: number, zone: number) => boolean;
  /** Items that the set-up left in a worker's hands: addresses by worker. They count as handed to it. */
  readonly held?: (world: MiniWorld, worker: number) => readonly number[];
  /** Nothing is said of whose items are: for cases that destroy zones by force. */
  readonly loose?: boolean;
  /** How many orphans more than the rule says: items of a slab that died half built. Default 0. */
  readonly moreOrphans?: number;
  /** What a recoverer does when all is recovered: it may become the next tenant, or finish something. */
  readonly afterRecovery?: Work;
  readonly check?: (end: End) => void;
}

/** The end of a schedule, as the check sees it. */
export interface End {
  readonly world: MiniWorld;
  readonly ends: readonly WorkerEnd[];
  readonly outstanding: number;
  readonly orphans: number;
  /** Items in the hands of the living. */
  readonly living: readonly number[];
  /** All that was noted beside items, of everybody. */
  readonly said: readonly unknown[];
}

/** Workers of a case: the works, then for each generation of deaths a block of recoverers for each work. */
function recovererOf(c: Case, original: number, generation: number, racer: number): number {
  const racers = c.recoverers ?? 1;
  return c.works.length + (generation * c.works.length + original) * racers + racer;
}

export function numberOfWorkers(c: Case): number {
  return c.works.length * (1 + (c.kills ?? 0) * (c.recoverers ?? 1));
}

/** The number at a worker's name's end. */
function numberIn(name: string): number {
  return Number(name.replace(/^\D+/, ""));
}

/** A full run of all scenarios on two processes stays below 15 minutes. */
const MOST_SECONDS = 16;

export function scenario(c: Case): Scenario {
  return {
    maxSeconds: MOST_SECONDS,
    ...c.bounds,
    name: c.name,
    maxDepth: 6000,
    maxKills: c.kills ?? 0,
    quick: c.quick ?? false,
    ...(c.mayKill === undefined ? {} : { mayKill: (name: string) => c.mayKill?.(numberIn(name)) ?? true }),
    build() {
      const world = miniWorld({
        ...c.world,
        workers: numberOfWorkers(c),
        opens: (worker, zone) => (worker < c.works.length ? (c.opens?.(worker, zone) ?? true) : (c.recoverersOpen ?? true)),
      });
      return {
        buffer: world.buffer,
        locks: world.locks,
        workers: c.works.map((work, n) => ({
          name: `worker${n}`,
          *run() {
            for (const item of c.held?.(world, n) ?? []) note(item);
            return yield* work(world.attach(n));
          },
        })),
        onKill: (victim) => recoverersFor(c, world, victim),
        check: (ends) => checkEnd(c, world, ends),
      };
    },
  };
}

/** A death certificate brings a recoverer, or several; a recoverer's death another one, which recovers both. */
function recoverersFor(c: Case, world: MiniWorld, victim: Victim): Program[] {
  const chain = victim.chain.map(numberIn);
  const original = chain.at(-1) as number;
  const dead = chain.map((worker) => world.names[worker] as number).reverse();
  return Array.from({ length: c.recoverers ?? 1 }, (_, racer) => {
    const me = recovererOf(c, original, chain.length - 1, racer);
    return {
      name: `recoverer${me}`,
      *run() {
        const a = world.attach(me);
        yield* recover(a, dead);
        if (c.afterRecovery) return yield* c.afterRecovery(a);
        return undefined;
      },
    };
  });
}

/** Recovers the named workers, however often it takes. */
export function* recover(a: Attachment, names: readonly number[]): Steps<void> {
  const { slots } = a.core.floor;
  for (let left = names; left.length > 0; ) {
    const next: number[] = [];
    for (const name of left) {
      yield* call(slots.certify(name));
      const report = yield* call(a.recovery.run(name));
      if (report === null ? yield* call(slots.isDead(name)) : !report.done) next.push(name);
    }
    left = next;
    if (left.length > 0) yield* a.world.nap();
  }
}

/** Items that a worker's notes leave in its hands; those of others that it has begun to free go into `limbo`. */
function handsOf(end: WorkerEnd, limbo: Set<number>): number[] {
  const hands = new Set<number>();
  for (const said of end.notes) {
    if (typeof said !== "number") continue;
    if (said > 0) hands.add(said);
    else if (!hands.delete(-said)) limbo.add(-said);
  }
  return [...hands];
}

function checkEnd(c: Case, world: MiniWorld, ends: readonly WorkerEnd[]): void {
  const verdict = runSync(world.observer.verify());
  if (!verdict.ok) throw new Error(verdict.problems.slice(0, 4).join("; "));
  const said = ends.flatMap((end) => end.notes.filter((n) => typeof n !== "number"));
  const bad = said.find((n) => typeof n === "string" && n.startsWith("bad"));
  if (typeof bad === "string") throw new Error(bad);
  const living: number[] = [];
  let deadHands = 0;
  let dead = 0;
  const limbo = new Set<number>();
  const allHands = ends.map((end) => handsOf(end, limbo));
  for (const [n, end] of ends.entries()) {
    const worker = numberIn(end.name);
    const hands = allHands[n] as number[];
    if (end.status === "killed") {
      dead++;
      deadHands += hands.length;
      const name = world.names[worker] as number;
      const tenant = runSync(world.observer.core.floor.slots.tenant(worker + 1));
      if (tenant === name) throw new Error(`${end.name} is dead and its slot was never given back`);
      continue;
    }
    if (c.loose) continue;
    for (const item of hands) {
      const owner = ownerOf(world, item);
      if (owner === worker + 1) living.push(item);
      else if (!limbo.has(item)) throw new Error(`${end.name} holds ${item}, whose owner is slot ${owner}`);
    }
  }
  // Handed on, and not yet taken up by a worker whose it is already.
  const adrift = [...limbo].filter((item) => !living.includes(item) && ownerOf(world, item) > 0 && ownerOf(world, item) !== ORPHAN);
  if (new Set(living).size !== living.length) throw new Error(`an item was handed out twice: ${living.join(", ")}`);
  if (dead === 0) mustBeSeen(world);
  for (const zone of world.observer.zones)
    if (zone !== undefined && world.i32[zone.zone + layout.ZONE_SLEEPERS] !== 0) throw new Error("somebody still stands in a zone's queue");
  const { outstanding, orphans } = verdict;
  if (!c.loose) {
    const known = living.length + adrift.length;
    if (outstanding - orphans !== known)
      throw new Error(`${outstanding - orphans} items are in living hands by the marks, ${known} by those who hold them`);
    if (orphans > deadHands + dead + (c.moreOrphans ?? 0)) throw new Error(`${orphans} orphans; the dead held ${deadHands}`);
  }
  c.check?.({ world, ends, outstanding, orphans, living, said });
}

/** Who is asked for something leaves the hot path at its next free: TOP is 0 while REASONS are given. */
function mustBeSeen({ lines, i32 }: MiniWorld): void {
  for (const line of lines) {
    if (i32[line + layout.LINE_REASONS] !== 0 && i32[line + layout.LINE_TOP] !== 0) throw new Error("a call for attention is not seen");
  }
}

/** Slot that an item is marked with: 0 = free, 127 = orphan, −1 = it is no item of any zone. */
export function ownerOf(world: MiniWorld, item: number): number {
  for (const zone of world.observer.zones) {
    try {
      return runSync(zone.ownerOf(item));
    } catch {
      // Not this zone's.
    }
  }
  return -1;
}

/** Allocates and tells; 0 when there is none. */
export function* alloc(a: Attachment, zone = 0): Steps<number> {
  const item = yield* call((a.zones[zone] as Attachment["zones"][0]).tryAlloc());
  if (item !== 0) note(item);
  return item;
}

/** Tells and frees. */
export function* free(a: Attachment, item: number, zone = 0): Steps<void> {
  note(-item);
  yield* call((a.zones[zone] as Attachment["zones"][0]).free(item));
}

/** Allocates `count` items, then frees them all. */
export function pairs(count = 1, zone = 0): Work {
  return function* (a) {
    const items: number[] = [];
    for (let n = 0; n < count; n++) items.push(yield* alloc(a, zone));
    for (const item of items) if (item !== 0) yield* free(a, item, zone);
  };
}

/** Allocates `count` items and keeps them. */
export function keeps(count = 1, zone = 0): Work {
  return function* (a) {
    for (let n = 0; n < count; n++) yield* alloc(a, zone);
  };
}

/** Does what others have asked for, and finishes what locks out of reach had cut short: what `uma.poll()` does. */
export function* poll(a: Attachment): Steps<void> {
  const { core } = a;
  yield* call(core.floor.locks.mend());
  yield* call(a.recovery.finishOwnFrames());
  yield* call(a.closing.finish());
  yield* call(finishUnfinished(core));
  for (const z of core.open) {
    if (z !== undefined && (yield* read(a.world.i32, z.line + layout.LINE_REASONS)) !== 0) yield* call(a.services.attend(z));
  }
}

/** Leaves in order, as `uma.detach()` does, however often it takes, and then is no worker any more. */
export const leaves: Work = function* (a) {
  yield* alloc(a);
  const { floor } = a.core;
  for (;;) {
    yield* call(floor.locks.mend());
    yield* call(a.recovery.finishOwnFrames());
    const report = yield* call(a.recovery.leave());
    let { done } = report;
    for (const zone of a.zones) if (!(yield* call(a.closing.close(zone)))) done = false;
    if (!(yield* call(a.closing.finish())) || (yield* call(floor.intents.depth())) > 0) done = false;
    if (done) break;
    yield* call(floor.handing.setLeaving(false));
    yield* a.world.nap();
  }
  yield* call(floor.slots.retire(floor.me));
  note("left");
};

/** Gives back what can be given back. */
export const reclaims: Work = function* (a) {
  yield* call(a.zones[0]?.reclaim());
};

/** In a set-up: gives worker `n` a bucket with items and room, by one pair of its own. */
export function warm(all: readonly Attachment[], ...workers: number[]): void {
  for (const n of workers) {
    const zone = all[n]?.zones[0] as Attachment["zones"][0];
    runSync(zone.free(runSync(zone.alloc())));
  }
}

/** In a set-up: items that worker `n` holds, remembered in the scenario's mailbox from word `at` on. */
export function hold(a: Attachment, count: number, at = 0, zone = 0): void {
  for (let n = 0; n < count; n++) {
    a.world.i32[a.world.mail + at + n] = runSync((a.zones[zone] as Attachment["zones"][0]).alloc());
  }
}

/** Frees an item that may be somebody else's already. @returns whether it was freed. */
export function* tryFree(a: Attachment, item: number, zone = 0): Steps<boolean> {
  try {
    yield* call((a.zones[zone] as Attachment["zones"][0]).free(item));
    return true;
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code !== "ERR_UMA_DOUBLE_FREE" && code !== "ERR_UMA_ITEM_BUSY") throw error;
    return false;
  }
}

export { layout };
