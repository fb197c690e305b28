/**
 * Frees what no map names any more: sessions that were ended or have expired, clients who have all their tokens, and what a worker
 * had made but not entered when it was killed.
 *
 * Workers only ever make and enter; this thread alone frees. It knows which jobs are at work, so it knows when nobody can hold an
 * address any more: an item that no map named is left until all jobs of that time are done; if it has no name still, and once more
 * so, it is freed. (Twice, because a job of the first time may have named it for a moment, and one after it have found it there.)
 */
import type { SharedMap } from "../../src/index.ts";
import { fullFor } from "./rate-limit.ts";
import type { Shop } from "./zones.ts";

export interface Janitor {
  /** Goes on for a moment: looks at some items, and frees those whose time has come. */
  work(): void;
  /** Ends a session. @returns whether there was one. */
  end(session: number): boolean;
  /** Goes on until nothing nameless is left; nobody may be at work. */
  finish(): void;
}

export interface JanitorOptions {
  /** Seconds after which a session that nobody asks for ends. */
  readonly ttl: number;
  /** Seconds since the server began. */
  readonly now: () => number;
  /** The number of the oldest job at work; Infinity when there is none. */
  readonly oldest: () => number;
  /** The number of the next job. */
  readonly next: () => number;
}

interface Nameless {
  readonly handle: number;
  readonly round: number;
  /** Jobs before this one may know of it. */
  readonly before: number;
}

interface Caretaker {
  end(key: number): boolean;
  look(item: number, key: number, over: boolean): void;
  free(): void;
}

/** What a zone whose items stand in a map can do. */
interface Named {
  get(handle: number): number;
  handleOf(item: number): number;
  freeHandle(handle: number): void;
}

/** Seconds after which a client who has all tokens is forgotten. */
const CLIENT_TTL = 10;
/** Items looked at in one go. */
const SLICE = 512;
const ROUNDS = 2;

export function createJanitor(shop: Shop, { ttl, now, oldest, next }: JanitorOptions): Janitor {
  const { sessions, sessionOf, clients, clientOf } = shop;
  const lists = [caretake(sessions, sessionOf), caretake(clients, clientOf)] as const;
  let fromSession = 0;
  let fromClient = 0;

  /** Keeps the list of the nameless of one zone. */
  function caretake(zone: Named, map: SharedMap): Caretaker {
    const nameless = new Map<number, Nameless>();

    return {
      end(key) {
        const handle = map.get(key) ?? 0;
        // What was named until now is known to those at work, and to nobody after them.
        if (handle !== 0 && map.delete(key)) nameless.set(zone.get(handle), { handle, round: ROUNDS, before: next() });
        return handle !== 0;
      },
      look(item, key, over) {
        if (nameless.has(item)) return;
        const handle = zone.handleOf(item);
        const isNamed = map.get(key) === handle;
        if (isNamed && !over) return;
        if (isNamed) map.delete(key);
        nameless.set(item, { handle, round: 1, before: next() });
      },
      free() {
        for (const [item, { handle, round, before }] of nameless) {
          if (oldest() < before) continue;
          nameless.delete(item);
          // Entered after all: it was being made when we looked.
          if (map.get(keyOf(zone, item)) === handle) continue;
          if (round < ROUNDS) nameless.set(item, { handle, round: round + 1, before: next() });
          else zone.freeHandle(handle);
        }
      },
    };
  }

  function keyOf(zone: Named, item: number): number {
    return zone === (sessions as Named) ? sessions.at(item).id : clients.at(item).key;
  }

  function look(items: number): void {
    fromSession = sessions.forEach((p, item) => lists[0].look(item, p.id, now() - p.seen > ttl), { from: fromSession, items });
    fromClient = clients.forEach((p, item) => lists[1].look(item, p.key, fullFor(p.full, now()) > CLIENT_TTL), { from: fromClient, items });
    for (const list of lists) list.free();
  }

  return {
    work: () => look(SLICE),
    end: (session) => lists[0].end(session),
    finish() {
      for (let round = 0; round <= ROUNDS; round++) {
        fromSession = 0;
        fromClient = 0;
        look(Number.POSITIVE_INFINITY);
      }
    },
  };
}
