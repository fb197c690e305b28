/**
 * Arenas: pages from the heap, leaves of sixteen bytes from the pages, identifiers beside them, spans that are added, arenas that
 * come and go. What a victim surely had is there after its death, and nothing that it surely had not.
 */
import type * as Library from "../../../src/index.ts";
import { type Actor, type Say, type Theme, allowing } from "../theme.ts";

/** Arenas by their place in the ledger; those with quantum caches, and one on functions of the user's, behind the others. */
const NAMES = ["crash leaf", "crash ids", "crash pages", "crash small", "crash cached", "crash user"] as const;
const CACHED = 4;
/** Ranges in the ledger's own words: arena + 1 (negative: it is being freed), start, size. OPEN: arena + 1 of one that may be coming. */
const OPEN = 0;
/** Ranges of the identifiers that may be out beside. */
const BESIDE = 1;
const MOST_BESIDE = 12;
const FIRST = 4;
const WORDS = 3;
const RANGES = 120;
const X = 64;
const REFUSED = ["ERR_VMEM_NOSPACE", "ERR_VMEM_NOID", "ERR_UMA_TIMEOUT"];

export const arenasTheme: Theme = {
  name: "arenas",
  steps: 60,

  definitions() {
    return [];
  },

  step(a) {
    const action = a.random(100);
    if (action < 45) for (let n = 0; n < 6; n++) take(a);
    else if (action < 75) for (let n = 0; n < 6; n++) give(a, a.random(RANGES));
    else if (action < 82) for (let n = 0; n < RANGES; n++) take(a);
    else if (action < 89) for (let n = 0; n < RANGES; n++) give(a, n);
    else if (action < 93) passing(a);
    else if (action < 96) arenasOf(a)[a.random(NAMES.length)]?.reap();
    else if (action < 98) waits(a);
    else looks(a);
  },

  end(a) {
    waits(a);
    for (let n = 0; n < RANGES; n++) give(a, n);
  },

  account(parent, say) {
    judge(parent, say);
  },

  settle(parent, say) {
    empty(parent, say);
  },

  // The zones of the quantum caches: what may be in them is looked at with their arena.
  keeps: (zone) => zone.startsWith("vmem crash"),
};

function arenasOf(a: Actor): Library.Uma["arenas"]["heap"][] {
  let all = a.memo.get("arenas") as Library.Uma["arenas"]["heap"][] | undefined;
  if (all !== undefined && all.every((arena) => !arena.isDestroyed())) return all;
  const { arenas } = a.uma;
  const pages = arenas.create("crash pages", { quantum: 4096, source: arenas.heap, importMin: 3 * 4096 });
  const leaf = arenas.create("crash leaf", { quantum: 16, source: pages });
  const ids = arenas.create("crash ids", { span: { start: 1000, size: 400 }, identifiers: true });
  const small = arenas.create("crash small", { source: leaf, limit: 4096 });
  const cached = arenas.create("crash cached", { quantum: 4096, source: arenas.heap, qcacheMax: 4 * 4096 });
  const user = arenas.create("crash user", { quantum: 8, import: (size) => next(a, size), release: () => undefined });
  all = [leaf, ids, pages, small, cached, user];
  a.memo.set("arenas", all);
  return all;
}

/** Pages of integers from which a worker imports: each has a share of its own. */
const SHARE = 62_500;

/** What is lost in functions of the user's is the user's to find: each import is of integers that nobody has had. */
function next(a: Actor, size: number): number {
  const start = (a.memo.get("next") as number | undefined) ?? (((a.who + 1) & 7) * SHARE + a.random(SHARE)) * 4096;
  a.memo.set("next", start + size);
  return start;
}

function wordOf(n: number): number {
  return FIRST + n * WORDS;
}

/** A free place in the ledger, from a random one on; −1 = none. */
function placeFor(a: Actor): number {
  let n = a.random(RANGES);
  for (let tries = 0; tries < RANGES; tries++, n = (n + 1) % RANGES) if (a.ledger.extra[wordOf(n)] === 0) return n;
  return -1;
}

/** Allocates of a kind (X added: by xalloc) into place n of the ledger. */
function takeInto(a: Actor, n: number, kind: number, size: number, alloc: () => number): void {
  const { extra } = a.ledger;
  const at = wordOf(n);
  extra[OPEN] = kind & (X - 1);
  const start = alloc();
  if (start >= 0) {
    extra[at + 1] = start;
    extra[at + 2] = size;
    extra[at] = kind;
  }
  extra[OPEN] = 0;
}

