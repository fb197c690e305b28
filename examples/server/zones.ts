/**
 * What the threads of the server share: the definitions of its zones and maps, as every thread imports them.
 *
 * Everything is bounded: sessions and clients by their zones' limits, requests at work by the zone of jobs. Sessions are found by
 * their number in a map whose values are handles: a session that is gone can be asked for, and is not found.
 */
import {
  type MapDefinition,
  type SharedMap,
  type Uma,
  type ZoneOf,
  array,
  bool,
  defineMap,
  defineZone,
  enumOf,
  f64,
  i32,
  openMap,
  ref,
  struct,
  u32,
} from "../../src/index.ts";

/** How much there may be of everything. */
export interface ShopSize {
  readonly sessions: number;
  /** Lines that a session's cart has room for, 16 bytes each. */
  readonly lines: number;
  readonly clients: number;
  /** Requests at work at a time; further ones wait. */
  readonly jobs: number;
}

export const LINE_BYTES = 16;

/** A line of a cart. `order` is 0 until the line is whole, then the number of the request that added it. */
const Line = struct({ sku: u32, quantity: u32, cents: u32, order: i32 });

const Job = struct({
  op: enumOf("create", "read", "add"),
  /** "crowded": there is no room for the session that was to be made. */
  status: enumOf("ok", "missing", "full", "limited", "exhausted", "crowded", "failed"),
  /** Whether a worker died over this job before: then some of it may have been done. */
  again: bool,
  order: i32,
  session: f64,
  client: f64,
  /** For a session to be made: an item that was waited for, 0 = the worker takes one. */
  made: ref("session"),
  sku: u32,
  quantity: u32,
  cents: u32,
  /** The answer. */
  hits: u32,
  lines: u32,
  retryMs: u32,
  total: f64,
});

// What the return types of these functions would be, nobody wants to read: they are inferred.
/** A shopper's session. What a dead worker had allocated stays: it is a shopper's, not the worker's. */
export const defineSession = ({ lines, sessions }: ShopSize) =>
  defineZone("session", {
    type: struct({ id: f64, seen: f64, hits: u32, used: i32, lines: array(Line, lines) }),
    handles: true,
    limit: sessions,
    // Few: what lies in one worker's cache, the others have to ask for.
    bucket: Math.max(1, Math.min(16, sessions >> 6)),
    ctor: (p, given: { id: number; now: number }) => {
      p.id = given.id;
      p.seen = given.now;
      p.hits = 0;
      p.used = 0;
    },
  });

/** A client's token bucket, see rate-limit.ts. */
export const defineClient = ({ clients }: ShopSize) =>
  defineZone("client", { type: struct({ key: f64, full: i32 }), handles: true, limit: clients });

/** A request on its way through a worker. */
export const defineJob = ({ jobs }: ShopSize) => defineZone("job", { type: Job, limit: jobs });

/** From a session's number to its handle. */
export function sessionMap({ sessions }: ShopSize): MapDefinition {
  // Twice the room: entries of sessions that have just gone may still be there.
  return defineMap("sessions", { capacity: 2 * sessions, key: "f64", value: "f64" });
}

/** From a client's number to its bucket's handle. */
export function clientMap({ clients }: ShopSize): MapDefinition {
  return defineMap("clients", { capacity: 2 * clients, key: "f64", value: "f64" });
}

export interface Shop {
  readonly sessions: ZoneOf<ReturnType<typeof defineSession>>;
  readonly clients: ZoneOf<ReturnType<typeof defineClient>>;
  readonly jobs: ZoneOf<ReturnType<typeof defineJob>>;
  readonly sessionOf: SharedMap;
  readonly clientOf: SharedMap;
}

/** Opens everything in this thread. */
export function openShop(uma: Uma, size: ShopSize): Shop {
  return {
    sessions: uma.open(defineSession(size)),
    clients: uma.open(defineClient(size)),
    jobs: uma.open(defineJob(size)),
    sessionOf: openMap(uma, sessionMap(size)),
    clientOf: openMap(uma, clientMap(size)),
  };
}

/** A memory in which all of that fits. */
export function bytesFor({ sessions, lines, clients, jobs }: ShopSize): number {
  const session = 64 + lines * LINE_BYTES;
  const bytes = 1.25 * (sessions * session + clients * 64 + jobs * 128) + 2 * 64 * (2 * sessions + 2 * clients) + 8 * 2 ** 20;
  return Math.min(2 ** 31, Math.ceil(bytes / 2 ** 20) * 2 ** 20);
}
