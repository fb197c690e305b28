/** What is printed: times by name and variant, then the rows that must hold. */
import type { Judgement, Measured } from "./rows.ts";

/** Names down, variants across, nanoseconds for one operation. */
export function timesTable(measured: readonly Measured[]): string[] {
  const names = [...new Set(measured.map((one) => one.name))];
  const variants = [...new Set(measured.map((one) => one.variant))];
  const lines = names.map((name) => [
    name,
    ...variants.map((variant) => {
      const one = measured.find((candidate) => candidate.name === name && candidate.variant === variant);
      return one === undefined ? "" : shortNumber(one.nsPerOp);
    }),
  ]);
  return aligned([["ns", ...variants], ...lines]);
}

/** Figures down, cases across. */
export function figuresTable(measured: readonly Measured[]): string[] {
  const cases = measured.filter((one) => Object.keys(one.figures).length > 0);
  const keys = [...new Set(cases.flatMap((one) => Object.keys(one.figures)))];
  const lines = keys.map((key) => [key, ...cases.map(({ figures }) => (key in figures ? shortNumber(figures[key] as number) : ""))]);
  return lines.length === 0 ? [] : aligned([["", ...cases.map((one) => `${one.name}, ${one.variant}`)], ...lines]);
}

export function rowsTable(judgements: readonly Judgement[]): string[] {
  return aligned([
    ["must hold", "measured", "limit", "aim", ""],
    ...judgements.map(({ row, value, verdict, aimMet }) => {
      const sign = row.direction === "at most" ? "≤" : "≥";
      return [
        row.label,
        shortNumber(value),
        `${sign} ${row.limit}`,
        `${row.aim}`,
        verdict === "MISS" ? "MISS" : aimMet ? "PASS, aim met" : "PASS",
      ];
    }),
  ]);
}

/** Three digits that mean something, without exponents. */
export function shortNumber(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

/** First column to the left, last too, numbers to the right. */
function aligned(lines: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const line of lines) line.forEach((cell, n) => (widths[n] = Math.max(widths[n] ?? 0, cell.length)));
  return lines.map((line) =>
    line
      .map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
