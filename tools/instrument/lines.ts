/**
 * Theory: people read TypeScript, the tools read emitted JavaScript. Where tsc left a source map beside the module,
 * lines are reported in the source; otherwise in the emitted file. Only the line of the first mapping at or after a
 * position's line is needed, so this decodes just that much of the format.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";

export interface Position {
  readonly file: string;
  readonly line: number;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Reads one base-64 VLQ number; returns [value, next position]. */
function readVlq(text: string, from: number): [number, number] {
  let value = 0;
  let shift = 0;
  let at = from;
  for (;;) {
    const digit = DIGITS.indexOf(text.charAt(at++));
    value += (digit & 31) << shift;
    if ((digit & 32) === 0) break;
    shift += 5;
  }
  return [value & 1 ? -(value >> 1) : value >> 1, at];
}

/** For each emitted line (from 0) the segments [emitted column, source line]. */
function decode(mappings: string): [number, number][][] {
  const lines: [number, number][][] = [];
  let sourceLine = 0;
  for (const text of mappings.split(";")) {
    const segments: [number, number][] = [];
    let column = 0;
    for (const segment of text.split(",")) {
      if (segment === "") continue;
      let at = 0;
      let delta: number;
      [delta, at] = readVlq(segment, at);
      column += delta;
      if (at >= segment.length) continue;
      [, at] = readVlq(segment, at);
      [delta] = readVlq(segment, at);
      sourceLine += delta;
      segments.push([column, sourceLine]);
    }
    lines.push(segments);
  }
  return lines;
}

/** A function from a 1-based line and 0-based column of the module to the position to report. */
export function positions(modulePath: string, relativePath: string): (line: number, column: number) => Position {
  const mapPath = `${modulePath}.map`;
  if (!existsSync(mapPath)) return (line) => ({ file: relativePath, line });
  const map = JSON.parse(readFileSync(mapPath, "utf8")) as { mappings: string; sources: string[] };
  const lines = decode(map.mappings);
  const source = map.sources[0];
  const file = source ? relativePath.slice(0, relativePath.length - basename(relativePath).length) + basename(source) : relativePath;
  return (line, column) => {
    let found = -1;
    for (const [start, sourceLine] of lines[line - 1] ?? []) if (start <= column || found < 0) found = sourceLine;
    return found < 0 ? { file: relativePath, line } : { file, line: found + 1 };
  };
}
