/**
 * Quantum caches of shared arenas: pieces of a run, which are items of a zone, taken and given back against deaths, other workers and
 * calls to give the runs back.
 */
import { call, note, runSync, type Scenario } from "../../tools/explore/index.ts";
import { poll, scenario, type Case, type End, type Work } from "./cases.ts";
import type { Attachment } from "./world.ts";

const QUANTUM = 4096;
/** A run has 64 quanta: four pieces. */
const PIECE = 16 * QUANTUM;
const RUN = 64 * QUANTUM;

/** An arena that is no memory, with a cache for pieces; and pieces that the observer has taken, which others may give back. */
const arena =
  (pieces: number, runs = 1) =>
  (_all: Attachment[], observer: Attachment): void => {
    const made = runSync(
      observer.core.arenas.create("ids", { quantum: QUANTUM, qcacheMax: PIECE, span: { start: RUN, size: runs * RUN } }),
    );
    for (let n = 0; n < pieces; n++) observer.world.i32[observer.world.mail + n] = runSync(made.alloc(PIECE));
    // The zone is there then, and what the observer has not taken is within everybody's reach.
    if (pieces > 0) runSync(made.reap());
  };

const takes: Work = function* (a) {
  const ids = yield* call(a.core.arenas.open("ids"));
  const start = yield* call(ids.tryAlloc(PIECE));
  if (start < 0) return;
  note(`took ${start}`);
  note(`gave ${start}`);
  yield* call(ids.free(start, PIECE));
};

const keeps: Work = function* (a) {
  const ids = yield* call(a.core.arenas.open("ids"));
  const start = yield* call(ids.tryAlloc(PIECE));
  if (start >= 0) note(`took ${start}`);
};

/** Gives the n-th of the observer's pieces back. */
const gives = (n: number): Work =>
  function* (a) {
    const ids = yield* call(a.core.arenas.open("ids"));
    const start = a.world.i32[a.world.mail + n] as number;
    note(`gave ${start}`);
    yield* call(ids.free(start, PIECE));
  };

const reaps: Work = function* (a) {
  const ids = yield* call(a.core.arenas.open("ids"));
  yield* call(ids.reap());
};

/** What was asked for without waiting may have left a page in a frame, a lock having been out of reach: the next slow path finds it. */
const finishing = (work: Work): Work =>
  function* (a) {
    yield* work(a);
    yield* poll(a);
  };

/** What the living hold is theirs alone, and out; all else is free or a dead worker's; there are as many runs as the caches have. */
function piecesAre(before: number): (end: End) => void {
  return ({ world, ends, outstanding, orphans }) => {
    const held: number[] = [];
    let dead = 0;
    let deadHeld = 0;
    let given = 0;
    let givenByDead = 0;
    for (const end of ends) {
      const mine = new Set<number>();
      for (const said of end.notes) {
        const [verb, start] = String(said).split(" ");
        if (verb === "took") mine.add(Number(start));
        else if (verb === "gave" && !mine.delete(Number(start))) {
          if (end.status === "killed") givenByDead++;
          else given++;
        }
      }
      if (end.status === "killed") {
        dead++;
        deadHeld += mine.size;
      } else held.push(...mine);
    }
    if (new Set(held).size !== held.length) throw new Error(`a piece is in two living hands: ${held.join(", ")}`);
    const living = held.length + before - given;
    const { core } = world.observer;
    const ids = runSync(core.arenas.open("ids"));
    // Where the cache's lock is out of reach, the arena itself serves those who do not wait.
    const sizes: number[] = [];
    runSync(ids.walk(({ size }) => void sizes.push(size), { which: "alloc", snapshot: true }));
    const runs = sizes.filter((size) => size === RUN).length;
    const direct = sizes.length - runs;
    const out = outstanding + direct;
    if (out < living - givenByDead || out > living + deadHeld + dead)
      throw new Error(`${out} pieces are out; the living have ${living}, the dead had ${deadHeld}`);
    if (orphans > deadHeld + dead) throw new Error(`${orphans} pieces are a dead worker's, who held ${deadHeld}`);
    if (runs * 4 < outstanding) throw new Error(`${runs} runs are taken, and ${outstanding} pieces of them are out`);
    const problems = runSync(ids.verify());
    if (problems.length > 0) throw new Error(problems.join("; "));
  };
}

const world = (setUp: NonNullable<Case["world"]["setUp"]>): Case["world"] => ({ zones: [], pages: 40, setUp });
const shared: Pick<Case, "loose"> = { loose: true };

export const scenarios: Scenario[] = [
  scenario({
    name: "quantum cache: the first piece, one kill",
    world: world(arena(0)),
    works: [finishing(takes)],
    kills: 1,
    check: piecesAre(0),
    ...shared,
  }),
  scenario({
    name: "quantum cache: take and give, two kills",
    world: world(arena(1)),
    works: [finishing(takes)],
    kills: 2,
    check: piecesAre(1),
    ...shared,
  }),
  scenario({
    name: "quantum cache: two take and give, one kill",
    world: world(arena(1)),
    works: [finishing(takes), finishing(takes)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: piecesAre(1),
    ...shared,
  }),
  scenario({
    name: "quantum cache: two take and keep, one kill",
    world: world(arena(2, 2)),
    works: [finishing(keeps), finishing(keeps)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: piecesAre(2),
    ...shared,
  }),
  scenario({
    name: "quantum cache: given back by others, one kill",
    world: world(arena(2)),
    works: [finishing(gives(0)), finishing(gives(1))],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: piecesAre(2),
    ...shared,
  }),
  scenario({
    name: "quantum cache: reaped while another takes, one kill",
    world: world(arena(1)),
    works: [finishing(takes), finishing(reaps)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    check: piecesAre(1),
    ...shared,
  }),
  scenario({
    name: "quantum cache: given back and reaped, two kills",
    world: world(arena(1)),
    works: [
      finishing(function* (a) {
        yield* gives(0)(a);
        yield* reaps(a);
      }),
    ],
    kills: 2,
    check: piecesAre(1),
    ...shared,
  }),
];
