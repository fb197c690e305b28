/** The server drives itself: load, a worker killed on the way, a client too fast, no room for more sessions, and what is left. */
import type { Server } from "./http.ts";
import { load, makeSessions } from "./load.ts";
import type { BackendOptions } from "./shared-backend.ts";

const SECONDS = 4;
const CONNECTIONS = 20;

export async function demonstrate(server: Server, { size, limit }: BackendOptions): Promise<void> {
  const { url, backend } = server;
  const sessions = await makeSessions(url, Math.min(200, size.sessions), size.lines >> 1);
  console.log(
    `${sessions.length} sessions of ${(size.lines * 16) / 1024} kB; ${CONNECTIONS} connections for ${SECONDS} s, a worker is killed half-way`,
  );
  const killing = setTimeout(() => backend.kill(), (SECONDS * 1000) / 2);
  const { requestsPerSecond, p99, codes, errors } = await load({
    url,
    sessions,
    connections: CONNECTIONS,
    seconds: SECONDS,
    addEvery: 10,
  });
  clearTimeout(killing);
  console.log(`${Math.round(requestsPerSecond)} requests a second, 99 % within ${p99.toFixed(1)} ms: ${inWords(codes)}, ${errors} errors`);
  if ("409" in codes) console.log("(409: the cart is full)");

  let found = 0;
  for (const id of sessions)
    found += (await fetch(`${url}/sessions/${id}`, { headers: { "x-client": `finder ${id}` } })).status === 200 ? 1 : 0;
  console.log(`workers that died: ${backend.deaths}; sessions that are there: ${found} of ${sessions.length}`);

  if (limit !== null) {
    const hurried = Array.from({ length: limit.burst + 50 }, () =>
      fetch(`${url}/sessions/${sessions[0]}`, { headers: { "x-client": "in a hurry" } }),
    );
    const answers: Record<string, number> = {};
    for (const { status } of await Promise.all(hurried)) answers[status] = (answers[status] ?? 0) + 1;
    const other = await fetch(`${url}/sessions/${sessions[0]}`, { headers: { "x-client": "somebody else" } });
    console.log(`a client asks ${hurried.length} times at once: ${inWords(answers)}; another meanwhile: ${other.status}`);
  }
  let made = 0;
  let last: Response;
  do last = await fetch(`${url}/sessions`, { method: "POST", headers: { "x-client": `shopper ${made}` } });
  while (last.status === 201 && made++ < size.sessions);
  console.log(`${made} more sessions, then: ${last.status}, retry after ${last.headers.get("retry-after")} s`);
  await fetch(`${url}/sessions/${sessions[0]}`, { method: "DELETE" });
  last = await fetch(`${url}/sessions`, { method: "POST", headers: { "x-client": "late shopper" } });
  console.log(`one ended, one more: ${last.status}\n`);
}

function inWords(codes: Readonly<Record<string, number>>): string {
  return Object.entries(codes)
    .map(([code, count]) => `${count} × ${code}`)
    .join(", ");
}
