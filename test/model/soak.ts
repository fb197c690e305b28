/**
 * Zones of all kinds against a plain model, fast enough for very many operations: what is out, whose it is, and what was written into
 * it, in arrays. Several attachments of one thread take turns, one step after the other, as workers of one memory.
 *
 * A world is one memory with some zones, made from a seed; it ends with everything freed, every slab given back and verify().
 */
import type { Uma, Zone, ZoneDefinition, ZoneOptions, defineZone } from "../../src/index.ts";

/** A copy of the library: each may attach once to a memory in a thread. */
export interface Copy {
  readonly Uma: typeof Uma;
  readonly defineZone: typeof defineZone;
}

export interface SoakReport {
  readonly operations: number;
  readonly allocations: number;
  readonly remoteFrees: number;
  readonly refusals: number;
}

/** The generator of all choices: xorshift, 32 bits. */
export class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 1;
    for (let n = 0; n < 8; n++) this.next();
  }

  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }

  /** 0 … n − 1. */
  below(n: number): number {
    return this.next() % n;
  }
}

const BYTES = 4 * 2 ** 20;
const WORKERS = 3;
/** Operations between two comparisons of the statistics, and between two of everything. */
const STATISTICS_EVERY = 4096;
const VERIFY_EVERY = 2 ** 18;
const MOST_BULK = 24;

/** What hooks have counted, of one zone. */
interface Calls {
  ctor: number;
  dtor: number;
  init: number;
  fini: number;
  refused: number;
}

/** A zone as the model knows it, and as every worker has it open. */
class Modelled {
  readonly definition: ZoneDefinition;
  readonly open: Zone[] = [];
  readonly smr: boolean;
  readonly checked: boolean;
  readonly zero: boolean;
  readonly hooked: boolean;
  readonly size: number;
  readonly calls: Calls = { ctor: 0, dtor: 0, init: 0, fini: 0, refused: 0 };
  /** Items that are out, in no order. */
  items = new Int32Array(1024);
  count = 0;
  limit: number;
  requests = 0;
  /** What each worker has set aside, at the most: a limit counts it, and a drain leaves it. */
  readonly aside: number[] = Array.from({ length: WORKERS }, () => 0);
  /** An item that is free, 0 = none is known. */
  freed = 0;

  constructor(definition: ZoneDefinition, options: ZoneOptions) {
    this.definition = definition;
    this.smr = options.smr === true;
    this.checked = options.checks !== false;
    this.zero = options.zero === true;
    this.hooked = options.ctor !== undefined;
    this.size = options.size;
    this.limit = options.limit ?? 0;
  }
}

class Difference extends Error {
  override name = "Difference";
}

/** Kinds of zones; a world has some of them. */
function kinds(dice: Dice, calls: Calls): readonly (readonly [string, ZoneOptions])[] {
  const hooks = {
    ctor: (): boolean => {
      calls.ctor++;
      if (dice.below(500) !== 0) return true;
      calls.refused++;
      return false;
    },
    dtor: (): void => void calls.dtor++,
    init: (): boolean => {
      calls.init++;
      return true;
    },
    fini: (): void => void calls.fini++,
  };
  const limit = 20 + dice.below(400);
  return [
    ["plain", { size: 64 }],
    ["small", { size: 16 }],
    ["odd", { size: 72, align: 32 }],
    ["hooked", { size: 40, ...hooks }],
    ["zeroed", { size: 48, zero: true }],
    ["born zero", { size: 96, zinit: true }],
    ["bucket of 3", { size: 200, bucket: 3 }],
    ["no bucket", { size: 136, bucket: 0 }],
    ["large", { size: 5000 }],
    ["limited", { size: 64, limit }],
    ["limited, hooked, bucket of 5", { size: 112, limit, bucket: 5, ...hooks }],
    ["largest buckets", { size: 32, maxBucket: true }],
    ["small depot", { size: 80, maxCache: 64 }],
    ["nofree", { size: 160, nofree: true }],
    ["smr", { size: 64, smr: true }],
    ["unchecked", { size: 64, checks: false }],
  ];
}

export class World {
  private readonly dice: Dice;
  private readonly umas: Uma[] = [];
  private readonly zones: Modelled[] = [];
  private readonly i32: Int32Array;
  /** By item / 16: place in its zone's list + 1 (0 = not out), whose it is, what was written into it. */
  private readonly place = new Int32Array(BYTES >> 4);
  private readonly owner = new Uint8Array(BYTES >> 4);
  private readonly stamps = new Int32Array(BYTES >> 4);
  private readonly list = new Int32Array(MOST_BULK);
  private stamp = 0;
  /** Items that a zone should have out, of 256: the population rises and falls. */
  private tide = 128;
  private allocations = 0;
  private remoteFrees = 0;
  private refusals = 0;

