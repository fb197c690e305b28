/** An arena as text, for people. */
import type { Arena } from "./arena.ts";
import { type Segment, type WalkOptions } from "./walk.ts";

/** Segments a dump lists before it only counts the rest. */
const LISTED = 1000;

/** @source FreeBSD subr_vmem.c vmem_dump, vmem_print */
export function* dumpArena(
  arena: Pick<Arena, "name" | "quantum" | "identifiers" | "size" | "stats"> & {
    walk(visit: (segment: Segment) => boolean | void, options?: WalkOptions): void;
  },
): Generator<string, void, void> {
  const stats = arena.stats();
  const of = stats.vmem_source === null ? "" : `, imports from "${stats.vmem_source}"`;
  yield `arena "${arena.name}": quantum ${arena.quantum}${arena.identifiers ? ", identifiers" : ""}${of}`;
  yield `  in use ${stats.mem_inuse} of ${stats.mem_total} (imported ${stats.mem_import}), largest free ${arena.size("largest")}`;
  yield `  allocs ${stats.alloc}, frees ${stats.free}, fails ${stats.fail}, waits ${stats.wait}, hash steps ${stats.lookup}, search steps ${stats.search}`;
  const segments: Segment[] = [];
  let more = 0;
  arena.walk((segment) => {
    if (segments.length < LISTED) segments.push(segment);
    else more++;
  });
  for (const { start, size, state } of segments) yield `  [${start}, ${start + size})  ${String(size).padStart(10)}  ${state}`;
  if (more > 0) yield `  … and ${more} more segments`;
}
