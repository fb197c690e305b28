/**
 * Asks the open pages for their last report when the server ends: the zones' table and what `verify()` says. Pages listen with an
 * EventSource and answer with a POST; it works alike with Vite's development server and its preview of the built page.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";
import { REPORT_PATH } from "../web/report-path.ts";

/** How long pages have to answer, milliseconds. */
const ANSWER_MS = 10_000;

export interface Reports {
  readonly plugin: Plugin;
  /** Asks all pages. @returns what they answered; empty when no page is open. */
  ask(): Promise<readonly string[]>;
}

export function createReports(): Reports {
  const pages = new Set<ServerResponse>();
  let answered: (report: string) => void = () => undefined;

  function handle(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    if (request.url !== REPORT_PATH) return next();
    if (request.method === "POST") {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        response.writeHead(204).end();
        answered(Buffer.concat(chunks).toString("utf8"));
      });
      return;
    }
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write(":\n\n");
    pages.add(response);
    request.on("close", () => pages.delete(response));
  }

  const reports: Reports = {
    plugin: {
      name: "zalloc-report",
      configureServer: ({ middlewares }) => void middlewares.use(handle),
      configurePreviewServer: ({ middlewares }) => void middlewares.use(handle),
    },
    async ask() {
      const got: string[] = [];
      const asked = pages.size;
      if (asked > 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ANSWER_MS);
          answered = (report) => {
            got.push(report);
            if (got.length < asked) return;
            clearTimeout(timer);
            resolve();
          };
          for (const page of pages) page.write("event: asked\ndata:\n\n");
        });
      }
      for (const page of pages) page.end();
      return got;
    },
  };
  return reports;
}
