/**
 * The example game: `npm run example:game [-- --built] [-- --port N]` serves the page;
 * `npm run example:game -- --headless [--frames N] [--births N] [--objects]` plays it here, without a page.
 */
import { parseArgs } from "node:util";
import { playHeadless } from "./node/headless.ts";
import { serve } from "./node/serve.ts";

const WARM_UP = { least: 300, most: 2000 };

const USAGE = `npm run example:game -- [options]

  --port N      port of the server (default 5173, or the next that is free)
  --built       serve the built page instead of the development server's
  --headless    no page: play in this process, as fast as it goes
  --frames N    frames to play headless, after a warm-up (default 1000)
  --births N    bodies born in each (default 2000)
  --objects     headless, with bodies that are plain objects`;

/** Resolves at Ctrl-C. A terminal sends that to everyone, and npm and tsx may pass it on: more than one comes. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.on("SIGINT", () => resolve());
    process.on("SIGTERM", () => resolve());
  });
}

function natural(option: string, given: string | undefined, otherwise: number): number {
  const value = given === undefined ? otherwise : Number(given);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${option} wants a whole number above 0, not ${given}`);
  return value;
}

async function page(port: number, built: boolean): Promise<void> {
  const served = await serve({ port, built });
  // Before it is said: whoever reads it may be quick.
  const end = interrupted();
  console.log(`the game: ${served.url}\nCtrl-C ends it`);
  await end;
  const reports = await served.close();
  console.log(reports.length === 0 ? "\nno page was open" : `\n${reports.join("\n\n")}`);
}

async function headless(frames: number, births: number, objects: boolean): Promise<void> {
  let stop = false;
  void interrupted().then(() => (stop = true));
  const result = await playHeadless({
    material: objects ? "objects" : "zalloc",
    frames,
    births,
    // A short game is not to be mostly warm-up.
    warmUp: { least: Math.min(WARM_UP.least, frames), most: Math.min(WARM_UP.most, 4 * frames) },
    stopped: () => stop,
  });
  const { collections } = result;
  console.log(result.table.join("\n"));
  console.log(
    `${result.frames.toLocaleString("en")} frames, ${(result.ms / result.frames).toFixed(2)} ms each; ` +
      `${result.live.toLocaleString("en")} bodies live, ${result.born.toLocaleString("en")} born; ` +
      `${collections.count} collections, ${collections.ms.toFixed(0)} ms in all, ${collections.longestMs.toFixed(1)} the longest`,
  );
  console.log(result.problems.length === 0 ? "verify: ok" : `verify: ${result.problems.join("; ")}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      built: { type: "boolean" },
      headless: { type: "boolean" },
      frames: { type: "string" },
      births: { type: "string" },
      objects: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) return console.log(USAGE);
  if (values.headless !== true) return page(natural("port", values.port, 5173), values.built === true);
  await headless(natural("frames", values.frames, 1000), natural("births", values.births, 2000), values.objects === true);
}

main().then(
  // Whatever a server has left open must not keep the process.
  () => process.exit(),
  (cause: unknown) => {
    console.error(cause instanceof Error ? cause.message : cause);
    process.exit(1);
  },
);
