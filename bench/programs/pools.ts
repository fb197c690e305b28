/** Pools of objects, each with a reset on taking: an object zone, and reusify as its users write it. */
import reusify from "reusify";
import { createObjectZone } from "../../src/index.ts";
import type { Live, Peer } from "./loops.ts";

export interface PoolContender<T> {
  readonly peer: Peer<T>;
  readonly live: Live<T>;
}

class Request {
  next: Request | null = null;
  id = 0;
  path = "";
  body: object | null = null;

  reset(): void {
    this.id = 0;
    this.path = "";
    this.body = null;
  }
}

export function objectZone(): PoolContender<Request> {
  return { peer: createObjectZone("request", { create: () => new Request(), reset: (request) => request.reset() }), live: [] };
}

class Reusified implements Peer<Request> {
  private readonly pool = reusify(Request);

  alloc(): Request {
    const request = this.pool.get();
    request.reset();
    return request;
  }

  free(request: Request): void {
    this.pool.release(request);
  }
}

export function reusifyPool(): PoolContender<Request> {
  return { peer: new Reusified(), live: [] };
}
