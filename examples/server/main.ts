/**
 * A server whose sessions and rate limits lie in shared memory.
 *
 *   npm run example:server                     starts, says what to try, ends on Ctrl-C or SIGTERM
 *   npm run example:server -- --demo           drives itself for some seconds, kills a worker on the way, and ends
 *   npm run example:server -- --help
 */
import { parseArgs } from "node:util";
import type { Closing } from "./backend.ts";
import { createCloneBackend } from "./clone-backend.ts";
import { demonstrate } from "./demo.ts";
import { type Server, serve } from "./http.ts";
import { type BackendOptions, createSharedBackend } from "./shared-backend.ts";

const USAGE = `npm run example:server -- [options]

  --port N      default 8080; 0: any
  --host NAME   default 127.0.0.1
  --workers N   default 2
  --sessions N  sessions at a time, default 1000
  --lines N     lines that a cart has room for, 16 bytes each, default 128 (2 kB)
  --rate N      requests a second for each client, default 100 (0: no limit), in bursts of --burst, default 200
  --patience N  milliseconds that a request waits for room at the most, default 250
  --ttl N       seconds after which an idle session ends, default 900
  --clone       the same server, passing its sessions by structured clone
  --demo        drives itself for some seconds, then ends`;

function count(value: string, name: string, least: number, most: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new Error(`--${name} takes an integer from ${least} to ${most}, not ${value}\n\n${USAGE}`);
}

function whatToTry(url: string): string {
  return `listening on ${url} (process ${process.pid}); to try in another terminal:

  curl -X POST ${url}/sessions
  curl ${url}/sessions/ID
  curl -X POST ${url}/sessions/ID/lines -H 'content-type: application/json' -d '{"sku":7,"quantity":2,"cents":995}'
  curl -X POST ${url}/kill                       # a worker is gone; the session is not
  curl -s -o /dev/null -w '%{http_code} ' '${url}/sessions/ID?[1-400]'   # 429 by and by: too fast
  curl ${url}/metrics

Ctrl-C ends it: what was asked is answered first.`;
}

function farewell({ table, problems }: Closing): void {
  for (const line of table) console.log(line);
  console.log(`verify: ${problems.length === 0 ? "ok" : problems.join("; ")}`);
  if (problems.length > 0) process.exitCode = 1;
}

function untilStopped(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(signal));
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "8080" },
      host: { type: "string", default: "127.0.0.1" },
      workers: { type: "string", default: "2" },
      sessions: { type: "string", default: "1000" },
      lines: { type: "string", default: "128" },
      rate: { type: "string", default: "100" },
      burst: { type: "string", default: "200" },
      patience: { type: "string", default: "250" },
      ttl: { type: "string", default: "900" },
      clone: { type: "boolean", default: false },
      demo: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const rate = count(values.rate, "rate", 0, 100_000);
  const options: BackendOptions = {
    workers: count(values.workers, "workers", 1, 32),
    size: {
      sessions: count(values.sessions, "sessions", 1, 1_000_000),
      lines: count(values.lines, "lines", 1, 1_000_000),
      clients: 10_000,
      jobs: 256,
    },
    limit: rate === 0 ? null : { rate, burst: count(values.burst, "burst", 1, 10_000) },
    patience: count(values.patience, "patience", 0, 60_000),
    ttl: count(values.ttl, "ttl", 1, 86_400),
  };
  const backend = values.clone ? createCloneBackend(options) : createSharedBackend(options);
  const port = values.demo ? 0 : count(values.port, "port", 0, 65_535);
  const server: Server = await serve(backend, { host: values.host, port, killable: true });
  if (values.demo) await demonstrate(server, options);
  else {
    const stopped = untilStopped();
    console.log(whatToTry(server.url));
    const signal = await stopped;
    console.log(`\n${signal}: no more connections; what was asked is being answered`);
  }
  farewell(await server.close());
}

main().catch((cause: unknown) => {
  console.error(cause instanceof Error ? cause.message : cause);
  process.exitCode = 1;
});