  /** @param copies - as many copies of the library as the world has workers. */
  constructor(copies: readonly Copy[], seed: number) {
    this.dice = new Dice(seed);
    const [first, ...others] = copies as [Copy, ...Copy[]];
    const uma = first.Uma.create({ bytes: BYTES, workers: copies.length, listen: false });
    this.umas.push(uma, ...others.map((copy) => copy.Uma.attach(uma.ticket(), { listen: false })));
    this.i32 = uma.views.i32;
    const many = kinds(this.dice, { ctor: 0, dtor: 0, init: 0, fini: 0, refused: 0 }).length;
    for (let kind = 0; kind < many; kind++) {
      if (this.dice.below(2) === 0) continue;
      const calls: Calls = { ctor: 0, dtor: 0, init: 0, fini: 0, refused: 0 };
      const [name, options] = kinds(this.dice, calls)[kind] as readonly [string, ZoneOptions];
      const zone = new Modelled(first.defineZone(name, options), options);
      Object.assign(zone, { calls });
      for (const one of this.umas) zone.open.push(one.open(zone.definition));
      this.zones.push(zone);
    }
  }

  run(operations: number): SoakReport {
    const { zones, dice } = this;
    if (zones.length === 0) return { operations: 0, allocations: 0, remoteFrees: 0, refusals: 0 };
    for (let n = 1; n <= operations; n++) {
      if ((n & 4095) === 0) this.tide = dice.below(256);
      const z = zones[dice.below(zones.length)] as Modelled;
      this.step(z);
      if (n % STATISTICS_EVERY === 0) for (const one of zones) this.compare(one);
      if (n % VERIFY_EVERY === 0) this.verify();
    }
    this.end();
    return { operations, allocations: this.allocations, remoteFrees: this.remoteFrees, refusals: this.refusals };
  }

  private step(z: Modelled): void {
    const { dice } = this;
    const what = dice.below(2048);
    if (what < 1960) {
      if (z.count === 0 || dice.below(256) < this.tide) this.alloc(z, dice.below(WORKERS));
      else this.free(z, dice.below(WORKERS));
    } else if (z.smr) {
      if (what < 2000) this.give(z, dice.below(WORKERS));
    } else if (what < 2000) this.allocBulk(z, dice.below(WORKERS), 1 + dice.below(MOST_BULK));
    else if (what < 2030) this.freeBulk(z, dice.below(WORKERS));
    else if (what < 2032) this.prefill(z, dice.below(WORKERS), dice.below(30));
    else if (what < 2034) this.give(z, dice.below(WORKERS));
    else if (what < 2036) this.prealloc(z, dice.below(WORKERS), dice.below(60));
    else if (what < 2038) this.umas[dice.below(WORKERS)]?.poll();
    else if (what < 2040) this.setMax(z);
    else if (what < 2042) this.doubleFree(z);
    else if (what < 2044) this.wrongFree(z);
    else if (what < 2046) this.handOn(z);
    else if (dice.below(16) === 0) this.reopen(z, dice.below(WORKERS));
  }

  // --- steps -----------------------------------------------------------------------------------------------------------

  private alloc(z: Modelled, worker: number): void {
    const zone = z.open[worker] as Zone;
    const { refused } = z.calls;
    const p = z.smr ? zone.allocSmr() : zone.tryAlloc();
    if (p === 0) this.nothing(z, worker, refused);
    else this.handed(z, worker, p);
  }

  /** An allocation got nothing: is there a reason? */
  private nothing(z: Modelled, worker: number, refused: number): void {
    const { lastFailure } = this.umas[worker] as Uma;
    this.refusals++;
    if (lastFailure === "REFUSED") {
      if (z.calls.refused !== refused + 1) this.differ(z, "an allocation was refused by no hook");
      return;
    }
    if (lastFailure === "LIMIT") {
      if (z.limit === 0) this.differ(z, "a limit was met that there is not");
      if (z.count > z.limit) this.differ(z, `${z.count} items are out, the limit is ${z.limit}`);
      if (this.dice.below(64) === 0) this.mustHave(z, worker);
    } else if (lastFailure !== "EMPTY") this.differ(z, `an allocation failed with ${lastFailure}`);
  }

