/**
 * What a suite is: the cases it measures, and the ratios that must hold between them.
 *
 * A suite is one file in bench/suites, named like the suite, that exports `suite`. Nothing has to be registered. Each case runs
 * in a process of its own, which loads the compiled suite file and asks the case for its program.
 */

/** A number that a program found out beside the time, by name: a count of collections, a share of the memory. */
export type Figures = Readonly<Record<string, number>>;

/** How long a piece of work took: operations, and what they took together, nanoseconds. */
export interface Slice {
  readonly ops: number;
  readonly ns: number;
}

/** Work whose time the harness takes. */
export interface BatchProgram {
  /** Does a short piece of work, 0.1 to 100 µs if it can be, so that V8 compiles it as a whole. @returns the operations done. */
  readonly batch: () => number;
  figures?(): Figures;
  close?(): void;
}

/** Work that takes its own time, because it waits for workers, or can be done only as a whole. */
export interface SliceProgram {
  /** Works for about `ms` milliseconds. */
  slice(ms: number): Slice | Promise<Slice>;
  figures?(): Figures;
  close?(): void;
}

export type Program = BatchProgram | SliceProgram;

export interface Case {
  readonly name: string;
  readonly variant: string;
  /** Makes the program, in the case's own process. */
  readonly program: () => Program | Promise<Program>;
  /** Cases that are measured in turn, slice by slice; by default those of one variant. Ratios hold best within a group. */
  readonly group?: string;
  /** How long a slice is, milliseconds; what collects garbage needs slices that have their share of it. Default 5. */
  readonly sliceMs?: number;
  /** Slices in a process at most; 1 where the program does all its work at once. */
  readonly maxSlices?: number;
  /** Processes at most: 1 where a second one could not find anything else. */
  readonly maxProcesses?: number;
  /** False where the first slice is to be measured, too. */
  readonly warmUp?: boolean;
}

/** A case by name and variant. */
export type CaseName = readonly [name: string, variant: string];

export interface RowBase {
  readonly label: string;
  /** What must hold, and what is aimed at. */
  readonly limit: number;
  readonly aim: number;
  readonly direction: "at most" | "at least";
}

/** Time ÷ time of two cases; with several pairs, the median of their ratios. With `less`, (time − time) ÷ time: what was added. */
export interface RatioRow extends RowBase {
  readonly over: readonly { readonly numerator: CaseName; readonly less?: CaseName; readonly denominator: CaseName }[];
}

/** A figure of one case. */
export interface FigureRow extends RowBase {
  readonly figure: { readonly of: CaseName; readonly key: string };
}

export type Row = RatioRow | FigureRow;

export interface Suite {
  readonly name: string;
  /** What it measures, a line or two for the table. */
  readonly about: string;
  readonly cases: readonly Case[];
  readonly rows: readonly Row[];
}

/** One pair a variant: `numerator` ÷ `denominator` in each. */
export function across(numerator: string, denominator: string, variants: readonly string[]): RatioRow["over"] {
  return variants.map((variant) => ({ numerator: [numerator, variant], denominator: [denominator, variant] }));
}
