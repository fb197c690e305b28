/** Safe memory reclamation: a writer that reuses what readers may still see, and the deaths of readers and writers; and the map on top. */
import { call, note, read, runSync, write, type Scenario } from "../../tools/explore/index.ts";
import { layout, scenario, small, type Case, type End, type Work } from "./cases.ts";
import { defineMap, openMap, umaOf, type Attachment, type MiniWorld } from "./world.ts";

const nodes = small("nodes", { smr: true, bucket: 1 });

/** A node whose two words both say what version it is, published in the mailbox. */
function* fill(a: Attachment, node: number, version: number): Generator<unknown, void, unknown> {
  yield* write(a.world.i32, node >>> 2, version);
  yield* write(a.world.i32, (node >>> 2) + 1, version);
}

const published = (all: Attachment[]): void => {
  const { world, zones } = all[0] as Attachment;
  const node = runSync(zones[0]!.allocSmr());
  world.i32[node >>> 2] = world.i32[(node >>> 2) + 1] = 1;
  world.i32[world.mail] = node;
};

/** Replaces the published node `times` times; the old ones are freed, and may come again as new ones. */
const replaces = (times: number): Work =>
  function* (a) {
    const zone = a.zones[0]!;
    for (let n = 0; n < times; n++) {
      const node = yield* call(zone.allocSmr());
      if (node === 0) continue;
      yield* fill(a, node, 2 + n);
      const old = yield* read(a.world.i32, a.world.mail);
      yield* write(a.world.i32, a.world.mail, node);
      yield* call(zone.freeSmr(old));
    }
  };

/** Reads the published node, both words of it, inside a section. */
const reads: Work = function* (a) {
  const { smr } = a.core;
  yield* call(smr.enter());
  const node = yield* read(a.world.i32, a.world.mail);
  if (node === 0) {
    yield* call(smr.exit());
    return;
  }
  const first = yield* read(a.world.i32, node >>> 2);
  const second = yield* read(a.world.i32, (node >>> 2) + 1);
  if (first !== second) note(`bad: a reader sees ${first} and ${second} in one node`);
  yield* call(smr.exit());
};

/** Enters, and sleeps inside until nobody else gets on. */
const dozes: Work = function* (a) {
  yield* call(a.core.smr.enter());
  yield* a.world.nap();
  yield* call(a.core.smr.exit());
};

const leaves: Work = function* (a) {
  yield* call(a.core.smr.enter());
  yield* call(a.core.smr.exit());
};

/** Waits for all readers there are, so many naps at the most. */
const synchronizes: Work = function* (a) {
  try {
    yield* call(a.core.smr.synchronize(4));
    note("synchronized");
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_UMA_TIMEOUT") throw error;
  }
};

/** Asks, as often as it takes, whether a goal is reached. */
const polls: Work = function* (a) {
  const goal = yield* call(a.core.smr.advance());
  if (yield* call(a.core.smr.poll(goal))) note("reached");
};

/** Takes the node away and frees it, which nobody waits for. */
const frees: Work = function* (a) {
  const node = yield* read(a.world.i32, a.world.mail);
  yield* write(a.world.i32, a.world.mail, 0);
  yield* call(a.zones[0]!.freeSmr(node));
};

/** What a dead writer gathered comes out of the limbo in the end. */
function comesBack({ world }: End): void {
  const { observer } = world;
  const zone = observer.zones[0]!;
  for (let n = 0; n < 3; n++) runSync(zone.reclaim());
  const verdict = runSync(observer.verify());
  if (!verdict.ok) throw new Error(`after the harvest: ${verdict.problems.join("; ")}`);
  const lost = world.i32[zone.zone + layout.ZONE_LIMBO];
  if (lost !== 0) throw new Error("a bucket stays in the limbo although nobody reads");
}

const map = runSync(defineMap("m", { capacity: 2 }));
const mapped: Case["world"] = {
  zones: [map.nodes, map.table],
  pages: 40,
  setUp: (all) => {
    const mine = runSync(openMap(umaOf(all[0] as Attachment), map));
    runSync(mine.set(1, 10));
  },
};

const sets = (key: number, value: number): Work =>
  function* (a) {
    const mine = yield* call(openMap(umaOf(a), map));
    yield* call(mine.set(key, value));
    note(`set ${key} ${value}`);
  };

const deletes = (key: number): Work =>
  function* (a) {
    const mine = yield* call(openMap(umaOf(a), map));
    yield* call(mine.delete(key));
  };

/** Puts the number of entries right, as a set that meets a full map does. */
const sweeps: Work = function* (a) {
  const mine = yield* call(openMap(umaOf(a), map));
  yield* call(mine.sweep());
};

