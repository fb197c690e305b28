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
import { busy, destroyed, stillEnding } from "./complaints.ts";
import { lift } from "./giving.ts";
import type { ArenaHandle } from "./handle.ts";
import { copySegments, segmentsOf } from "./looking.ts";

/** Segments that a leak report lists. */
const LISTED = 1000;

/** Ends the arena; what a lock out of reach has cut short is gone on with by the next call of the same thread. */
export function destroy(h: ArenaHandle, options: { readonly force?: boolean }): ArenaLeaks {
  h.backing.begin(true);
  h.ending ??= begin(h, options.force === true);
  dismantle(h, 0);
  h.backing.end(0);
  const leaks = h.ending;
  h.ending = null;
  return leaks;
}

/** From here on others find the arena destroyed, if nothing imports from it and it may end with what is allocated. */
function begin(h: ArenaHandle, force: boolean): ArenaLeaks {
  h.checkAlive();
  const claim = h.backing.claim();
  if (claim === "ended") throw destroyed(h);
  if (claim === "busy") throw busy(h, "destroy");
  if (claim === "children") {
    throw new UmaError("ERR_VMEM_CHILDREN", `arena "${h.name}" cannot be destroyed: arenas import from it`, { zone: h.name });
  }
  let leaks: ArenaLeaks | null = null;
  try {
    h.cache?.drain();
    // What others take from their caches, or give back, just now is counted as it was, or as it will be.
    const cached = h.cache === null ? 0 : h.cache.held() - h.cache.outstanding();
    const begun = h.backing.beginEnd(() => {
      h.checkAlive();
      leaks = leaksOf(h, cached);
      if (leaks.size > 0 && !force) throw leaking(h, leaks);
    });
    if (!begun) leaks = null;
  } finally {
    // Unless it is dying by now.
    h.backing.unclaim();
  }
  if (leaks === null) throw busy(h, "destroy");
  return leaks;
}

/** Under the lock. @param cached - integers that the quantum caches hold, and nobody has out of them. */
function leaksOf(h: ArenaHandle, cached: number): ArenaLeaks {
  const found = segmentsOf(copySegments(h, "alloc"));
  const size = found.reduce((sum, segment) => sum + segment.size, 0) - cached;
  return { arena: h.name, size, count: found.length, segments: found.slice(0, LISTED) };
}

function leaking(h: ArenaHandle, { size, count }: ArenaLeaks): UmaError {
  const what = h.identifiers ? "identifiers" : "integers";
  return new UmaError("ERR_VMEM_LEAK", `arena "${h.name}" would leak ${size} ${what} in ${count} segments; free them, or force it`, {
    zone: h.name,
    value: size,
  });
}

/**
 * Ends the caches, frees every segment and takes every span out, imported ones back to the source. Repeatable; nothing, once the
 * record is no more the arena that worker `closer` (0 = this one) takes apart.
 * @throws UmaError ERR_VMEM_BUSY.
 */
export function dismantle(h: ArenaHandle, closer: number): void {
  const { backing } = h;
  if (!backing.isEnding(closer)) return;
  h.cache?.close();
  h.cache = null;
  for (;;) {
    if (!backing.enter(true)) throw stillEnding(h);
    let span: SpanInHand | null = null;
    try {
      if (!backing.isEnding(closer)) return;
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
