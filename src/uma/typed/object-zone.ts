/**
 * Object zones: ordinary JavaScript objects, kept and handed out again by the thread that made them.
 *
 * The same hooks, limits, statistics and reports as zones of shared memory, for what cannot lie there: objects with references,
 * strings, closures. One thread only; nothing here is shared.
 *
 * Each object carries one more property, under a symbol and not enumerable, from its birth on: the number of its zone while it is
 * out, the next free object while it is free. So a second release, and one to the wrong zone, are found by one comparison, and the
 * free objects are a list: the one released last is handed out next, while it is still in the processor's cache. (An array of them
 * costs half as much again: each store into it is checked for length and reported to the garbage collector.)
 *
 * Each zone has a class of its own from a factory, with the hooks as constants, for the reason that uma/zone-classes.ts gives.
 */
import { UmaCorruptionError, UmaError, optionError } from "../../backend/memory/errors.ts";
import type { Argument } from "./handles.ts";
import { MOST, type ObjectZoneDefinition, type ObjectZoneOptions, defineObjectZone } from "./object-definition.ts";
import { type AnyObjectZone, type ObjectLeakReport, tracked } from "./object-tracking.ts";

export interface ObjectZoneStatistics {
  readonly name: string;
  /** Objects that may exist; 0 = no limit. */
  readonly limit: number;
  readonly used: number;
  readonly free: number;
  /** Successful allocations, and those that failed. */
  readonly requests: number;
  readonly fail: number;
  /** Objects ever made, and let go. */
  readonly created: number;
  readonly dropped: number;
}

export interface ObjectZone<T extends object, A = unknown> {
  readonly name: string;
  /** Takes an object. @throws UmaError ERR_UMA_LIMIT, ERR_UMA_HOOK, ERR_UMA_ZONE_CLOSED. */
  alloc(...arg: Argument<A>): T;
  /** Takes an object; null when the limit is reached or ctor refuses. */
  tryAlloc(...arg: Argument<A>): T | null;
  /**
   * Frees an object.
   * @throws UmaCorruptionError ERR_UMA_DOUBLE_FREE; UmaError ERR_UMA_FOREIGN for what is not of this zone; and nothing happens.
   */
  free(object: T): void;
  /** The same as alloc and free, by the names that pools have. */
  acquire(...arg: Argument<A>): T;
  release(object: T): void;
  /** Makes objects until at least `count` are free. @throws UmaError ERR_UMA_LIMIT, ERR_UMA_HOOK. */
  prealloc(count: number): void;
  /** Lets free objects go, but for the `keep` freed last. @returns how many. */
  reclaim(keep?: number): number;
  stats(): ObjectZoneStatistics;
  /** What is out now. */
  leaks(): ObjectLeakReport;
  /** Ends the zone: free objects go through fini. @throws UmaError ERR_UMA_OUTSTANDING with the count, unless forced. */
  destroy(options?: { readonly force?: boolean }): ObjectLeakReport;
  [Symbol.dispose](): void;
}

/** Under this key an object carries its zone's number while it is out, the next free one (null: the last) while it is free. */
const LINK: unique symbol = Symbol("zalloc");

interface Linked {
  [LINK]: number | Linked | null;
}

let zones = 0;

/**
 * Makes a zone of objects for this thread.
 * @throws UmaError ERR_UMA_OPTION; ERR_UMA_HOOK when an object to be made at once was refused.
 */
export function createObjectZone<T extends object, A = unknown>(name: string, options: ObjectZoneOptions<T, A>): ObjectZone<T, A>;
export function createObjectZone<T extends object, A = unknown>(definition: ObjectZoneDefinition<T, A>): ObjectZone<T, A>;
export function createObjectZone<T extends object, A>(
  named: string | ObjectZoneDefinition<T, A>,
  options?: ObjectZoneOptions<T, A>,
): ObjectZone<T, A> {
  const definition = typeof named === "string" ? defineObjectZone(named, options as ObjectZoneOptions<T, A>) : named;
  const ZoneClass = makeClass(definition);
  const zone = definition.track ? tracked(new ZoneClass()) : new ZoneClass();
  zone.prealloc(definition.prealloc);
  return zone as unknown as ObjectZone<T, A>;
}

