/** The end of an arena: what leaks is reported, every segment freed, every span taken out, imported ones back to the source. */
import { UmaError } from "../memory/errors.ts";
import {
  ARENA_SPAN_FIRST,
  TAG_KIND,
  TAG_NEXT,
  TAG_SEGMENT_BUSY,
  TAG_SEGMENT_CACHE,
  TAG_SEGMENT_FREE,
  TAG_SPAN,
  TAG_SPAN_IMPORTED,
} from "../memory/layout.ts";
import type { ArenaLeaks } from "./arena.ts";
import type { SpanInHand } from "./backing.ts";
import { busy } from "./complaints.ts";
import { lift } from "./giving.ts";
import type { ArenaHandle } from "./handle.ts";
import { snapshot } from "./looking.ts";

/** Segments that a leak report lists. */
const LISTED = 1000;

export function destroy(h: ArenaHandle, options: { readonly force?: boolean }): ArenaLeaks {
  h.checkAlive();
  h.backing.begin(true);
  if (h.backing.hasChildren()) {
    throw new UmaError("ERR_VMEM_CHILDREN", `arena "${h.name}" cannot be destroyed: arenas import from it`, { zone: h.name });
  }
  h.cache?.drain();
  const found = snapshot(h, "alloc");
  const taken = found.reduce((sum, segment) => sum + segment.size, 0);
  const size = h.cache === null ? taken : taken - h.cache.held() + h.cache.outstanding();
  const leaks: ArenaLeaks = { arena: h.name, size, count: found.length, segments: found.slice(0, LISTED) };
  if (size > 0 && options.force !== true) {
    const what = h.identifiers ? "identifiers" : "integers";
    throw new UmaError(
      "ERR_VMEM_LEAK",
      `arena "${h.name}" would leak ${size} ${what} in ${found.length} segments; free them, or force it`,
      { zone: h.name, value: size },
    );
  }
  if (!h.backing.beginEnd()) throw busy(h, "destroy");
  dismantle(h);
  h.backing.end();
  return leaks;
}

/** Ends the caches, frees every segment and takes every span out, imported ones back to the source. Repeatable. */
export function dismantle(h: ArenaHandle): void {
  const { backing } = h;
  h.cache?.close();
  h.cache = null;
  for (;;) {
    if (!backing.enter(true)) throw busy(h, "destroy");
    let span: SpanInHand | null = null;
    try {
      span = dismantleUntilImport(h);
      if (span === null) return;
    } finally {
      backing.leave();
    }
    h.porter?.giveBack(span);
  }
}

/** Under the lock. @returns an imported span, in hand; null when no span is left. */
function dismantleUntilImport(h: ArenaHandle): SpanInHand | null {
  const { a } = h.backing;
  const { segments, spans, ground } = h.backing.engine();
  const { i32 } = ground.cells;
  for (let marker = i32[a + ARENA_SPAN_FIRST]; marker !== 0; marker = i32[a + ARENA_SPAN_FIRST]) {
    let tag = i32[marker + TAG_NEXT];
    if (i32[tag + TAG_KIND] === TAG_SEGMENT_FREE) tag = i32[tag + TAG_NEXT];
    const kind = tag === 0 ? TAG_SPAN : i32[tag + TAG_KIND];
    if (kind >= TAG_SEGMENT_BUSY && kind <= TAG_SEGMENT_CACHE) {
      segments.release(a, tag);
      h.backing.commit();
      continue;
    }
    if (i32[marker + TAG_KIND] === TAG_SPAN_IMPORTED && h.porter !== null && h.porter.canRelease) {
      const span = lift(h, marker);
      if (span !== null) return span;
    }
    spans.remove(a, marker);
    h.backing.commit();
  }
  return null;
}
