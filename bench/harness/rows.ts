/** Judging rows: from what was measured to value, limit and verdict. */
import { median } from "./statistics.ts";
import type { CaseName, Figures, Row } from "./suite.ts";

/** What is known of a case once it has been measured. */
export interface Measured {
  readonly name: string;
  readonly variant: string;
  readonly nsPerOp: number;
  readonly figures: Figures;
}

export interface Judgement {
  readonly row: Row;
  readonly value: number;
  readonly verdict: "PASS" | "MISS";
  readonly aimMet: boolean;
}

/** @returns null when a case or figure that the row needs was not measured. */
export function judge(row: Row, measured: readonly Measured[]): Judgement | null {
  const value = valueOf(row, measured);
  if (value === null) return null;
  const holds = (bound: number): boolean => (row.direction === "at most" ? value <= bound : value >= bound);
  return { row, value, verdict: holds(row.limit) ? "PASS" : "MISS", aimMet: holds(row.aim) };
}

function valueOf(row: Row, measured: readonly Measured[]): number | null {
  if ("figure" in row) return find(row.figure.of, measured)?.figures[row.figure.key] ?? null;
  const ratios: number[] = [];
  for (const { numerator, less, denominator } of row.over) {
    const above = find(numerator, measured);
    const below = find(denominator, measured);
    const without = less === undefined ? null : find(less, measured);
    if (above === undefined || below === undefined || without === undefined) return null;
    ratios.push((above.nsPerOp - (without === null ? 0 : without.nsPerOp)) / below.nsPerOp);
  }
  return ratios.length === 0 ? null : median(ratios);
}

function find([name, variant]: CaseName, measured: readonly Measured[]): Measured | undefined {
  return measured.find((one) => one.name === name && one.variant === variant);
}