function take(a: Actor): void {
  const n = placeFor(a);
  if (n < 0) return;
  const kind = a.random(NAMES.length);
  const arena = arenasOf(a)[kind];
  if (arena === undefined) return;
  const size = arena.quantum * (1 + a.random(6));
  const x = a.random(3) === 0;
  takeInto(a, n, kind + 1 + (x ? X : 0), size, () =>
    x
      ? arena.tryXalloc(size, { align: arena.quantum * 4, min: a.random(3) * arena.quantum * 8, nocross: a.random(2) * arena.quantum * 64 })
      : arena.tryAlloc(size, { policy: (["instant", "best", "first", "next"] as const)[a.random(4)] ?? "instant" }),
  );
}

function give(a: Actor, n: number): void {
  const { extra } = a.ledger;
  const at = wordOf(n);
  const kind = extra[at] ?? 0;
  if (kind <= 0) return;
  const arena = arenasOf(a)[(kind & (X - 1)) - 1];
  extra[at] = -kind;
  if (kind >= X) arena?.xfree(extra[at + 1] ?? 0, extra[at + 2] ?? 0);
  else arena?.free(extra[at + 1] ?? 0, extra[at + 2] ?? 0);
  extra[at] = 0;
}

/** Arenas that live for a moment, of one worker. */
function briefNames(who: number): string[] {
  return ["passing", "spans", "late", "many"].map((name) => `crash ${name} ${who}`);
}

/** An arena that lives for a moment, and spans that are added to it. */
function passing(a: Actor): void {
  const [, , pages] = arenasOf(a);
  if (pages === undefined) return;
  // What a lock out of reach left the last time.
  const left = a.uma.arenas.list();
  for (const name of briefNames(a.who)) if (left.includes(name)) a.uma.arenas.open(name).destroy({ force: true });
  const arena = a.uma.arenas.create(`crash passing ${a.who}`, { source: pages });
  arena.tryAlloc(5000);
  arena.destroy({ force: true });
  const spans = a.uma.arenas.create(`crash spans ${a.who}`, {});
  for (let n = 0; n < 5; n++) spans.add(n * 1000, 900);
  for (let n = 0; n < 8; n++) spans.tryAlloc(100 + n * 90, { policy: "best" });
  spans.destroy({ force: true });
  const late = a.uma.arenas.create(`crash late ${a.who}`, {});
  late.setImport({ source: pages });
  late.tryAlloc(100);
  late.destroy({ force: true });
  // So many that the hash has a second table.
  const many = a.uma.arenas.create(`crash many ${a.who}`, { span: { start: 0, size: 2000 } });
  for (let n = a.random(4) === 0 ? 700 : 0; n > 0; n--) many.tryAlloc(1);
  many.destroy({ force: true });
  a.uma.arenas.heap.reap();
}

/** Questions, and settings that change. */
function looks(a: Actor): void {
  const [leaf, ids, , small] = arenasOf(a);
  ids?.contains(1000, 5);
  small?.setLimit(4096 + a.random(2) * 4096);
  leaf?.setReclaim(() => undefined);
  leaf?.tryAlloc(400_000_000);
  small?.tryAlloc(100_000);
  // No run for the caches; which may have a piece all the same.
  const cached = arenasOf(a)[CACHED];
  cached?.setLimit(1);
  try {
    for (let size = 4096; size <= 3 * 4096; size += 4096) {
      const n = placeFor(a);
      if (n < 0 || cached === undefined) break;
      takeInto(a, n, CACHED + 1, size, () => cached.tryAlloc(size));
      give(a, n);
    }
  } finally {
    cached?.setLimit(0);
  }
}

/** Waits for what is not there. What a lock out of reach left in this worker's hands, it has until the next time. */
function waits(a: Actor): void {
  const [, ids] = arenasOf(a);
  if (ids === undefined) return;
  const held = (a.memo.get("beside") as number[] | undefined) ?? [];
  a.memo.set("beside", held);
  a.ledger.extra[BESIDE] = MOST_BESIDE;
  while (held.length < MOST_BESIDE) {
    const start = allowing(REFUSED, () => ids.allocWait(40, { timeout: 2 }));
    if (start === undefined) break;
    held.push(start);
  }
  for (let start = held.at(-1); start !== undefined; start = held.at(-1)) {
    ids.free(start, 40);
    held.pop();
  }
  a.ledger.extra[BESIDE] = 0;
}

interface Range {
  readonly start: number;
  readonly size: number;
}

