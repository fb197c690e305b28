/** What is shown while a replay runs: a bar over the operations done, and the zones that hold the most. */
import cliProgress from "cli-progress";
import type { ZoneStatistics } from "../uma/statistics.ts";
import { zoneTable } from "../uma/statistics.ts";
import { count, duration, size } from "./figures.ts";
import type { Screen } from "./screen.ts";

/** Where a replay stands. */
export interface Progress {
  /** Operations done or left out, and all that there are to do. */
  readonly done: number;
  readonly total: number;
  readonly elapsedMs: number;
  /** Bytes in live objects, and in pages of the heap in use. */
  readonly liveBytes: number;
  readonly heldBytes: number;
}

const BAR_CELLS = 30;
const BAR: cliProgress.Options = {
  barsize: BAR_CELLS,
  barCompleteString: "█".repeat(BAR_CELLS),
  barIncompleteString: "░".repeat(BAR_CELLS),
  barGlue: "",
};
const MOST_ZONES = 16;

export function barLine(progress: Progress): string {
  const { done, total, elapsedMs, liveBytes, heldBytes } = progress;
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const bar = cliProgress.Format.BarFormat(share, BAR);
  return `${bar} ${percent(share)}  ${count(done)} of ${count(total)}  ${duration(elapsedMs)}  live ${size(liveBytes)}, held ${size(heldBytes)}`;
}

/** The same without the bar, for where there is no terminal. */
export function plainLine({ done, total, elapsedMs, liveBytes, heldBytes }: Progress): string {
  const share = total === 0 ? 1 : done / total;
  return `${percent(share)}  ${count(done)} of ${count(total)} operations, ${duration(elapsedMs)}, live ${size(liveBytes)}, held ${size(heldBytes)}`;
}

function percent(share: number): string {
  return `${Math.floor(share * 100)} %`.padStart(5);
}

export function drawProgress(screen: Screen, progress: Progress, zones: readonly ZoneStatistics[]): void {
  const rows = Math.min(MOST_ZONES, screen.size().rows - 5);
  const largest = [...zones].sort((one, other) => other.bytes - one.bytes).slice(0, Math.max(rows, 0));
  const others = zones.length - largest.length;
  const rest = others > 0 ? [`… and ${others} zones that hold less`] : [];
  screen.frame([barLine(progress), "", ...zoneTable(largest), ...rest]);
}
