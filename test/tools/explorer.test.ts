/**
 * Theory: the explorer is itself a claim to be tested: its reductions must lose no end state, and each kind of failure
 * must be found, printed as a schedule, and found again by replaying it.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  call,
  explore,
  forget,
  formatScript,
  note,
  openTree,
  parseScript,
  read,
  replay,
  shrink,
  write,
  type Program,
  type Scenario,
} from "../../tools/explore/index.ts";
import { scenarios } from "../explore/toy/scenarios.ts";

type Body = (i32: Int32Array) => Generator<unknown, unknown, unknown>;

function small(
  bodies: readonly Body[],
  more: Partial<Scenario> = {},
  check: (words: Int32Array, results: unknown[]) => void = () => undefined,
  onKill?: () => Program[],
): Scenario {
  return {
    name: "small",
    maxKills: 0,
    ...more,
    build() {
      const i32 = new Int32Array(new SharedArrayBuffer(256));
      return {
        buffer: i32.buffer as SharedArrayBuffer,
        workers: bodies.map((body, i) => ({ name: `w${i}`, run: () => body(i32) })),
        ...(onKill ? { onKill } : {}),
        check: (ends) =>
          check(
            i32,
            ends.map((end) => end.result),
          ),
      };
    },
  };
}

/** Instruments one module that exports `create({ i32 })`. */
async function created<T>(text: string): Promise<(m: { i32: Int32Array }) => T> {
  const folder = mkdtempSync(join(tmpdir(), "explorer-"));
  writeFileSync(join(folder, "a.js"), `export function create({ i32 }) {\n${text}\n}\n`);
  return (await openTree(folder).load<{ create: (m: { i32: Int32Array }) => T }>("a.js")).create;
}

function* increment(i32: Int32Array): Generator<unknown, unknown, unknown> {
  yield* write(i32, 0, (yield* read(i32, 0)) + 1);
  return 0;
}

