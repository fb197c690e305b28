/** The ground floor: the robust lock with its waiters, the journal, and what recovery rolls back. */
import { call, note, read, type Scenario } from "../../tools/explore/index.ts";
import { scenario, type End, type Work } from "./cases.ts";
import { MAIL_WORDS, type Attachment } from "./world.ts";

/** In the mailbox: a lock, two words that are equal outside transactions, and a byte that follows them. */
const LOCK = 0;
const LEFT = 1;
const RIGHT = 2;
const BYTE = 3;

/** Raises all three in one transaction. */
function* raise(a: Attachment): Generator<unknown, void, unknown> {
  const { locks, journal } = a.core.floor;
  const { i32, mail } = a.world;
  if (!(yield* call(locks.acquire(mail + LOCK, a.core.floor.patienceMs)))) {
    note("busy");
    return;
  }
  const next = (yield* read(i32, mail + LEFT)) + 1;
  yield* call(journal.set(mail + LEFT, next));
  yield* call(journal.add(mail + RIGHT, 1));
  yield* call(journal.setByte((mail + BYTE) << 2, next));
  yield* call(journal.commit());
  note("raised");
  yield* call(locks.release());
}

/** Begins to raise, and thinks better of it: letting the lock go undoes what was not committed. */
function* relent(a: Attachment): Generator<unknown, void, unknown> {
  const { locks, journal } = a.core.floor;
  const { mail } = a.world;
  if (!(yield* call(locks.acquire(mail + LOCK, a.core.floor.patienceMs)))) return;
  yield* call(journal.add(mail + LEFT, 1));
  yield* call(journal.setByte((mail + BYTE) << 2, 77));
  yield* call(locks.release());
}

/** Leaves a transaction open, as an exception does, and mends it. */
function* stumble(a: Attachment): Generator<unknown, void, unknown> {
  const { locks, journal } = a.core.floor;
  const { mail } = a.world;
  if (!(yield* call(locks.acquire(mail + LOCK, a.core.floor.patienceMs)))) return;
  yield* call(journal.add(mail + RIGHT, 1));
  yield* call(locks.mend());
}

const raises: Work = (a) => raise(a);
const raisesTwice: Work = function* (a) {
  yield* raise(a);
  yield* raise(a);
};

function equal({ world, ends, said }: End): void {
  const { i32, u8, mail } = world;
  const [left, right, byte] = [i32[mail + LEFT] as number, i32[mail + RIGHT] as number, u8[(mail + BYTE) << 2] as number];
  if (i32[mail + LOCK] !== 0) throw new Error(`the lock is left to ${i32[mail + LOCK]}`);
  if (left !== right || left !== byte) throw new Error(`torn: ${left}, ${right}, ${byte}`);
  const raised = said.filter((what) => what === "raised").length;
  const dead = ends.filter((end) => end.status === "killed").length;
  if (left !== raised && !(left > raised && left <= raised + dead)) throw new Error(`${left} counted, ${raised} raised`);
  if (i32[mail + MAIL_WORDS] !== 0) throw new Error("somebody wrote into the word that is only slept on");
}

// No zones: recovery is short, and the lock is what there is to see.
const world = { zones: [], pages: 22 };

export const scenarios: Scenario[] = [
  scenario({ name: "lock: two workers, two kills", world, works: [raises, raises], kills: 2, quick: true, check: equal }),
  scenario({ name: "lock: two workers, one twice, two kills", world, works: [raisesTwice, raises], kills: 2, check: equal }),
  scenario({ name: "lock: three workers, one kill", world, works: [raises, raises, raises], kills: 1, check: equal }),
  scenario({ name: "lock: three workers, two kills", world, works: [raises, raises, raises], kills: 2, check: equal }),
  scenario({ name: "lock: undone by its holder, two kills", world, works: [relent, raises], kills: 2, check: equal }),
  scenario({ name: "lock: mended by its holder, two kills", world, works: [stumble, raises], kills: 2, check: equal }),
  scenario({
    name: "lock: naps that end early, two kills",
    world,
    works: [raises, raises],
    kills: 2,
    bounds: { earlyTimeouts: 2 },
    check: equal,
  }),
  scenario({
    name: "lock: out of reach, no patience, two kills",
    world: { ...world, patienceMs: 0 },
    works: [raises, raisesTwice],
    kills: 2,
    check: equal,
  }),
];
