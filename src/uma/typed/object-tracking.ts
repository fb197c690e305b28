/**
 * Object zones that remember where each of their objects was allocated, for the leak report. Others do not know of it.
 */

/** What is out of an object zone. */
export interface ObjectLeakReport {
  readonly zone: string;
  readonly outstanding: number;
  /** Where they were allocated, most first; only for zones with `track`. */
  readonly sites: readonly { readonly site: string; readonly count: number }[];
}

/** Frames of a call stack that a leak report shows. */
const SITE_FRAMES = 3;

/** A zone as its class has it: arguments untyped. */
export interface AnyObjectZone<T extends object> {
  readonly name: string;
  alloc(arg?: unknown): T;
  tryAlloc(arg?: unknown): T | null;
  free(object: T): void;
  acquire(arg?: unknown): T;
  release(object: T): void;
  prealloc(count: number): void;
  leaks(): ObjectLeakReport;
}

/** The zone with its methods replaced by ones that remember where each object was allocated. */
export function tracked<T extends object>(zone: AnyObjectZone<T>): AnyObjectZone<T> {
  const sites = new Map<T, string>();
  const untracked = Object.getPrototypeOf(zone) as AnyObjectZone<T>;

  function remember(object: T | null): T | null {
    if (object !== null) sites.set(object, site());
    return object;
  }
  function trackedAlloc(arg?: unknown): T {
    return remember(untracked.alloc.call(zone, arg)) as T;
  }
  function trackedFree(object: T): void {
    untracked.free.call(zone, object);
    sites.delete(object);
  }
  return Object.assign(zone, {
    alloc: trackedAlloc,
    acquire: trackedAlloc,
    tryAlloc: (arg?: unknown) => remember(untracked.tryAlloc.call(zone, arg)),
    free: trackedFree,
    release: trackedFree,
    leaks: (): ObjectLeakReport => {
      const counts = new Map<string, number>();
      for (const where of sites.values()) counts.set(where, (counts.get(where) ?? 0) + 1);
      const listed = [...counts].map(([where, count]) => ({ site: where, count })).sort((a, b) => b.count - a.count);
      return { ...untracked.leaks.call(zone), sites: listed };
    },
  });
}

/** The frames of the caller of alloc: the first few outside this file's functions. */
function site(): string {
  const stack = new Error("allocated here").stack ?? "";
  const frames = stack.split("\n").filter((line) => /^\s*at |@/.test(line));
  // This function, remember, and the tracking alloc.
  return frames
    .slice(3, 3 + SITE_FRAMES)
    .map((line) => line.trim().replace(/^at /, ""))
    .join(" < ");
}