describe("soundness of the reductions", () => {
  /** Every end that a scenario can have: memory and what each worker ended with. */
  function endsOf(scenario: Scenario, options: Parameters<typeof explore>[1]): Set<string> {
    const seen = new Set<string>();
    const watched: Scenario = {
      ...scenario,
      build() {
        const world = scenario.build();
        const words = new Int32Array(world.buffer);
        return {
          ...world,
          check(ends) {
            world.check(ends);
            seen.add(words.join() + JSON.stringify([...ends].sort((a, b) => (a.name < b.name ? -1 : 1))));
          },
        };
      },
    };
    expect(explore(watched, { warmUp: 0, ...options }).outcome).toBe("complete");
    return seen;
  }

  const names = ["counters-2x1-1k", "counters-2x1-2k", "counters-2x2-1k", "tenants-2x1-2k", "early-timeouts-2x1-1k", "counters-3x1-1k"];
  test.each(names)("%s has the same ends without any reduction", (name) => {
    const scenario = scenarios.find((s) => s.name === name) as Scenario;
    const plain = endsOf(scenario, { reduce: false, mergeFrames: false, killAnywhere: true });
    for (const options of [{}, { reduce: false }, { locksets: false }, { mergeFrames: false }, { killAnywhere: true }])
      expect(endsOf(scenario, options)).toEqual(plain);
    expect(plain.size).toBeGreaterThan(15);
  });

  /** What `run` may answer while another worker writes 1, 2, 3 to word 0. */
  async function answers(text: string, mergeFrames: boolean): Promise<{ answers: string[]; locals: number }> {
    const create = await created<{ run: () => number }>(`${text} return { run };`);
    const seen = new Set<string>();
    const reader: Body = (i32) => create({ i32 }).run() as unknown as ReturnType<Body>;
    const writer: Body = function* (i32) {
      for (let v = 1; v < 4; v++) yield* write(i32, 0, v);
    };
    const result = explore(
      small([reader, writer], {}, (_, [answer]) => void seen.add(JSON.stringify(answer))),
      { warmUp: 0, mergeFrames },
    );
    expect(result.outcome).toBe("complete");
    return { answers: [...seen].sort(), locals: result.localStates };
  }

  const keepers: [string, string][] = [
    ["a variable", "let v = 0; function peek() { v = i32[0]; } function run() { peek(); i32[1] = 1; return v; }"],
    [
      "a variable read before it changes again",
      "let v = 0; function peek() { v = i32[0]; } function run() { peek(); const a = v; peek(); const b = v; peek(); i32[1] = 1; return [a, b, v]; }",
    ],
    [
      "a variable read through a plain function",
      "let v = 0; const got = () => v; function peek() { v = i32[0]; } function run() { peek(); const a = got(); peek(); i32[1] = 1; return [a, v]; }",
    ],
    ["a counter", "let n = 0; function peek() { if (i32[0] > 1) n++; } function run() { peek(); peek(); i32[1] = 1; return n; }"],
    ["an object in a variable", "let o = null; function peek() { o = { v: i32[0] }; } function run() { peek(); i32[1] = 1; return o.v; }"],
    ["a property", "const box = { v: 0 }; function peek() { box.v = i32[0]; } function run() { peek(); i32[1] = 1; return box.v; }"],
    ["an array", "const list = []; function peek() { list.push(i32[0]); } function run() { peek(); peek(); i32[1] = 1; return list; }"],
    [
      "a pattern",
      "const box = { v: 0 }; let v = 0; function peek() { [box.v, v] = [i32[0], i32[0]]; } function run() { peek(); i32[1] = 1; return [box.v, v]; }",
    ],
    ["a returned object", "function peek() { return { v: i32[0] }; } function run() { const o = peek(); i32[1] = 1; return o.v; }"],
    [
      "a thrown value",
      "function peek() { throw new Error(`${i32[0]}`); } function run() { try { peek(); } catch (e) { i32[1] = 1; return e.message; } }",
    ],
    [
      "variables of two instances",
      "function make() { let v = 0; return { peek() { v = i32[0]; }, get: () => v }; } const [a, b] = [make(), make()]; function run() { a.peek(); b.peek(); i32[1] = 1; return [a.get(), b.get()]; }",
    ],
    [
      "a change by a plain function",
      "let v = 0; function put(x) { v = x; } function peek() { put(i32[0]); } function run() { peek(); i32[1] = 1; return v; }",
    ],
    [
      "an inner function's outer variable",
      "function run() { let v = 0; const peek = () => { v = i32[0]; }; peek(); const a = v; peek(); i32[1] = 1; return [a, v]; }",
    ],
    ["a field", "class C { v = 0; peek() { this.v = i32[0]; } } const c = new C(); function run() { c.peek(); i32[1] = 1; return c.v; }"],
    ["a mutated argument", "function peek(o) { o.v = i32[0]; } function run() { const o = { v: 0 }; peek(o); i32[1] = 1; return o.v; }"],
    ["nothing", "function peek() { let s = 0; for (let i = 0; i < 3; i++) s += i32[0]; } function run() { peek(); i32[1] = 1; return 0; }"],
  ];
  test.each(keepers)("frames are forgotten only as far as they may be: %s", async (_, text) => {
    const [merged, apart] = [await answers(text, true), await answers(text, false)];
    expect(merged.answers).toEqual(apart.answers);
    expect(merged.locals).toBeLessThanOrEqual(apart.locals);
  });

  test("a clean frame is forgotten", async () => {
    const create = await created<{ run: () => number }>(
      "function peek() { for (let i = 0; i < 4; i++) { const seen = i32[0]; } } function run() { peek(); i32[1] = 1; return 1; } return { run };",
    );
    const reader: Body = (i32) => create({ i32 }).run() as unknown as ReturnType<Body>;
    const writer: Body = function* (i32) {
      for (let v = 1; v < 5; v++) yield* write(i32, 0, v);
    };
    const merged = explore(small([reader, writer]), { warmUp: 0 });
    const apart = explore(small([reader, writer]), { warmUp: 0, mergeFrames: false });
    expect(merged.localStates * 2).toBeLessThan(apart.localStates);
  });

  test("filling words teaches a program nothing of the rest of the memory", async () => {
    const create = await created<{ run: () => number }>("return { run() { i32.fill(7, 2, 4); i32[1] = 1; return i32[0]; } };");
    const filler: Body = (i32) => create({ i32 }).run() as unknown as ReturnType<Body>;
    const alone = explore(small([filler]), { warmUp: 0 });
    const beside = explore(small([filler, increment]), { warmUp: 0 });
    expect(beside.outcome).toBe("complete");
    // The filler's own local states, one more for the other value it may read last, and the three of the increment.
    expect(beside.localStates).toBe(alone.localStates + 1 + 3);
  });

  test("a program that depends on something outside its memory is refused", () => {
    let outside = 0;
    const body: Body = function* (i32) {
      yield* write(i32, 1, outside++);
      yield* read(i32, 0);
      yield* read(i32, 0);
    };
    expect(() => explore(small([body, increment, increment]), { warmUp: 0 })).toThrow(/does not repeat itself|different ways/);
  });
});

