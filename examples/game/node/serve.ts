/** Serves the page with Vite, cross-origin isolated: the two headers without which there is no SharedArrayBuffer. */
import { fileURLToPath } from "node:url";
import { build, createServer, type InlineConfig, preview } from "vite";
import { createReports } from "./report-server.ts";

const ROOT = fileURLToPath(new URL("../web/", import.meta.url));
const REPOSITORY = fileURLToPath(new URL("../../../", import.meta.url));
const OUT = fileURLToPath(new URL("../../../build/game/", import.meta.url));

export interface Served {
  readonly url: string;
  /** Asks the open pages for their reports, then ends. @returns the reports. */
  close(): Promise<readonly string[]>;
}

export interface ServeOptions {
  readonly port: number;
  /** Build the page and serve the result, as one would publish it; else Vite's development server. */
  readonly built: boolean;
}

export async function serve({ port, built }: ServeOptions): Promise<Served> {
  const reports = createReports();
  const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
  const config: InlineConfig = {
    configFile: false,
    root: ROOT,
    logLevel: "warn",
    cacheDir: fileURLToPath(new URL("../../../node_modules/.vite/game", import.meta.url)),
    plugins: [reports.plugin],
    worker: { format: "es" },
    server: { headers, port, fs: { allow: [REPOSITORY] } },
    preview: { headers, port },
    build: { outDir: OUT, emptyOutDir: true, target: "es2022" },
  };
  if (built) await build(config);
  const server = built ? await preview(config) : await (await createServer(config)).listen();
  const url = server.resolvedUrls?.local[0];
  if (url === undefined) throw new Error("the server has no address");
  return {
    url,
    async close() {
      const got = await reports.ask();
      await server.close();
      return got;
    },
  };
}
