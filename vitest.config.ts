import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Processes, not threads: tests start and terminate workers of their own.
    pool: "forks",
    // Two at a time on two processors as well, where one would be the default: tests of threads wait half of their time.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    execArgv: ["--import", new URL("./test/fixtures/ts-hook.mjs", import.meta.url).href],
    // For what hangs: on a busy machine of one core the slowest take minutes.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    typecheck: {
      enabled: true,
      include: ["test/types/**/*.test-d.ts"],
      tsconfig: "./tsconfig.json",
      // Errors elsewhere are for `npm run typecheck` to report.
      ignoreSourceErrors: true,
    },
    // Sees the main thread only; code that runs in workers counts as uncovered.
    coverage: { provider: "v8", include: ["src/**"], reporter: ["text-summary", "lcovonly"] },
  },
});
