/**
 * Theory: the toy's promise is that both counters are equal whenever nobody is inside a transaction, that each finished
 * raise counts once, and that nobody is ever stuck, whoever is killed, the recoverers too.
 */
import { call, openTree, type Program, type Scenario, type Victim, type WorkerEnd } from "../../../tools/explore/index.ts";
import { toyDist } from "./build.ts";
import type * as layout from "./src/layout.ts";
import type * as toy from "./src/worker.ts";

const tree = openTree(toyDist);
const { createToy } = await tree.load<typeof toy>("worker.js");
const { COUNTER_A, COUNTER_B, GENERATION, JOURNAL_COUNT, LOCK, MEMORY_WORDS, PENDING, REAPING, slotBase, STATE } =
  await tree.load<typeof layout>("layout.js");

interface More extends Partial<Scenario> {
  /** Who recovers a slot becomes its next tenant, and raises once. */
  readonly tenants?: boolean;
}

function counters(workers: number, raises: number, maxKills: number, more: More = {}): Scenario {
  return {
    name: `counters-${workers}x${raises}-${maxKills}k`,
    maxKills,
    ...more,
    build() {
      const buffer = new SharedArrayBuffer(MEMORY_WORDS * 4);
      const i32 = new Int32Array(buffer);
      const worker = (slot: number): Program => ({
        name: `worker${slot}`,
        *run() {
          const mine = createToy({ i32 });
          yield* call(mine.attach(slot));
          let last = 0;
          for (let i = 0; i < raises; i++) last = yield* call(mine.raise(slot));
          return last;
        },
      });
      const recoverer = (slot: number): Program => ({
        name: `recover${slot}`,
        *run() {
          const mine = createToy({ i32 });
          const recovered = yield* call(mine.recover(slot));
          if (!more.tenants) return recovered;
          yield* call(mine.attach(slot));
          return yield* call(mine.raise(slot));
        },
      });
      const stateOf = (name: number): number => slotBase((name & 255) - 1);
      return {
        buffer,
        // Whoever becomes a tenant changes names; so recoverers have none.
        locks: {
          nameOf: (program) => (program.startsWith("worker") ? Number(program.slice(6)) + 1 : 0),
          pendingOf: (name) => (name === 0 ? 0 : stateOf(name) + PENDING),
          holderIn: (value) => value,
          isDead: (name) => name !== 0 && i32[stateOf(name) + STATE] === REAPING && i32[stateOf(name) + GENERATION] === name >> 8,
        },
        workers: Array.from({ length: workers }, (_, slot) => worker(slot)),
        onKill: (victim: Victim) => [recoverer(Number(victim.chain.at(-1)?.replace("worker", "")))],
        check(ends: readonly WorkerEnd[]) {
          const [a, b] = [i32[COUNTER_A] ?? -1, i32[COUNTER_B] ?? -1];
          if (a !== b) throw new Error(`counters differ: ${a} and ${b}`);
          if (i32[LOCK] !== 0) throw new Error(`the lock is left to ${i32[LOCK]}`);
          const done = ends.filter((end) => end.status === "done");
          const tenants = done.filter((end) => end.name.startsWith("recover") && more.tenants).length;
          const finished = (done.length - done.filter((end) => end.name.startsWith("recover")).length) * raises + tenants;
          for (let slot = 0; slot < workers; slot++) {
            const base = slotBase(slot);
            if (i32[base + JOURNAL_COUNT] !== 0) throw new Error(`slot ${slot} keeps a journal outside a transaction`);
            if (i32[base + PENDING] !== 0) throw new Error(`slot ${slot} keeps a pending lock`);
          }
          if (a < finished || a > workers * raises + (more.tenants ? maxKills : 0))
            throw new Error(`${a} raises counted, ${finished} finished`);
        },
      };
    },
  };
}

export const scenarios: readonly Scenario[] = [
  counters(2, 1, 1),
  counters(2, 1, 2),
  counters(2, 2, 1),
  counters(2, 1, 2, { name: "tenants-2x1-2k", tenants: true }),
  counters(2, 1, 1, { name: "early-timeouts-2x1-1k", earlyTimeouts: 2 }),
  counters(3, 1, 1),
  counters(3, 1, 2),
  counters(3, 1, 2, { name: "counters-3x1-2k-bound2", preemptionBound: 2 }),
  counters(3, 2, 2, { maxSeconds: 60 }),
];
