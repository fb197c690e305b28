/** Shared arenas: segments split and joined by several workers, spans imported and given back, a hash table growing under them. */
import { call, note, runSync, type Scenario } from "../../tools/explore/index.ts";
import { scenario, type Case, type End, type Work } from "./cases.ts";
import type { Attachment } from "./world.ts";

/** Integers that one worker takes at once, at the most. */
const MOST = 4;
const SPAN = { start: 100, size: 8 };

/** The arena, and an import of its; the observer makes them. */
const ids = (_all: Attachment[], observer: Attachment): void => {
  runSync(observer.core.arenas.create("ids", { span: SPAN }));
};

const child = (_all: Attachment[], observer: Attachment): void => {
  const source = runSync(observer.core.arenas.create("source", { span: { start: 100, size: 64 } }));
  runSync(observer.core.arenas.create("ids", { source, importMin: 8 }));
};

/** Segments of one integer each, side by side, in the observer's name. */
const filled =
  (count: number, size: number) =>
  (_all: Attachment[], observer: Attachment): void => {
    const arena = runSync(observer.core.arenas.create("ids", { span: { start: 100, size } }));
    for (let n = 0; n < count; n++) observer.world.i32[observer.world.mail + n] = runSync(arena.alloc(1));
  };

/** So many segments that the next one finds the tags low or the table dense. */
const crowded =
  (count: number) =>
  (_all: Attachment[], observer: Attachment): void => {
    const arena = runSync(observer.core.arenas.create("ids", { span: { start: 100, size: 4 * count } }));
    for (let n = 0; n < count; n++) runSync(arena.alloc(1));
  };

/** Takes integers, says so, and gives them back. */
const takes = (size: number): Work =>
  function* (a) {
    const arena = yield* call(a.core.arenas.open("ids"));
    const start = yield* call(arena.tryAlloc(size));
    if (start < 0) return;
    note(`took ${start} ${size}`);
    note(`gave ${start} ${size}`);
    yield* call(arena.free(start, size));
  };

/** One after the other: the journal has entries of the one before. */
const takesTwice: Work = function* (a) {
  yield* takes(1)(a);
  yield* takes(3)(a);
};

const keepsRange = (size: number): Work =>
  function* (a) {
    const arena = yield* call(a.core.arenas.open("ids"));
    const start = yield* call(arena.tryAlloc(size));
    if (start >= 0) note(`took ${start} ${size}`);
  };

/** An arena that imports, something of it allocated. */
const imported = (all: Attachment[], observer: Attachment): void => {
  child(all, observer);
  runSync(runSync(observer.core.arenas.open("ids")).alloc(1));
};

/** What may come of ending an arena, or of opening one, that another ends or has ended. */
const ENDED = /^ERR_VMEM_(NO_ARENA|DESTROYED|BUSY)$/;

/** Ends the arena, whoever else does. */
const ends: Work = function* (a) {
  for (let tries = 0; tries < 3; tries++) {
    try {
      const arena = yield* call(a.core.arenas.open("ids"));
      yield* call(arena.destroy({ force: true }));
      note("ended");
      return;
    } catch (thrown) {
      const { code } = thrown as { code?: string };
      if (code === undefined || !ENDED.test(code)) throw thrown;
      if (code !== "ERR_VMEM_BUSY") return;
    }
  }
};

/** Ends the arena, and makes another, with its record as like as not; keeps something of that. */
const endsAndMakes: Work = function* (a) {
  yield* ends(a);
  const next = yield* call(a.core.arenas.create("next", { span: SPAN }));
  const start = yield* call(next.tryAlloc(2));
  if (start >= 0) note(`took ${start} 2`);
};

/** An arena ends once, all that it had imported goes home with it, and whatever has its record then is left alone. */
function endIsOne({ world, ends: all }: End): void {
  const { arenas } = world.observer.core;
  const names = runSync(arenas.list());
  const source = runSync(arenas.open("source"));
  const total = names.includes("ids") ? runSync(runSync(arenas.open("ids")).size("total")) : 0;
  const out = runSync(source.size("alloc"));
  if (out !== total) throw new Error(`${out} integers are taken from the source, and ${total} have arrived`);
  const living = all.filter((end) => end.status !== "killed");
  if (living.filter((end) => end.notes.includes("ended")).length > 1) throw new Error("the arena has ended twice");
  if (living.some((end) => end.notes.includes("ended")) && names.includes("ids")) throw new Error("an arena that has ended is there");
  for (const said of living.flatMap((end) => end.notes)) {
    const [verb, start] = String(said).split(" ");
    if (verb !== "took") continue;
    const state = names.includes("next") ? runSync(runSync(arenas.open("next")).whatis(Number(start)))?.state : "gone";
    if (state !== "alloc") throw new Error(`${start} of the next arena is in living hands, and ${state}`);
  }
  // Whoever died on the way has not kept it from ending.
  if (names.includes("ids")) runSync(runSync(arenas.open("ids")).destroy({ force: true }));
}

