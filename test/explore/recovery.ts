/** Recovery against recovery, against the slot's next tenant, and against a worker on its way in or out. */
import { call, note, runSync, type Scenario } from "../../tools/explore/index.ts";
import { keeps, leaves, pairs, poll, recover, scenario, small, warm, type Case, type End, type Work } from "./cases.ts";
import type { Attachment } from "./world.ts";

const z = small("z");
const warmed = { zones: [z], setUp: (all: Attachment[]) => warm(all, 0) };

/** Becomes the tenant of the first free slot, which may be the dead worker's, opens the zone and uses it. */
const movesIn: Work = function* (a) {
  const name = yield* reserve(a);
  if (name === 0) return;
  const tenant = a.world.join(name);
  if (!(yield* call(tenant.core.floor.slots.adopt(name)))) throw new Error("a ticket that was just issued is no good");
  const zone = yield* call(tenant.registry.open(z));
  const item = yield* call(zone.tryAlloc());
  if (item !== 0) {
    const owner = yield* call(zone.ownerOf(item));
    if (owner !== tenant.core.floor.slot) note(`bad: the tenant's item ${item} belongs to slot ${owner}`);
    yield* call(zone.free(item));
  }
  // It leaves by dying with empty hands.
  yield* recover(a, [name]);
};

/** As `uma.ticket()` does: under the control lock. */
function* reserve(a: Attachment): Generator<unknown, number, unknown> {
  const { locks, slots, cells, me, patienceMs } = a.core.floor;
  if (!(yield* call(locks.acquire(cells.base + CONTROL_LOCK, patienceMs)))) return 0;
  const name = yield* call(slots.reserve(me));
  yield* call(locks.release());
  return name;
}

/** SB_CONTROL_LOCK. */
const CONTROL_LOCK = 16;

/** Issues a ticket and starts a worker with it, which dies with its parent: one program is both. */
const comesByTicket: Work = function* (a) {
  const name = yield* reserve(a);
  if (name === 0) return;
  const child = a.world.join(name);
  if (!(yield* call(child.core.floor.slots.adopt(name)))) throw new Error("a ticket that was just issued is no good");
  const zone = yield* call(child.registry.open(z));
  yield* call(zone.tryAlloc());
  note(`child ${name}`);
};

/** Starts a worker, then leaves as one does whom a lock is out of reach of: what it had started lives until it is killed itself. */
const leavesBehind: Work = function* (a) {
  const { slots, me } = a.core.floor;
  yield* call((a.zones[0] as Attachment["zones"][0]).tryAlloc());
  const name = yield* reserve(a);
  if (name === 0) return;
  if (!(yield* call(slots.adopt(name)))) throw new Error("a ticket that was just issued is no good");
  note(`child ${name}`);
  yield* call(slots.leaveBehind(me));
  for (let n = 0; n < 3; n++) if (!(yield* call(slots.isLive(name)))) note("bad: a living worker was certified by one that had only left");
};

/** Sees to what worker 0 has left behind, knowing nothing of its thread, or of what it had started. */
const seesToIt: Work = function* (a) {
  const name = a.world.names[0] as number;
  const { slots } = a.core.floor;
  while (yield* call(slots.isLive(name))) yield* a.world.nap();
  for (;;) {
    const report = yield* call(a.recovery.run(name, undefined, false));
    if (report === null ? !(yield* call(slots.isDead(name))) : report.done) return;
    yield* a.world.nap();
  }
};

/** What worker 0 had started is live as long as that was not killed, and gone afterwards. */
function childrenAreAsTheirThread({ world, ends }: End): void {
  const { slots } = world.observer.core.floor;
  for (const { name, status, notes } of ends) {
    for (const said of notes) {
      if (name !== "worker0" || typeof said !== "string" || !said.startsWith("child ")) continue;
      const child = Number(said.slice("child ".length));
      if (runSync(slots.isLive(child)) !== (status === "done")) throw new Error(`${name} is ${status}, and what it had started is not`);
      if (runSync(slots.isDead(child))) throw new Error("what a dead worker had started is not recovered");
    }
  }
}

/** Frees the slot's successor from what the common check wants of an item held by somebody who has left. */
function slotsAreFree({ world }: End): void {
  for (const [worker, name] of world.names.entries()) {
    const { slots } = world.observer.core.floor;
    if (runSync(slots.isDead(name))) throw new Error(`worker ${worker} is dead and not recovered`);
  }
}