  /** When all caches are empty and nobody waits, what the limit allows can be had; what memory there is, too. */
  private mustHave(z: Modelled, worker: number): void {
    if (z.count + z.aside.reduce((sum, count) => sum + count, 0) >= z.limit) return;
    for (const zone of z.open) zone.reclaim("drain");
    const { refused } = z.calls;
    const p = (z.open[worker] as Zone).tryAlloc();
    if (p !== 0) this.handed(z, worker, p);
    else if ((this.umas[worker] as Uma).lastFailure === "LIMIT")
      this.differ(z, `${z.count} of ${z.limit} are out, and no more are to be had`);
    else this.nothing(z, worker, refused);
  }

  private handed(z: Modelled, worker: number, p: number): void {
    const { i32, place } = this;
    const at = p >> 4;
    if ((p & 15) !== 0 || p <= 0 || p + z.size > BYTES) this.differ(z, `${p} can be no item`);
    if (place[at] !== 0) this.differ(z, `${p} is out already`);
    const last = (p + z.size - 4) >> 2;
    if (z.zero && (i32[p >> 2] !== 0 || i32[last] !== 0)) this.differ(z, `${p} is not zeroed`);
    if (z.count === z.items.length) {
      const larger = new Int32Array(2 * z.items.length);
      larger.set(z.items);
      z.items = larger;
    }
    z.items[z.count++] = p;
    place[at] = z.count;
    this.owner[at] = worker;
    const stamp = ++this.stamp | 0;
    this.stamps[at] = stamp;
    i32[p >> 2] = stamp;
    i32[last] = stamp;
    z.requests++;
    this.allocations++;
    if (z.freed === p) z.freed = 0;
    if (z.limit > 0 && z.count > z.limit) this.differ(z, `${z.count} items are out, the limit is ${z.limit}`);
  }

  /** A random item that is out; its contents are as they were left. */
  private pick(z: Modelled): number {
    const p = z.items[this.dice.below(z.count)] as number;
    const { i32 } = this;
    const stamp = this.stamps[p >> 4] as number;
    if (i32[p >> 2] !== stamp || i32[(p + z.size - 4) >> 2] !== stamp) this.differ(z, `somebody has written into ${p}`);
    return p;
  }

  /** The model's part of a free. */
  private forget(z: Modelled, p: number): void {
    const { place } = this;
    const at = place[p >> 4] as number;
    const last = z.items[--z.count] as number;
    z.items[at - 1] = last;
    place[last >> 4] = at;
    place[p >> 4] = 0;
    z.freed = p;
  }

  private free(z: Modelled, worker: number): void {
    const p = this.pick(z);
    // Two of three frees are the owner's.
    const by = this.dice.below(3) === 0 ? worker : (this.owner[p >> 4] as number);
    if (by !== this.owner[p >> 4]) this.remoteFrees++;
    this.forget(z, p);
    const zone = z.open[by] as Zone;
    if (z.smr) zone.freeSmr(p);
    else zone.free(p);
  }

  private allocBulk(z: Modelled, worker: number, count: number): void {
    const { list } = this;
    const { refused } = z.calls;
    if ((z.open[worker] as Zone).allocBulk(list, count)) {
      for (let n = 0; n < count; n++) this.handed(z, worker, list[n] as number);
      return;
    }
    for (let n = 0; n < count; n++) if (list[n] !== 0) this.differ(z, "a bulk allocation that failed left something in the list");
    z.freed = 0;
    this.nothing(z, worker, refused);
  }

  private freeBulk(z: Modelled, worker: number): void {
    const { list } = this;
    const count = Math.min(z.count, 1 + this.dice.below(MOST_BULK));
    if (count === 0) return;
    for (let n = 0; n < count; n++) {
      const p = this.pick(z);
      list[n] = p;
      this.forget(z, p);
      if (this.owner[p >> 4] !== worker) this.remoteFrees++;
    }
    (z.open[worker] as Zone).freeBulk(list, count);
  }

  private prefill(z: Modelled, worker: number, count: number): void {
    if (!this.may(z, worker, (zone) => zone.prefill(count))) return;
    z.aside[worker] = count;
    z.freed = 0;
  }

  private prealloc(z: Modelled, worker: number, count: number): void {
    this.may(z, worker, (zone) => zone.prealloc(count));
  }