function makeClass<T extends object, A>(definition: ObjectZoneDefinition<T, A>): new () => AnyObjectZone<T> {
  const { name, create, init, ctor, dtor, fini, limit, maxFree } = definition;
  const bounded = maxFree !== MOST;
  const LIVE = ++zones;
  type Kept = T & Linked;
  /** The first free object. */
  let head: Kept | null = null;
  /**
   * Successful allocations, but for `carried`: 31 bits, in a buffer, where counting up is one instruction and no check of what type
   * the sum has (as a property it cost 0.5 ns of 3.7).
   */
  const requests = new Int32Array(new ArrayBuffer(4));

  class ObjectZoneOf {
    readonly name = name;
    carried = 0;
    fails = 0;
    created = 0;
    dropped = 0;
    closed = false;

    alloc(arg?: unknown): T {
      const object = head;
      if (object !== null) {
        head = object[LINK] as Kept | null;
        object[LINK] = LIVE;
        if ((requests[0] = (requests[0] + 1) | 0) < 0) this.carry();
        if (ctor === null) return object;
        // Written out, here and below: as a method of its own, which V8 does not see through, it cost a fifth of the whole.
        let accepted: boolean | void = false;
        try {
          accepted = ctor(object, arg as A);
        } catch (cause) {
          throw this.threw(object, cause);
        }
        if (accepted !== false) return object;
        this.refused(object);
        throw this.failed();
      }
      return this.allocSlow(arg, true) as T;
    }

    tryAlloc(arg?: unknown): T | null {
      const object = head;
      if (object !== null) {
        head = object[LINK] as Kept | null;
        object[LINK] = LIVE;
        if ((requests[0] = (requests[0] + 1) | 0) < 0) this.carry();
        if (ctor === null) return object;
        let accepted: boolean | void = false;
        try {
          accepted = ctor(object, arg as A);
        } catch (cause) {
          throw this.threw(object, cause);
        }
        if (accepted !== false) return object;
        this.refused(object);
        return null;
      }
      return this.allocSlow(arg, false);
    }

    free(object: T): void {
      let link: unknown = null;
      // What has no properties at all is found this way for nothing: two comparisons with null and undefined cost a fifth.
      try {
        link = (object as Kept)[LINK];
      } catch {}
      if (link === LIVE) {
        if (dtor !== null) this.destruct(object as Kept);
        if (bounded) return this.putBack(object as Kept);
        (object as Kept)[LINK] = head;
        head = object as Kept;
        return;
      }
      // Nothing may come after: a way out without a throw makes V8's code for the whole function a third slower.
      throw misplaced(name, object, LIVE);
    }

    acquire(arg?: unknown): T {
      return this.alloc(arg);
    }

    release(object: T): void {
      this.free(object);
    }

    /** @returns false when ctor refused, and the object is free again. */
    construct(object: Kept, arg: unknown): boolean {
      try {
        if ((ctor as NonNullable<typeof ctor>)(object, arg as A) !== false) return true;
      } catch (cause) {
        throw this.threw(object, cause);
      }
      this.refused(object);
      return false;
    }

    threw(object: Kept, cause: unknown): UmaError {
      this.refused(object);
      return hookError("ctor", name, cause);
    }

    /** While dtor runs the object is nobody's: not live, and not on the list. */
    destruct(object: Kept): void {
      object[LINK] = null;
      try {
        (dtor as NonNullable<typeof dtor>)(object);
      } catch (cause) {
        this.putBack(object);
        throw hookError("dtor", name, cause);
      }
    }

    /** The count is negative: because it has run over, or because what was counted before it was carried was refused. */
    carry(): void {
      if (requests[0] !== -(2 ** 31)) return;
      requests[0] = 0;
      this.carried += 2 ** 31;
    }

    refused(object: Kept): void {
      requests[0]--;
      this.fails++;
      this.putBack(object);
    }

    putBack(object: Kept): void {
      object[LINK] = null;
      if (this.closed || (bounded && this.freeCount() >= maxFree)) return this.drop(object);
      object[LINK] = head;
      head = object;
    }

    freeCount(): number {
      let count = 0;
      for (let object: Linked | null = head; object !== null; object = object[LINK] as Linked | null) count++;
      return count;
    }

    allocSlow(arg: unknown, must: boolean): T | null {
      if (this.closed) throw closedError(name);
      if (limit !== 0 && this.created - this.dropped >= limit) {
        this.fails++;
        if (!must) return null;
        throw new UmaError("ERR_UMA_LIMIT", `object zone "${name}" is at its limit of ${limit}; raise it, or free objects`, {
          zone: name,
          value: limit,
        });
      }
      const object = this.make();
      if (object === null) {
        this.fails++;
        if (must) throw this.failed();
        return null;
      }
      if ((requests[0] = (requests[0] + 1) | 0) < 0) this.carry();
      if (ctor === null || this.construct(object, arg)) return object;
      if (must) throw this.failed();
      return null;
    }

    /** Makes an object that is out. @returns null when init refused. */
    make(): Kept | null {
      let object: T;
      try {
        object = create();
        if (init !== null && init(object) === false) return null;
      } catch (cause) {
        throw hookError("create or init", name, cause);
      }
      if (typeof object !== "object" || object === null || !Object.isExtensible(object) || LINK in object) {
        throw new UmaError("ERR_UMA_HOOK", `create of object zone "${name}" returned no new, extensible object`, { zone: name });
      }
      Object.defineProperty(object, LINK, { value: LIVE, writable: true, enumerable: false, configurable: false });
      this.created++;
      return object as Kept;
    }

    /** Lets a free object go; the count of what exists is right even if fini throws. */
    drop(object: T): void {
      this.dropped++;
      try {
        fini?.(object);
      } catch (cause) {
        throw hookError("fini", name, cause);
      }
    }

    failed(): UmaError {
      return new UmaError("ERR_UMA_HOOK", `a hook of object zone "${name}" refused the object`, { zone: name });
    }

    prealloc(count: number): void {
      if (!Number.isInteger(count) || count < 0 || count > MOST)
        throw optionError("count of prealloc", count, `an integer from 0 to ${MOST}`, name);
      if (this.closed) throw closedError(name);
      for (let missing = count - this.freeCount(); missing > 0; missing--) {
        if (limit !== 0 && this.created - this.dropped >= limit) {
          throw new UmaError("ERR_UMA_LIMIT", `prealloc of object zone "${name}": the limit is ${limit}`, { zone: name, value: limit });
        }
        const object = this.make();
        if (object === null) throw this.failed();
        this.putBack(object);
      }
    }

    reclaim(keep: number = 0): number {
      let last: Kept | null = null;
      let going = head;
      for (let kept = 0; kept < keep && going !== null; kept++) {
        last = going;
        going = going[LINK] as Kept | null;
      }
      if (last === null) head = null;
      else last[LINK] = null;
      let gone = 0;
      let failure: unknown = null;
      while (going !== null) {
        const next = going[LINK] as Kept | null;
        gone++;
        try {
          this.drop(going);
        } catch (error) {
          failure ??= error;
        }
        going = next;
      }
      if (failure !== null) throw failure;
      return gone;
    }

    stats(): ObjectZoneStatistics {
      const { fails, created, dropped } = this;
      const free = this.freeCount();
      const all = this.carried + requests[0];
      return { name, limit, used: created - dropped - free, free, requests: all, fail: fails, created, dropped };
    }

    leaks(): ObjectLeakReport {
      return { zone: name, outstanding: this.stats().used, sites: [] };
    }

    destroy(options: { readonly force?: boolean } = {}): ObjectLeakReport {
      const report = this.leaks();
      if (report.outstanding > 0 && options.force !== true) {
        const where = report.sites.map(({ site, count }) => `\n${count} allocated at ${site}`).join("");
        throw new UmaError(
          "ERR_UMA_OUTSTANDING",
          `object zone "${name}" has ${report.outstanding} objects out; free them, or destroy with force: true${where}`,
          { zone: name, value: report.outstanding },
        );
      }
      this.closed = true;
      // What comes back late is let go. At the end of its life the zone may change its shape.
      Object.assign(this, { free: (object: T): void => this.freeLate(object) });
      this.reclaim();
      return report;
    }

    freeLate(object: T): void {
      if ((object as Partial<Linked> | null | undefined)?.[LINK] !== LIVE) throw misplaced(name, object, LIVE);
      if (dtor !== null) this.destruct(object as Kept);
      this.putBack(object as Kept);
    }

    [Symbol.dispose](): void {
      if (!this.closed) this.destroy();
    }
  }

  return ObjectZoneOf;
}

function misplaced(zone: string, object: object | null | undefined, live: number): UmaError {
  const link = (object as Partial<Linked> | null | undefined)?.[LINK];
  if (link === undefined) return new UmaError("ERR_UMA_FOREIGN", `what was freed in object zone "${zone}" is of no object zone`, { zone });
  if (typeof link === "number")
    return new UmaError("ERR_UMA_FOREIGN", `what was freed in object zone "${zone}" (${live}) is of another (${link})`, { zone });
  return new UmaCorruptionError("ERR_UMA_DOUBLE_FREE", `what was freed in object zone "${zone}" is free already`, { zone });
}

function closedError(zone: string): UmaError {
  return new UmaError("ERR_UMA_ZONE_CLOSED", `object zone "${zone}" was destroyed`, { zone });
}

function hookError(hook: string, zone: string, cause: unknown): UmaError {
  return new UmaError("ERR_UMA_HOOK", `the ${hook} hook of object zone "${zone}" threw: ${String(cause)}`, { zone, cause });
}