/** What is allocated in an arena and was not imported by another one, whose first segment would begin there. */
function allocatedIn(a: Actor, arena: Library.Uma["arenas"]["heap"]): Range[] {
  const { arenas } = a.uma;
  const imported = new Set<number>();
  for (const name of arenas.list()) {
    const other = arenas.open(name);
    if (other.source?.name === arena.name) other.walk(({ start }) => void imported.add(start), { snapshot: true });
  }
  const found: Range[] = [];
  arena.walk(({ start, size }) => void (imported.has(start) || found.push({ start, size })), { which: "alloc", snapshot: true });
  return found;
}

function judge(parent: Actor, say: Say): void {
  const { extra } = parent.ledger;
  const coming = extra[OPEN] ?? 0;
  for (const [kind, arena] of arenasOf(parent).entries()) {
    // Of its pieces only the caches know; whether they are there shows when they are freed.
    if (kind === CACHED) continue;
    const allocated = allocatedIn(parent, arena);
    const have = new Set(allocated.map(({ start }) => start));
    const may = new Set<number>();
    for (let n = 0; n < RANGES; n++) {
      const word = extra[wordOf(n)] ?? 0;
      if ((Math.abs(word) & (X - 1)) !== kind + 1) continue;
      const start = extra[wordOf(n) + 1] ?? 0;
      may.add(start);
      if (word > 0 && !have.has(start)) say(`lost: ${start} of arena "${arena.name}" was the victim's and is free`);
    }
    const strange = allocated.filter(({ start }) => !may.has(start)).length;
    const beside = arena.name === "crash ids" ? (extra[BESIDE] ?? 0) : 0;
    if (strange > (coming === kind + 1 ? 1 : 0) + beside) say(`lost: arena "${arena.name}" has ${strange} ranges that nobody knows`);
  }
}

/** Frees what a victim had: the leaves first, so that what they had imported goes back to their sources. */
function empty(parent: Actor, say: Say): void {
  const { arenas } = parent.uma;
  emptyCached(parent, say);
  const brief = parent.crowd.flatMap(briefNames);
  for (const name of [
    ...brief,

    "crash user",
    "crash cached",
    "crash small",
    "crash leaf",
    "crash ids",
    "crash pages",
  ]) {
    if (!arenas.list().includes(name)) continue;
    const arena = arenas.open(name);
    const left: { start: number; size: number; state: string }[] = [];
    arena.walk((segment) => void left.push(segment), { which: "alloc", snapshot: true });
    for (const { start, size, state } of left) {
      if (state === "xalloc") arena.xfree(start, size);
      else if (state === "alloc") arena.free(start, size);
    }
    // What a worker that died had freed last may have left a span empty.
    arena.reap();
    // A piece that was just coming or going may still be out, the peer's caches hold runs, and of many workers no ledger is left.
    const forgiven = name === "crash cached" && (parent.memo.get("pieces") !== 0 || !parent.alone || parent.crowd.length > 1);
    if (!forgiven && arena.size("alloc") !== 0) say(`lost: arena "${name}" keeps ${arena.size("alloc")} integers`);
    if (!forgiven && arena.source !== null && arena.size("total") !== 0)
      say(`lost: arena "${name}" keeps ${arena.size("total")} imported integers`);
    for (const problem of arena.verify()) say(`arena "${name}": ${problem}`);
    if (parent.alone || brief.includes(name)) arena.destroy({ force: name === "crash user" || name === "crash cached" });
  }
}

/** Frees the pieces of quantum caches that the victim surely had, which must be there, and tries those that it may have had. */
function emptyCached(parent: Actor, say: Say): void {
  const { extra } = parent.ledger;
  const arena = arenasOf(parent)[CACHED];
  let doubtful = extra[OPEN] === CACHED + 1 ? 1 : 0;
  for (let n = 0; n < RANGES; n++) {
    const word = extra[wordOf(n)] ?? 0;
    if ((Math.abs(word) & (X - 1)) !== CACHED + 1 || arena === undefined) continue;
    const start = extra[wordOf(n) + 1] ?? 0;
    const size = extra[wordOf(n) + 2] ?? 0;
    if (word < 0) doubtful++;
    const freed = allowing(["ERR_VMEM_UNKNOWN", "ERR_VMEM_KIND", "ERR_VMEM_SIZE"], () => {
      if (Math.abs(word) >= X) arena.xfree(start, size);
      else arena.free(start, size);
      return true;
    });
    if (freed !== true && word > 0) say(`lost: ${start} of arena "${arena.name}" was the victim's and is free`);
    extra[wordOf(n)] = 0;
  }
  parent.memo.set("pieces", doubtful);
}