  /** Does what may fail for lack of memory, or of room under the limit, and for nothing else. */
  private may(z: Modelled, worker: number, what: (zone: Zone) => void): boolean {
    try {
      what(z.open[worker] as Zone);
      return true;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== "ERR_UMA_EMPTY" && code !== "ERR_UMA_LIMIT") throw error;
      return false;
    }
  }

  private give(z: Modelled, worker: number): void {
    const mode = (["trim", "drain", "drain-cpu"] as const)[this.dice.below(3)] as "trim";
    (z.open[worker] as Zone).reclaim(mode);
    z.freed = 0;
  }

  private setMax(z: Modelled): void {
    if (z.limit === 0) return;
    // What is cached counts, and what is set aside stays so: below a limit with it the zone would be over it for a while.
    const limit = z.count + z.aside.reduce((sum, count) => sum + count, 1) + this.dice.below(400);
    for (const zone of z.open) zone.reclaim("drain");
    z.freed = 0;
    (z.open[0] as Zone).setMax(limit);
    z.limit = limit;
  }

  private mustThrow(z: Modelled, p: number, codes: readonly string[]): void {
    let code: string | undefined;
    try {
      (z.open[this.dice.below(WORKERS)] as Zone).free(p);
    } catch (error) {
      ({ code } = error as { code?: string });
      if (code === undefined) throw error;
    }
    if (code === undefined || !codes.includes(code)) this.differ(z, `a wrong free of ${p} ended with ${code ?? "success"}`);
  }

  private doubleFree(z: Modelled): void {
    if (z.freed !== 0 && z.checked) this.mustThrow(z, z.freed, ["ERR_UMA_DOUBLE_FREE", "ERR_UMA_ADDRESS", "ERR_UMA_WRONG_ZONE"]);
  }

  private wrongFree(z: Modelled): void {
    if (z.count === 0 || !z.checked) return;
    this.mustThrow(z, this.pick(z) + 1 + this.dice.below(15), ["ERR_UMA_ADDRESS"]);
  }

  private handOn(z: Modelled): void {
    if (z.count === 0 || !z.checked) return;
    const p = this.pick(z);
    const from = this.owner[p >> 4] as number;
    const to = this.dice.below(WORKERS);
    const zone = z.open[from] as Zone;
    if (to !== from) zone.transfer(p, to + 1);
    this.owner[p >> 4] = to;
    if (zone.ownerOf(p) !== to + 1) this.differ(z, `${p} was handed to worker ${to} and belongs to slot ${zone.ownerOf(p)}`);
  }

  private reopen(z: Modelled, worker: number): void {
    (z.open[worker] as Zone).close();
    z.open[worker] = (this.umas[worker] as Uma).open(z.definition);
    z.aside[worker] = 0;
    z.freed = 0;
  }

  // --- comparisons -----------------------------------------------------------------------------------------------------

  private compare(z: Modelled, last = false): void {
    const { used, requests, limit } = (z.open[this.dice.below(WORKERS)] as Zone).stats();
    // An SMR item that is freed while there is no memory for a bucket is kept until there is.
    if (z.smr && !last ? used < z.count : used !== z.count)
      this.differ(z, `${used} items are out by the statistics, ${z.count} by the model`);
    if (requests !== z.requests) this.differ(z, `${requests} requests by the statistics, ${z.requests} by the model`);
    if (limit !== z.limit) this.differ(z, `the limit is ${limit}, not ${z.limit}`);
    if (z.hooked && z.calls.ctor - z.calls.dtor - z.calls.refused !== z.count)
      this.differ(z, `${z.calls.ctor} ctors, ${z.calls.refused} of them refusing, ${z.calls.dtor} dtors, and ${z.count} items are out`);
  }

  private verify(): void {
    const { ok, problems } = (this.umas[0] as Uma).verify();
    if (!ok) throw new Difference(problems.slice(0, 3).join("; "));
  }

  private differ(z: Modelled, what: string): never {
    throw new Difference(`zone "${z.definition.name}": ${what}`);
  }

  /** Everything back: nothing may be left. */
  private end(): void {
    for (const z of this.zones) {
      while (z.count > 0) this.free(z, this.dice.below(WORKERS));
      for (let round = 0; round < 2; round++) for (const zone of z.open) zone.reclaim("drain");
      this.compare(z, true);
      const { slabs, freeInCaches, freeInDepot } = (z.open[0] as Zone).stats();
      const nofree = z.definition.name === "nofree";
      const { init, fini } = z.calls;
      // A prefill is not given up until it is closed.
      for (const zone of z.open) zone.close();
      if (!nofree && freeInCaches === 0 && (slabs !== 0 || freeInDepot !== 0)) this.differ(z, `${slabs} slabs are left`);
      if (!nofree && slabs === 0 && init !== fini) this.differ(z, `${init} inits and ${fini} finis`);
    }
    this.verify();
    for (const uma of this.umas.toReversed()) uma.detach();
  }
}
