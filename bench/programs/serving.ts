/**
 * The example server under load: sessions in shared memory against sessions passed by structured clone.
 *
 * Each request reads a whole session, which is 2 kB or 200 kB long. Server and workers are in the case's process, who asks in
 * another; the time of a request is the wall-clock time over all connections.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Backend } from "../../examples/server/backend.ts";
import { createCloneBackend } from "../../examples/server/clone-backend.ts";
import { serve } from "../../examples/server/http.ts";
import { type Load, type Outcome, makeSessions } from "../../examples/server/load.ts";
import { type BackendOptions, createSharedBackend } from "../../examples/server/shared-backend.ts";
import type { Case, Figures, Row, SliceProgram } from "../harness/suite.ts";

const LINE_BYTES = 16;
const CONNECTIONS = 10;
const WARM_UP_REQUESTS = 2000;
/** Requests of the shortest slice. */
const LEAST_REQUESTS = 300;
const SLICE_MS = 1500;
const SIZES: Readonly<Record<string, { readonly bytes: number; readonly sessions: number }>> = {
  "2 kB": { bytes: 2_048, sessions: 200 },
  "200 kB": { bytes: 204_800, sessions: 50 },
};
const BACKENDS: Readonly<Record<string, (options: BackendOptions) => Backend>> = {
  "server, shared": createSharedBackend,
  "server, cloned": createCloneBackend,
};

async function ask(asker: ChildProcess, order: Load): Promise<Outcome> {
  asker.send(order);
  const [outcome] = (await once(asker, "message")) as [Outcome | { readonly failed: string }];
  if ("failed" in outcome) throw new Error(outcome.failed);
  const answered = outcome.codes["200"] ?? 0;
  if (outcome.errors > 0 || answered !== outcome.requests) throw new Error(`not all was answered: ${JSON.stringify(outcome)}`);
  return outcome;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

async function server(make: (options: BackendOptions) => Backend, bytes: number, sessions: number): Promise<SliceProgram> {
  const lines = bytes / LINE_BYTES;
  const backend = make({ workers: 2, size: { sessions, lines, clients: 16, jobs: 64 }, limit: null, patience: 1000, ttl: 3600 });
  const serving = await serve(backend);
  const { url } = serving;
  const names = await makeSessions(url, sessions, lines);
  const asker = fork(fileURLToPath(new URL("./server-load.js", import.meta.url)), { execArgv: [] });
  const order = { url, sessions: names, connections: CONNECTIONS, seconds: 0 };
  let perMs = (await ask(asker, { ...order, amount: WARM_UP_REQUESTS })).requestsPerSecond / 1000;
  const rates: number[] = [];
  const p99s: number[] = [];
  return {
    async slice(ms) {
      const outcome = await ask(asker, { ...order, amount: Math.max(LEAST_REQUESTS, Math.round(ms * perMs)) });
      perMs = outcome.requestsPerSecond / 1000;
      rates.push(outcome.requestsPerSecond);
      p99s.push(outcome.p99);
      return { ops: outcome.requests, ns: outcome.ms * 1e6 };
    },
    figures: (): Figures => ({ "requests a second": median(rates), "99 % within, ms": median(p99s) }),
    close() {
      asker.kill();
      // The process ends with the harness's leave; what is still open ends with it.
      void serving.close().finally(() => process.exit());
    },
  };
}

export const servers: readonly Case[] = Object.entries(SIZES).flatMap(([variant, { bytes, sessions }]) =>
  Object.entries(BACKENDS).map(([name, make]) => ({
    name,
    variant,
    program: () => server(make, bytes, sessions),
    sliceMs: SLICE_MS,
    maxSlices: 4,
    maxProcesses: 1,
    warmUp: false,
  })),
);

function row(variant: string, limit: number, aim: number): Row {
  const over = [{ numerator: ["server, shared", variant], denominator: ["server, cloned", variant] }] as const;
  return { label: `server: a request, shared ÷ cloned, ${variant}`, over, limit, aim, direction: "at most" };
}

export const serverRows: readonly Row[] = [row("2 kB", 1.05, 1), row("200 kB", 1, 0.7)];
