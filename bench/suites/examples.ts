/**
 * The examples: what the garbage collector has to do in the game, with bodies in zones and with bodies that are plain objects; what
 * a request to the server takes, with sessions in shared memory and with sessions that are sent about.
 */
import { playHeadless } from "../../examples/game/node/headless.ts";
import type { Material } from "../../examples/game/sim/worker-loop.ts";
import type { Case, Figures, SliceProgram, Suite } from "../harness/suite.ts";
import { serverRows, servers } from "../programs/serving.ts";

const FRAMES = 4000;
/** With --quick. */
const QUICK_FRAMES = 300;
/** In frames: as many as it takes until collections no longer become fewer. */
const WARM_UP = { least: 500, most: 6000 };
const BIRTHS = 2000;
const SLICE_MS = 1000;
const VARIANT = `${FRAMES} frames, ${BIRTHS} births each`;

function game(material: Material): () => SliceProgram {
  let figures: Figures = {};
  return () => ({
    async slice(ms) {
      const result = await playHeadless({ material, frames: ms < SLICE_MS ? QUICK_FRAMES : FRAMES, births: BIRTHS, warmUp: WARM_UP });
      if (result.problems.length > 0) throw new Error(result.problems.join("; "));
      const { collections } = result;
      figures = {
        "frames to warm up": result.warmUp,
        steady: result.steady ? 1 : 0,
        collections: collections.count,
        "in them, ms": collections.ms,
        "longest, ms": collections.longestMs,
        "slowest frame of a worker, ms": result.slowestMs,
        "bodies live": result.live,
        "bodies born": result.born,
      };
      return { ops: result.frames, ns: result.ms * 1e6 };
    },
    figures: () => figures,
  });
}

const cases: readonly Case[] = (["zalloc", "objects"] as const).map((material) => ({
  name: `game, ${material}`,
  variant: VARIANT,
  program: game(material),
  sliceMs: SLICE_MS,
  maxSlices: 1,
  maxProcesses: 1,
  warmUp: false,
}));

export const suite: Suite = {
  name: "examples",
  about:
    "The game headless, two workers: time of a frame, and the collections of all three threads after a warm-up. The server, two workers: time of a request over ten connections.",
  cases: [...cases, ...servers],
  rows: [
    {
      label: "collections, game with zalloc",
      figure: { of: ["game, zalloc", VARIANT], key: "collections" },
      limit: 0,
      aim: 0,
      direction: "at most",
    },
    ...serverRows,
  ],
};
