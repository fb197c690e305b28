/** Figures as people read them. */
const number = new Intl.NumberFormat("en-US");

/** 1234567 → "1,234,567". */
export function count(value: number): string {
  return number.format(value);
}

/** Bytes, as MB (10⁶) from a tenth of one on. */
export function size(bytes: number): string {
  return bytes >= 100_000 ? `${(bytes / 1e6).toFixed(bytes >= 1e8 ? 0 : 1)} MB` : `${count(bytes)} bytes`;
}

/** Milliseconds. */
export function duration(milliseconds: number): string {
  return milliseconds >= 1000 ? `${(milliseconds / 1000).toFixed(2)} s` : `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

/** "1 object", "2 objects". */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}
