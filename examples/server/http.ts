/**
 * The web face of the server: Fastify, and whichever backend does the work.
 *
 *   POST   /sessions            {"lines": n}?                     201 {"id", …}    503 no room
 *   GET    /sessions/:id                                          200 {…}          404
 *   POST   /sessions/:id/lines  {"sku", "quantity", "cents"}      200 {…}          404, 409 the cart is full
 *   DELETE /sessions/:id                                          204              404
 *   GET    /metrics             OpenMetrics
 *   POST   /kill                kills a worker, if that is allowed
 *
 * 429 says that the client has no token left, 503 that the server has no room left; both say when to come again (Retry-After).
 * Clients are told apart by the header x-client, else by their address.
 */
import { randomBytes } from "node:crypto";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Answer, Backend, Closing, Order } from "./backend.ts";
import { OPENMETRICS, counter, createHistogram, gauge, openMetrics } from "./metrics.ts";

export interface FaceOptions {
  readonly host?: string;
  /** 0 (default): any free one. */
  readonly port?: number;
  /** Whether POST /kill kills a worker. */
  readonly killable?: boolean;
}

export interface Server {
  readonly url: string;
  readonly backend: Backend;
  /** Takes no more connections, answers what has been asked, and ends. */
  close(): Promise<Closing>;
}

const CODES: Readonly<Record<Answer["status"], number>> = { ok: 200, missing: 404, full: 409, limited: 429, exhausted: 503, failed: 500 };
/** Between two looks for idle connections while the server is closing, milliseconds. */
const IDLE_LOOK_MS = 20;
/** Six bytes: a number without loss. */
const ID_BYTES = 6;
const ID = { type: "object", properties: { id: { type: "string", pattern: "^[0-9a-f]{12}$" } }, required: ["id"] } as const;
const AMOUNT = { type: "integer", minimum: 0, maximum: 0xffffffff } as const;
const LINE = {
  type: "object",
  properties: { sku: { ...AMOUNT, minimum: 1 }, quantity: AMOUNT, cents: AMOUNT },
  required: ["sku", "quantity", "cents"],
} as const;
const NEW = { type: ["object", "null"], properties: { lines: AMOUNT } } as const;
const REPLY = {
  type: "object",
  properties: {
    id: { type: "string" },
    hits: { type: "integer" },
    lines: { type: "integer" },
    total: { type: "integer" },
    status: { type: "string" },
  },
} as const;

interface LineBody {
  readonly sku: number;
  readonly quantity: number;
  readonly cents: number;
}

export async function serve(backend: Backend, { host = "127.0.0.1", port = 0, killable = false }: FaceOptions = {}): Promise<Server> {
  const app = fastify({ bodyLimit: 4096, forceCloseConnections: "idle" });
  const codes = new Map<number, number>();
  const latency = createHistogram();
  let closing = false;

  app.addHook("onSend", (_request, reply, _payload, done) => {
    // Else its client would keep the connection for the next request.
    if (closing) reply.header("connection", "close");
    done();
  });
  const response = { "2xx": REPLY };

  app.addHook("onResponse", (_request, reply, done) => {
    codes.set(reply.statusCode, (codes.get(reply.statusCode) ?? 0) + 1);
    latency.observe(reply.elapsedTime / 1000);
    done();
  });

  async function run(
    request: FastifyRequest,
    reply: FastifyReply,
    id: string,
    order: Pick<Order, "op"> & Partial<Order>,
  ): Promise<unknown> {
    const { status, hits, lines, total, retryMs } = await backend.run({
      sku: 0,
      quantity: 0,
      cents: 0,
      ...order,
      session: Number.parseInt(id, 16),
      client: clientOf(request),
    });
    if (retryMs > 0) reply.header("retry-after", Math.max(1, Math.ceil(retryMs / 1000)));
    reply.code(status === "ok" && order.op === "create" ? 201 : CODES[status]);
    return status === "ok" ? { id, hits, lines, total } : { status };
  }

  app.post<{ Body: { lines?: number } | null }>("/sessions", { schema: { body: NEW, response } }, (request, reply) =>
    run(request, reply, newId(), { op: "create", quantity: request.body?.lines ?? 0 }),
  );
  app.get<{ Params: { id: string } }>("/sessions/:id", { schema: { params: ID, response } }, (request, reply) =>
    run(request, reply, request.params.id, { op: "read" }),
  );
  app.post<{ Params: { id: string }; Body: LineBody }>(
    "/sessions/:id/lines",
    { schema: { params: ID, body: LINE, response } },
    (request, reply) => run(request, reply, request.params.id, { op: "add", ...request.body }),
  );
  app.delete<{ Params: { id: string } }>("/sessions/:id", { schema: { params: ID } }, async (request, reply) => {
    reply.code(backend.remove(Number.parseInt(request.params.id, 16)) ? 204 : 404);
  });
  app.get("/metrics", async (_request, reply) => {
    reply.type(OPENMETRICS);
    return [...openMetrics(metrics(backend, codes, latency))].join("");
  });
  app.post("/kill", async (_request, reply) => {
    if (!killable) return reply.code(403).send({ status: "not allowed" });
    return { status: backend.kill() ? "killed" : "nobody there" };
  });

  const url = await app.listen({ host, port });
  return {
    url,
    backend,
    async close() {
      closing = true;
      await ended(app);
      return backend.close();
    },
  };
}

/** Answers what was asked, and ends when the last connection has: those on which nothing is asked are closed. */
async function ended(app: FastifyInstance): Promise<void> {
  const closing = setInterval(() => app.server.closeIdleConnections(), IDLE_LOOK_MS);
  await app.close();
  clearInterval(closing);
}

function newId(): string {
  return randomBytes(ID_BYTES).toString("hex");
}

/** A client's number: 52 bits of a hash (FNV-1a, twice) of its name. */
function clientOf(request: FastifyRequest): number {
  const { "x-client": named } = request.headers;
  const name = typeof named === "string" ? named : request.ip;
  let low = 0x811c9dc5;
  let high = 0x050c5d1f;
  for (let n = 0; n < name.length; n++) {
    low = Math.imul(low ^ name.charCodeAt(n), 0x01000193);
    high = Math.imul(high ^ name.charCodeAt(n), 0x01000193);
  }
  return (high >>> 12) * 2 ** 32 + (low >>> 0);
}

function metrics(backend: Backend, codes: ReadonlyMap<number, number>, latency: ReturnType<typeof createHistogram>) {
  return [
    counter(
      "http_responses",
      "Responses by status code.",
      [...codes].map(([code, value]) => ({ labels: { code: String(code) }, value })),
    ),
    { name: "http_response_seconds", type: "histogram", unit: "seconds", help: "Time to a response.", samples: latency.samples() } as const,
    gauge("sessions", "Sessions that there are.", [{ value: backend.sessions() }]),
    counter("worker_deaths", "Workers that died and were replaced.", [{ value: backend.deaths }]),
    gauge("process_resident_memory_bytes", "Memory of the process.", [{ value: process.memoryUsage.rss() }], "bytes"),
    ...backend.metrics(),
  ];
}
