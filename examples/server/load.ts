/** Load for a server: autocannon, reading and adding to the sessions it was told of. */
import autocannon from "autocannon";

export interface Load {
  readonly url: string;
  /** Sessions by their names; each connection begins with another one. */
  readonly sessions: readonly string[];
  readonly connections: number;
  /** How long, seconds; or how many requests, if `amount` is given. */
  readonly seconds: number;
  readonly amount?: number;
  /** Of how many requests one adds a line; 0: all only read. */
  readonly addEvery?: number;
}

export interface Outcome {
  readonly requestsPerSecond: number;
  readonly requests: number;
  /** How long all of it took, milliseconds. */
  readonly ms: number;
  /** Of a response, milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Connections that broke or timed out. */
  readonly errors: number;
  /** Responses by status code. */
  readonly codes: Readonly<Record<string, number>>;
}

const LINE = JSON.stringify({ sku: 7, quantity: 2, cents: 995 });

export async function load({ url, sessions, connections, seconds, amount, addEvery = 0 }: Load): Promise<Outcome> {
  const requests = sessions.map((id, n): autocannon.Request => {
    const headers = { "x-client": `client ${n}` };
    if (addEvery === 0 || n % addEvery !== 0) return { method: "GET", path: `/sessions/${id}`, headers };
    return { method: "POST", path: `/sessions/${id}/lines`, headers: { ...headers, "content-type": "application/json" }, body: LINE };
  });
  let started = 0;
  const times: number[] = [];
  const start = performance.now();
  let last = start;
  const result = await autocannon({
    url,
    connections,
    requests,
    ...(amount === undefined ? { duration: seconds } : { amount }),
    timeout: 10,
    // How often it looks whether it is done, milliseconds.
    sampleInt: 100,
    setupClient(client) {
      // Connections that walked over the sessions side by side would all be at the same one.
      const from = Math.floor((started++ * requests.length) / connections);
      // Autocannon's own figures are whole milliseconds, and it ends when it looks next.
      client.on("response", (_status: number, _bytes: number, took: number) => {
        times.push(took);
        last = performance.now();
      });
      client.setRequests([...requests.slice(from), ...requests.slice(0, from)]);
    },
  });
  const ms = last - start;
  times.sort((a, b) => a - b);
  const codes: Record<string, number> = {};
  for (const [code, { count }] of Object.entries(result.statusCodeStats ?? {}) as [string, { count: number }][]) codes[code] = count;
  return {
    requestsPerSecond: (1000 * times.length) / ms,
    requests: times.length,
    ms,
    p50: times[times.length >> 1] ?? 0,
    p99: times[Math.floor(times.length * 0.99)] ?? 0,
    errors: result.errors + result.timeouts,
    codes,
  };
}

/** Makes sessions with `lines` sample lines each. @returns their names. */
export async function makeSessions(url: string, count: number, lines: number): Promise<string[]> {
  const names: string[] = [];
  for (let n = 0; n < count; n++) {
    const response = await fetch(`${url}/sessions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-client": `maker ${n}` },
      body: JSON.stringify({ lines }),
    });
    if (response.status !== 201) throw new Error(`no session: ${response.status} ${await response.text()}`);
    names.push(((await response.json()) as { id: string }).id);
  }
  return names;
}
