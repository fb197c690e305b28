/**
 * The screen: lines that stay, and below them a frame that is drawn anew while something runs.
 *
 * On a terminal the frame is overwritten in place; elsewhere (a file, a pipe, a build server) there is none, and the caller
 * prints a line now and then instead.
 */
import type { WriteStream } from "node:tty";

export interface Screen {
  /** Whether frames are shown. */
  readonly live: boolean;
  /** Rows and columns to draw in. */
  size(): { rows: number; columns: number };
  /** Prints a line that stays, above the frame. */
  line(text: string): void;
  /** Draws the frame; no lines = none. */
  frame(lines: readonly string[]): void;
}

export function createScreen(out: WriteStream): Screen {
  const live = out.isTTY === true && process.env["TERM"] !== "dumb" && process.env["CI"] === undefined;
  let shown: readonly string[] = [];

  function size(): { rows: number; columns: number } {
    return { rows: out.rows ?? 24, columns: out.columns ?? 80 };
  }

  /** Back to the frame's first line, and everything from there on erased. */
  function erase(): string {
    return shown.length === 0 ? "" : `\u001b[${shown.length}A\u001b[J`;
  }

  function draw(): string {
    return shown.map((text) => `${text}\n`).join("");
  }

  function line(text: string): void {
    out.write(`${erase()}${text}\n${draw()}`);
  }

  function frame(lines: readonly string[]): void {
    if (!live) return;
    const { rows, columns } = size();
    const before = erase();
    shown = lines.slice(0, rows - 1).map((text) => text.slice(0, columns - 1));
    out.write(before + draw());
  }

  return { live, size, line, frame };
}