describe("what it finds", () => {
  const lostUpdate = small([increment, increment], {}, (words) => {
    if (words[0] !== 2) throw new Error(`lost an update: ${words[0]}`);
  });

  test("a lost update, as a short schedule that replays", () => {
    const result = explore(lostUpdate, { warmUp: 0 });
    expect(result.violation?.message).toBe("at the end: Error: lost an update: 1");
    const short = shrink(lostUpdate, result.violation?.script ?? [], result.violation?.message ?? "");
    expect(formatScript(short)).toMatch(/^(0\*1 1\*2 0\*1|1\*1 0\*2 1\*1)$/);
    const again = replay(lostUpdate, parseScript(formatScript(short)));
    expect(again.violation).toBe(result.violation?.message);
    expect(again.lines).toHaveLength(5);
  });

  test("it takes one preemption: none finds nothing and says that it was bounded", () => {
    // The warm-up teaches who touches what; without it a round that is only learning may find more than the bound allows.
    const result = explore({ ...lostUpdate, preemptionBound: 0 });
    expect(result).toMatchObject({ outcome: "bounded", bounds: ["at most 0 preemptions"], preemptionBound: 0 });
    expect(explore({ ...lostUpdate, preemptionBound: 1 }, { warmUp: 0 }).outcome).toBe("violated");
  });

  test("a kill between two stores, and none without kills", () => {
    const body: Body = function* (i32) {
      yield* write(i32, 0, 1);
      yield* write(i32, 1, 1);
    };
    const scenario = (maxKills: number): Scenario =>
      small([body], { maxKills }, (words) => {
        if (words[0] !== words[1]) throw new Error("torn");
      });
    expect(explore(scenario(0)).outcome).toBe("complete");
    const result = explore(scenario(1), { warmUp: 0 });
    expect(formatScript(result.violation?.script ?? [])).toBe("0*1 K0");
  });

  test("a kill of a recoverer, and of the recoverer of that", () => {
    const chains = new Set<string>();
    const scenario: Scenario = {
      name: "chain",
      maxKills: 2,
      build() {
        const i32 = new Int32Array(new SharedArrayBuffer(64));
        const body = (name: string): Program => ({
          name,
          *run() {
            yield* write(i32, 0, 1);
          },
        });
        return {
          buffer: i32.buffer as SharedArrayBuffer,
          workers: [body("worker")],
          onKill: (victim) => {
            chains.add(victim.chain.join("<"));
            return [body("recoverer")];
          },
          check: () => undefined,
        };
      },
    };
    expect(explore(scenario).outcome).toBe("complete");
    expect([...chains]).toEqual(["worker", "recoverer<worker"]);
  });

  test("a deadlock: the waiter's notifier is killed", async () => {
    const create = await created<{ sleep: () => void; wake: () => void }>(
      "return { sleep() { while (Atomics.load(i32, 0) === 0) Atomics.wait(i32, 0, 0); }, wake() { Atomics.store(i32, 0, 1); Atomics.notify(i32, 0); } };",
    );
    const bodies: Body[] = [
      (i32) => create({ i32 }).sleep() as unknown as ReturnType<Body>,
      (i32) => create({ i32 }).wake() as unknown as ReturnType<Body>,
    ];
    expect(explore(small(bodies)).outcome).toBe("complete");
    const result = explore(small(bodies, { maxKills: 1 }));
    expect(result.violation?.message).toBe("deadlock: w0 on word 0 and nobody left to wake them");
  });

  test("a timed wait is not a deadlock, but a retry that nobody answers is a livelock", async () => {
    const create = await created<{ sleep: () => void; wake: () => void }>(
      "return { sleep() { while (Atomics.load(i32, 0) === 0) Atomics.wait(i32, 0, 0, 5); }, wake() { Atomics.store(i32, 0, 1); } };",
    );
    const bodies: Body[] = [
      (i32) => create({ i32 }).sleep() as unknown as ReturnType<Body>,
      (i32) => create({ i32 }).wake() as unknown as ReturnType<Body>,
    ];
    expect(explore(small(bodies)).outcome).toBe("complete");
    expect(explore(small(bodies, { maxKills: 1, maxDepth: 100 })).violation?.message).toMatch(/livelock/);
  });

  test("a spin that only an unfair schedule keeps alive is cut and reported, not called a livelock", () => {
    const spin: Body = function* (i32) {
      while ((yield* read(i32, 0)) === 0);
    };
    const result = explore(small([spin, increment], { maxDepth: 50 }), { warmUp: 0 });
    expect(result.outcome).toBe("bounded");
    expect(result.bounds[0]).toMatch(/unfair schedules cut at 50 steps/);
  });

  test("exceptions and accesses out of range", () => {
    const throws: Body = function* (i32) {
      if ((yield* read(i32, 0)) === 1) throw new TypeError("seen");
    };
    expect(explore(small([throws, increment])).violation?.message).toBe("w0 throws: TypeError: seen");
    const outside: Body = function* (i32) {
      yield* write(i32, 64, 1);
    };
    expect(explore(small([outside])).violation?.message).toBe("w0 touches index 64 of 64");
  });

  test("sleepers are woken first come, first served", async () => {
    const create = await created<{ sleep: (me: number) => number; wake: () => number }>(
      "return { sleep(me) { i32[1] = me; Atomics.wait(i32, 0, 0); const place = Atomics.add(i32, 2, 1); return place; }, wake() { return Atomics.notify(i32, 0, 1); } };",
    );
    const counts = new Set<string>();
    const sleeper =
      (me: number): Body =>
      (i32) =>
        create({ i32 }).sleep(me) as unknown as ReturnType<Body>;
    const waker: Body = function* (i32) {
      const { wake } = create({ i32 });
      const woken = (yield* call(wake())) + (yield* call(wake()));
      yield* write(i32, 0, 1);
      yield* call(wake());
      yield* call(wake());
      return woken;
    };
    const result = explore(small([sleeper(1), sleeper(2), waker], {}, (_, results) => void counts.add(String(results[2]))));
    expect(result.outcome).toBe("complete");
    expect([...counts].sort()).toEqual(["0", "1", "2"]);
  });

  test("notes reach the check, and forget() merges pasts", () => {
    const noting: Body = function* (i32) {
      for (let i = 0; i < 3; i++) {
        note(yield* read(i32, 0));
        forget("round", i);
      }
    };
    const scenario = small([noting, increment, increment]);
    const seen = new Set<string>();
    const watched: Scenario = {
      ...scenario,
      build: () => ({ ...scenario.build(), check: ([end]) => void seen.add(JSON.stringify(end?.notes)) }),
    };
    expect(explore(watched).outcome).toBe("complete");
    expect(seen).toContain("[0,1,2]");
    expect(seen).toContain("[0,0,0]");
    expect(seen.size).toBe(10);
  });

  test("invariants are seen at every state", () => {
    const body: Body = function* (i32) {
      yield* write(i32, 0, 5);
      yield* write(i32, 0, 0);
    };
    const scenario: Scenario = {
      name: "invariant",
      maxKills: 0,
      build() {
        const i32 = new Int32Array(new SharedArrayBuffer(64));
        return {
          buffer: i32.buffer as SharedArrayBuffer,
          workers: [{ name: "w", run: () => body(i32) }],
          check: () => undefined,
          invariant() {
            if (i32[0] === 5) throw new Error("five");
          },
        };
      },
    };
    expect(explore(scenario, { warmUp: 0 }).violation?.message).toBe("invariant: Error: five");
  });

  test("a state budget is reported as what it is", () => {
    const scenario = scenarios.find((s) => s.name === "counters-3x1-2k") as Scenario;
    expect(explore(scenario, { maxStates: 1000 })).toMatchObject({ outcome: "bounded", bounds: ["1000 states"], states: 1000 });
  });
});