/** Gives the n-th segment of the mailbox back. */
const gives = (n: number): Work =>
  function* (a) {
    const arena = yield* call(a.core.arenas.open("ids"));
    const start = a.world.i32[a.world.mail + n] as number;
    note(`gave ${start} 1`);
    yield* call(arena.free(start, 1));
  };

/** Ranges in living hands do not overlap, and are taken; all else is free, but for what the dead had and their one on its way. */
function rangesAre(before: number): (end: End) => void {
  return ({ world, ends }) => {
    const arena = runSync(world.observer.core.arenas.open("ids"));
    const held: [number, number][] = [];
    let dead = 0;
    let deadHeld = 0;
    let given = 0;
    for (const end of ends) {
      const mine = new Map<number, number>();
      for (const said of end.notes) {
        const [verb, start, size] = String(said).split(" ");
        if (verb === "took") mine.set(Number(start), Number(size));
        else if (verb === "gave" && !mine.delete(Number(start))) given += Number(size);
      }
      const sum = [...mine.values()].reduce((a, b) => a + b, 0);
      if (end.status === "killed") {
        dead++;
        deadHeld += sum;
      } else held.push(...mine);
    }
    for (const [start, size] of held) {
      const clash = held.find(([other, length]) => other !== start && other < start + size && start < other + length);
      if (clash) throw new Error(`the ranges ${start}+${size} and ${clash.join("+")} are both in living hands`);
      for (let at = start; at < start + size; at++) {
        if (runSync(arena.whatis(at))?.state !== "alloc") throw new Error(`${at} is in living hands and free in the arena`);
      }
    }
    const taken = runSync(arena.size("alloc"));
    const living = held.reduce((sum, [, size]) => sum + size, 0);
    const least = living + (dead === 0 ? before - given : 0);
    const most = living + before - given + deadHeld + MOST * dead;
    if (taken < least || taken > most + given) throw new Error(`${taken} integers are taken, not ${least} to ${most}`);
    if (dead === 0 && taken !== least) throw new Error(`${taken} integers are taken, and ${least} are in hands`);
    const problems = runSync(arena.verify());
    if (problems.length > 0) throw new Error(problems.join("; "));
    const { source } = arena;
    if (source === null) return;
    // A span is one's or the other's, or stands in the frame of a living worker that had to leave it.
    const [out, imported] = [runSync(source.size("alloc")), runSync(arena.size("total"))];
    if (out !== imported) throw new Error(`${out} integers are taken from the source, and ${imported} have arrived`);
  };
}

const shared: Pick<Case, "loose"> = { loose: true };
const world = (setUp: NonNullable<Case["world"]["setUp"]>, pages = 26): Case["world"] => ({ zones: [], pages, setUp });

export const scenarios: Scenario[] = [
  scenario({
    name: "arena: take and give, two kills",
    world: world(ids),
    works: [takes(2)],
    kills: 2,
    quick: true,
    check: rangesAre(0),
    ...shared,
  }),
  scenario({
    name: "arena: take and give twice, one kill",
    world: world(filled(1, 8)),
    works: [takesTwice],
    kills: 1,
    check: rangesAre(1),
    ...shared,
  }),
  scenario({
    name: "arena: two take and give, one kill",
    world: world(ids),
    works: [takes(1), takes(2)],
    kills: 1,
    check: rangesAre(0),
    ...shared,
  }),
  scenario({
    name: "arena: two take and keep, one kill",
    world: world(ids),
    works: [keepsRange(3), keepsRange(4)],
    kills: 1,
    check: rangesAre(0),
    ...shared,
  }),
  scenario({
    name: "arena: neighbours given back by two, one kill",
    world: world(filled(3, 3)),
    works: [gives(0), gives(1)],
    kills: 1,
    check: rangesAre(3),
    ...shared,
  }),
  scenario({
    name: "arena: split by one while another joins, one kill",
    world: world(filled(2, 4)),
    works: [gives(1), takes(1)],
    kills: 1,
    check: rangesAre(2),
    ...shared,
  }),
  scenario({
    name: "arena: three workers, one kill",
    world: world(filled(2, 4)),
    works: [gives(0), gives(1), takes(1)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: rangesAre(2),
    ...shared,
  }),
  scenario({
    name: "arena: a span is imported and given back, two kills",
    world: world(child),
    works: [takes(2)],
    kills: 2,
    check: rangesAre(0),
    ...shared,
  }),
  scenario({
    name: "arena: two import and give back, one kill",
    world: world(child),
    works: [takes(2), takes(2)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: rangesAre(0),
    ...shared,
  }),
  scenario({
    name: "arena: ended by one, two kills",
    world: world(imported),
    works: [endsAndMakes],
    kills: 2,
    check: endIsOne,
    ...shared,
  }),
  scenario({
    name: "arena: ended by two, its record used again, one kill",
    world: world(imported),
    works: [endsAndMakes, ends],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: endIsOne,
    ...shared,
  }),
  scenario({
    name: "arena: tags and hash grow, two kills",
    world: world(crowded(24), 40),
    works: [takes(1)],
    kills: 2,
    check: rangesAre(24),
    ...shared,
  }),
];