/** The slots that are taken are those of the living, and of the children of the living. */
function nobodyIsForgotten(end: End): void {
  const { world, ends } = end;
  const { slots } = world.observer.core.floor;
  const parents = ends.filter((e) => e.name.startsWith("worker") && e.status === "done").length;
  let children = 0;
  for (let slot = world.names.length + 1; slot <= slots.count; slot++) if (runSync(slots.state(slot)) !== FREE) children++;
  // A child may have moved into a dead worker's slot.
  for (const [worker, name] of world.names.entries()) {
    if (runSync(slots.state(worker + 1)) !== FREE && runSync(slots.tenant(worker + 1)) !== name) children++;
  }
  if (children !== parents) throw new Error(`${parents} parents live, and ${children} children have slots`);
  slotsAreFree(end);
}

/** STATE_FREE. */
const FREE = 0;

const orphaned: Case["world"] = {
  zones: [small("o", { onDeath: "free", bucket: 1 })],
  setUp: (all) => warm(all, 0, 1),
};

export const scenarios: Scenario[] = [
  scenario({
    name: "recovery: two recoverers race, one kill",
    world: warmed,
    works: [keeps(1)],
    kills: 1,
    recoverers: 2,
    quick: true,
  }),
  scenario({
    name: "recovery: two recoverers race, two kills",
    world: warmed,
    works: [keeps(1)],
    kills: 2,
    recoverers: 2,
  }),
  scenario({
    name: "recovery: three recoverers race, one kill",
    world: warmed,
    works: [keeps(1)],
    kills: 1,
    recoverers: 3,
  }),
  scenario({
    name: "recovery: of a worker cut in a transaction, two recoverers, two kills",
    world: { zones: [z], setUp: (_all, observer) => runSync(observer.zones[0]?.prealloc(4)) },
    works: [keeps(1)],
    kills: 2,
    recoverers: 2,
    bounds: { preemptionBound: 2 },
  }),
  scenario({
    name: "recovery: late, against the slot's next tenant, one kill",
    world: { ...warmed, pages: 36 },
    works: [pairs(1)],
    kills: 1,
    recoverers: 2,
    afterRecovery: movesIn,
    check: slotsAreFree,
  }),
  scenario({
    name: "recovery: against the slot's next tenant, two kills",
    world: { ...warmed, pages: 36 },
    works: [keeps(1)],
    kills: 2,
    afterRecovery: movesIn,
    bounds: { preemptionBound: 2 },
    check: slotsAreFree,
  }),
  scenario({
    name: "orphans: finished by a worker with the zone open while another frees, one kill",
    world: orphaned,
    works: [
      keeps(1),
      function* (a) {
        yield* pairs(1)(a);
        yield* poll(a);
      },
    ],
    kills: 1,
    recoverersOpen: false,
  }),
  scenario({
    name: "orphans: two workers finish them, one kill",
    world: orphaned,
    works: [keeps(1), (a) => poll(a), (a) => poll(a)],
    kills: 1,
    recoverersOpen: false,
    bounds: { preemptionBound: 3 },
  }),
  scenario({
    name: "attach: by ticket, killed at every step, one kill",
    world: { zones: [z], free: 2 },
    works: [comesByTicket],
    kills: 1,
    loose: true,
    check: nobodyIsForgotten,
  }),
  scenario({
    name: "attach: by ticket, killed at every step, two kills",
    world: { zones: [z], free: 2 },
    works: [comesByTicket],
    kills: 2,
    loose: true,
    check: nobodyIsForgotten,
  }),
  scenario({
    name: "attach: two come by ticket, one kill",
    world: { zones: [z], free: 2 },
    works: [comesByTicket, comesByTicket],
    kills: 1,
    loose: true,
    bounds: { preemptionBound: 1 },
    check: nobodyIsForgotten,
  }),
  scenario({
    name: "detach: something is left behind, and seen to by another, one kill",
    world: { zones: [z], free: 1 },
    works: [leavesBehind, seesToIt],
    kills: 1,
    loose: true,
    bounds: { preemptionBound: 3 },
    check: childrenAreAsTheirThread,
  }),
  scenario({
    name: "detach: killed at every step, two kills",
    world: warmed,
    works: [leaves],
    kills: 2,
    loose: true,
    check: slotsAreFree,
  }),
];