/** Where nobody died there is nothing to put right. */
function countIsRight(end: End): void {
  const mine = runSync(openMap(umaOf(end.world.observer), map));
  const problems = runSync(mine.verify()).filter((problem) => problem.includes("the count is"));
  if (problems.length > 0) throw new Error(problems.join("; "));
}

/** Sees what is there: the old value, the new one, or nothing if somebody deletes. */
const gets = (key: number, ...allowed: (number | undefined)[]): Work =>
  function* (a) {
    const mine = yield* call(openMap(umaOf(a), map));
    const value = yield* call(mine.get(key));
    if (!allowed.includes(value)) note(`bad: key ${key} has the value ${value}`);
  };

/** Swept and with nobody at it, the map is whole, and what was set is there. */
function mapIsWhole(values: Record<number, (number | undefined)[]>): (end: End) => void {
  return ({ world, said }) => {
    const mine = runSync(openMap(umaOf(world.observer), map));
    runSync(mine.sweep());
    const problems = runSync(mine.verify());
    if (problems.length > 0) throw new Error(problems.join("; "));
    for (const [key, allowed] of Object.entries(values)) {
      const value = runSync(mine.get(Number(key)));
      if (!allowed.includes(value)) throw new Error(`key ${key} has the value ${value} in the end`);
      if (value === undefined && said.includes(`set ${key} ${allowed[0]}`)) throw new Error(`key ${key} was set and is not there`);
    }
  };
}

const held = (_world: MiniWorld, _worker: number): number[] => [];
const loose = { loose: true, held };
const world: Case["world"] = { zones: [nodes], setUp: published };

export const scenarios: Scenario[] = [
  scenario({
    name: "smr: a reader against a writer that reuses",
    world,
    works: [replaces(3), reads],
    quick: true,
    ...loose,
    check: comesBack,
  }),
  scenario({
    name: "smr: a reader against a writer that reuses, one kill",
    world,
    works: [replaces(2), reads],
    kills: 1,
    ...loose,
    check: comesBack,
  }),
  scenario({
    name: "smr: two readers against a writer, one kill",
    world,
    works: [replaces(2), reads, reads],
    kills: 1,
    bounds: { preemptionBound: 2 },
    ...loose,
    check: comesBack,
  }),
  scenario({ name: "smr: a writer that waits for readers, one kill", world, works: [synchronizes, leaves], kills: 1, ...loose }),
  scenario({
    name: "smr: a writer that waits for a reader who dozes or dies inside, two kills",
    world,
    works: [synchronizes, dozes],
    kills: 2,
    ...loose,
    // Nobody is inside any more: the living have left, the dead were recovered.
    check: ({ world: { observer } }) => {
      const { smr } = observer.core;
      if (!runSync(smr.poll(runSync(smr.advance())))) throw new Error("a dead reader's section goes on");
    },
  }),
  scenario({ name: "smr: two advance and poll, one reads", world, works: [polls, polls, leaves], ...loose }),
  scenario({ name: "smr: a dead writer's unfinished bucket, two kills", world, works: [frees], kills: 2, ...loose, check: comesBack }),
  scenario({
    name: "smr: a dead writer's unfinished bucket, a reader inside, one kill",
    world,
    works: [frees, reads],
    kills: 1,
    mayKill: (worker) => worker !== 1,
    ...loose,
    check: comesBack,
  }),
  scenario({
    name: "map: a value is changed while another reads, one kill",
    world: mapped,
    works: [sets(1, 11), gets(1, 10, 11)],
    kills: 1,
    ...loose,
    check: mapIsWhole({ 1: [11, 10] }),
  }),
  scenario({
    name: "map: an entry is made, two kills",
    world: mapped,
    works: [sets(2, 20)],
    kills: 2,
    ...loose,
    check: mapIsWhole({ 1: [10], 2: [20, undefined] }),
  }),
  scenario({
    name: "map: swept while one makes an entry and another deletes one",
    world: mapped,
    works: [sets(2, 20), sweeps, deletes(1)],
    ...loose,
    check: countIsRight,
  }),
  scenario({
    name: "map: deleted while another changes it, one kill",
    world: mapped,
    works: [deletes(1), sets(1, 11)],
    kills: 1,
    bounds: { preemptionBound: 2 },
    ...loose,
    check: mapIsWhole({ 1: [undefined, 10, 11] }),
  }),
  scenario({
    name: "map: an entry is deleted, two kills",
    world: mapped,
    works: [deletes(1)],
    kills: 2,
    ...loose,
    check: mapIsWhole({ 1: [undefined, 10] }),
  }),
];
