/**
 * What is explored: small scenarios over the library's own code, all interleavings of their shared accesses, with kills.
 *
 * At every end: verify(), no item in two hands, every survivor finished, and the count of outstanding items is what the workers
 * that lived through say it is, give or take what the dead had in hand.
 */
import { call, note, runSync, type Program, type Scenario, type Victim, type WorkerEnd } from "../../tools/explore/index.ts";
import { type Attachment, type Definition, type MiniOptions, type MiniWorld, defineZone, miniWorld, mustVerify } from "./world.ts";

/** Items of 1000 bytes: four a slab, so that slabs run out fast. Buckets of two. */
const small = (name: string, more: Partial<Parameters<typeof defineZone>[1]> = {}): Definition =>
  runSync(defineZone(name, { size: 1000, bucket: 2, ...more }));

interface Work {
  readonly name: string;
  /** The worker's own operations, over its attachment. */
  run(a: Attachment): Generator<unknown, unknown, unknown>;
}

interface Case {
  readonly name: string;
  readonly world: Omit<MiniOptions, "workers">;
  readonly works: readonly Work[];
  readonly maxKills: number;
  readonly more?: Partial<Scenario>;
  check?(world: MiniWorld, ends: readonly WorkerEnd[]): void;
}

/** A death certificate brings a recoverer; a recoverer's death another one, which recovers both. */
function recoverers(world: MiniWorld, works: number): (victim: Victim) => Program[] {
  return (victim) => {
    const chain = victim.chain.map((name) => Number(name.replace(/^\D+/, "")));
    const dead = chain.filter((worker) => worker < works);
    const slot = works + chain.length - 1;
    return [
      {
        name: `recoverer${slot}`,
        *run() {
          const a = world.attach(slot);
          const names = [
            ...dead.map((worker) => world.names[worker] as number),
            ...chain.filter((w) => w >= works).map((w) => world.names[w] as number),
          ];
          for (let left = names; left.length > 0; ) {
            const next: number[] = [];
            for (const name of left) {
              yield* call(a.core.floor.slots.certify(name));
              const report = yield* call(a.recovery.run(name));
              if (report !== null && !report.done) next.push(name);
              else if (report === null && (yield* call(a.core.floor.slots.isDead(name)))) next.push(name);
            }
            left = next;
          }
        },
      },
    ];
  };
}

function scenario(c: Case): Scenario {
  return {
    name: c.name,
    maxKills: c.maxKills,
    ...c.more,
    build() {
      const workers = c.works.length + c.maxKills + 1;
      const world = miniWorld({ ...c.world, workers });
      return {
        buffer: world.buffer,
        workers: c.works.map((work, n) => ({
          name: `${work.name}${n}`,
          *run() {
            return yield* work.run(world.attach(n));
          },
        })),
        onKill: recoverers(world, c.works.length),
        check(ends) {
          mustVerify(world.observer);
          const handed = ends.flatMap((end) => end.notes.filter((n): n is number => typeof n === "number" && n > 0));
          const given = ends.flatMap((end) => end.notes.filter((n): n is number => typeof n === "number" && n < 0).map((n) => -n));
          const held = handed.filter((item) => !given.includes(item));
          if (new Set(held).size !== held.length) throw new Error(`an item was handed out twice: ${held.join(", ")}`);
          c.check?.(world, ends);
        },
      };
    },
  };
}

/** Allocates and tells. */
function* alloc(a: Attachment, zone = 0): Generator<unknown, number, unknown> {
  const item = yield* call(a.zones[zone]!.tryAlloc());
  note(item);
  return item;
}

/** Frees and tells. */
function* free(a: Attachment, item: number, zone = 0): Generator<unknown, void, unknown> {
  note(-item);
  yield* call(a.zones[zone]!.free(item));
}

const allocFree: Work = {
  name: "pair",
  *run(a) {
    const item = yield* alloc(a);
    if (item !== 0) yield* free(a, item);
  },
};

export const scenarios: Scenario[] = [
  scenario({
    name: "own alloc and free, one kill",
    world: { zones: [small("z")], setUp: (all) => all.slice(0, 1).forEach((a) => runSync(a.zones[0]!.free(runSync(a.zones[0]!.alloc())))) },
    works: [allocFree],
    maxKills: 1,
  }),
  scenario({
    name: "own alloc and free, two kills",
    world: { zones: [small("z")], setUp: (all) => all.slice(0, 1).forEach((a) => runSync(a.zones[0]!.free(runSync(a.zones[0]!.alloc())))) },
    works: [allocFree],
    maxKills: 2,
  }),
];
