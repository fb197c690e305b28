/**
 * The protocol mistakes that this library's design rules out, one exact edit each on the emitted production tree, and who must
 * catch them. `npm run mutants` tries them all: a survivor fails the run, and so does an edit that no longer applies.
 */
import { join, resolve } from "node:path";
import { emitOnce } from "../fixtures/emitted.ts";
import type { Detector, Mutant, MutantSuite } from "../../tools/mutants/index.ts";
import { TRANSACTION_SCENARIOS, transactions } from "./transactions.ts";

const root = resolve(import.meta.dirname, "../..");
const dist = emitOnce("ZALLOC_BUILT", "explore", "tsconfig.build.json");

/** After so long an exploration is given up whatever its bound: only a machine that is very slow, or a mutant that is missed, gets there. */
const MOST_SECONDS = 200;

/**
 * An exploration of the scenarios whose name contains `only`, of so many states at the most in each: a multiple of what its mutants
 * need, so that a slow machine finds the same as a fast one.
 */
function explorer(only: string, states = 200_000, ...more: string[]): Detector {
  const tsx = join(root, "node_modules/.bin/tsx");
  const command = (most: number, seconds: number): [string, ...string[]] => [
    tsx,
    ...["tools/explore/cli.ts", "test/explore/scenarios.ts", "--brief", "--only", only],
    ...["--states", String(most), "--seconds", String(seconds), ...more],
  ];
  return {
    name: `explorer, ${only}`,
    command: command(states, MOST_SECONDS),
    // All scenarios pass on the unchanged tree by `npm run explore`; here it is the tool that must be whole.
    cleanCommand: command(20_000, 4),
    timeoutMs: 240_000,
    says: /^ +found: /m,
  };
}

const lock = explorer("lock: two workers, two kills");
const three = explorer("lock: three workers, one kill");
const patience = explorer("lock: undone by its holder");
const own = explorer("own: alloc and free, two kills");
const remote = explorer("remote: two frees of the same item, one kill");
const refill = explorer("bucket: refill from a stocked depot, two workers");
const attention = explorer("attention: two ask");
const drains = explorer("reclaim: drains and shrinks while another allocates, one kill");
const freeing = explorer("hooks: a dead worker's items freed");
const nested = explorer("hooks: init allocates from another zone");
const fini = explorer("hooks: killed inside fini");
const born = explorer("slab: born from nothing");
/** It takes one preemption, but of a search without a bound one that lies far behind. */
const race = explorer("recovery: of a worker cut in a transaction, two recoverers", 5_000_000, "--deepen");
const orphans = explorer("hooks: a half-built slab is put back while two see to orphans", 1_000_000);
const tenant = explorer("recovery: late, against the slot's next tenant");
const ticket = explorer("attach: by ticket, killed at every step, one kill");
const behind = explorer("detach: something is left behind");
const zone = explorer("zone: destroyed, two kills");
const told = explorer("zone: destroyed while another has it open, destroyer killed");
const bounded = explorer("limit: waits in vain");
const waiter = explorer("limit: a waiter and the free it waits for");
const reader = explorer("smr: a reader against a writer that reuses");
const dozing = explorer("smr: a writer that waits for a reader who dozes");
const limbo = explorer("smr: a dead writer's unfinished bucket");
const arena = explorer("arena: take and give, two kills");
const imports = explorer("arena: a span is imported and given back");
const ended = explorer("arena: ended by one, two kills");
/** One preemption, at one of a few places. */
const reused = explorer("arena: ended by two, its record used again", 3_000_000, "--deepen");
const handles = explorer("handles: freed as its owner dies");
const bulk = explorer("bulk: three at once, kept");
const run = explorer("bulk: seventeen neighbours");
const map = explorer("map: an entry is made");
const cached = explorer("cache zone: taken and given");
const leaving = explorer("transfer: to a worker that leaves");
const tooMuch = explorer("bulk: a list that is refused");
const counted = explorer("map: swept while one makes an entry");
const swept = explorer("maps: a dead worker's area is taken away while it is swept");
const model: Detector = {
  name: "model",
  command: [join(root, "node_modules/.bin/tsx"), "tools/soak-model.ts", "--ops", "1e6", "--jobs", "1", "--seed", "1"],
  cleanCommand: [join(root, "node_modules/.bin/tsx"), "tools/soak-model.ts", "--ops", "1e6", "--jobs", "1", "--seed", "1"],
  timeoutMs: 240_000,
  says: /^found: /m,
};
const crash: Detector = {
  name: "crash",
  command: [join(root, "node_modules/.bin/tsx"), "--import", "./test/fixtures/ts-hook.mjs", "tools/crash/cli.ts", "--kills", "200"],
  timeoutMs: 300_000,
  says: /[1-9]\d* wrong in all|before its tally/,
};

/** Caught within seconds, so that every test run tries them. */
export const quick: readonly Mutant[] = [
  {
    name: "the store comes before its journal entry",
    file: "src/backend/memory/journal.ts",
    find: "append(w, i32[w]);\n        i32[w] = value;",
    replace: "const old = i32[w];\n        i32[w] = value;\n        append(w, old);",
    expectCaughtBy: lock.name,
  },
  {
    name: "a lock is let go before its dead holder's journal is undone",
    file: "src/backend/memory/lock.ts",
    find: "journal.undo(slot);\n        const lock = i32[slot + SLOT_PENDING_LOCK];\n        if (lock === 0)\n            return;",
    replace:
      "const lock = i32[slot + SLOT_PENDING_LOCK];\n        if (lock === 0) {\n            journal.undo(slot);\n            return;\n        }\n        if ((Atomics.load(i32, lock) & ~LOCK_WAITERS) === name)\n            Atomics.store(i32, lock, 0);\n        journal.undo(slot);",
    expectCaughtBy: lock.name,
  },
  {
    name: "the mark is cleared before the bucket is raised in free",
    file: "src/uma/zone-classes.ts",
    find: "if (u8[m] === ME && (sp & 255) < i32[c + 1]) {\n                        i32[sp + 1] = p;",
    replace: "if (u8[m] === ME && (sp & 255) < i32[c + 1]) {\n                        u8[m] = 0;\n                        i32[sp + 1] = p;",
    expectCaughtBy: own.name,
  },
  {
    name: "the marks of what lies in buckets are not cleared before the scan",
    file: "src/uma/recovery.ts",
    find: "clearBucketMarks(line, keg, deadSlot);",
    replace: ";",
    expectCaughtBy: own.name,
  },
  {
    name: "a remote free claims without compare-exchange",
    file: "src/uma/items.ts",
    find: "const found = Atomics.compareExchange(u8, mark, seen, slot | MARK_BUSY);",
    replace: "const found = seen;\n            u8[mark] = slot | MARK_BUSY;",
    expectCaughtBy: remote.name,
  },
  {
    name: "an orphan is claimed before its slab is the keg's",
    file: "src/uma/orphans.ts",
    find: "if (!slabs.holds(z.keg, z.tag, item) || slabs.markOf(item, z.shift) !== mark)",
    replace: "if (slabs.markOf(item, z.shift) !== mark)",
    expectCaughtBy: orphans.name,
  },
  {
    name: "nobody is told of a zone whose destroyer died before its calls",
    file: "src/uma/recovery.ts",
    find: "closing.callAll(zone, REASON_DYING);",
    replace: ";",
    expectCaughtBy: told.name,
  },
  {
    name: "an item goes back to its slab before that is noted",
    file: "src/uma/slab.ts",
    find: "if (its !== word) {\n                word = its;\n                note(n++, its);\n                i32[COUNT] = n;\n            }\n            i32[its] |= 1 << (index & 31);",
    replace:
      "i32[its] |= 1 << (index & 31);\n            if (its !== word) {\n                word = its;\n                note(n++, its);\n                i32[COUNT] = n;\n            }",
    expectCaughtBy: drains.name,
  },
  {
    name: "a half-built item is run through dtor",
    file: "src/uma/orphans.ts",
    find: "if ((value & MARK_BUSY) !== 0) {",
    replace: "if (false) {",
    expectCaughtBy: freeing.name,
  },
  {
    name: "a hook runs under the keg's lock",
    file: "src/uma/keg.ts",
    find: "const inited = initItems(handle, slab);\n        if (inited !== OK)\n            return inited;\n        if (!locks.acquire(keg + KEG_LOCK, patienceMs))\n            return BUSY;\n        try {",
    replace:
      "if (!locks.acquire(keg + KEG_LOCK, patienceMs))\n            return BUSY;\n        try {\n            const inited = initItems(handle, slab);\n            if (inited !== OK)\n                return inited;",
    expectCaughtBy: nested.name,
  },
  {
    name: "the slot's generation is not raised",
    file: "src/backend/memory/slots.ts",
    find: "stateWord((generation + 1) & GENERATION_MASK, STATE_FREE)",
    replace: "stateWord(generation & GENERATION_MASK, STATE_FREE)",
    expectCaughtBy: own.name,
  },
];

/** Those that take longer to be found. */
const slow: readonly Mutant[] = [
  {
    name: "an entry counts before it is written",
    file: "src/backend/memory/journal.ts",
    find: "i32[ENTRIES + 2 * n] = where;\n        i32[ENTRIES + 2 * n + 1] = old;\n        i32[COUNT] = n + 1;",
    replace: "i32[COUNT] = n + 1;\n        i32[ENTRIES + 2 * n] = where;\n        i32[ENTRIES + 2 * n + 1] = old;",
    expectCaughtBy: lock.name,
  },
  {
    name: "the journal is undone forwards",
    file: "src/backend/memory/journal.ts",
    find: "for (let n = i32[ofSlot + SLOT_JOURNAL_COUNT] - 1; n >= 0; n--) {",
    replace: "for (let n = 0; n < i32[ofSlot + SLOT_JOURNAL_COUNT]; n++) {",
    expectCaughtBy: refill.name,
  },
  {
    name: "what was not committed is undone after the unlock",
    file: "src/backend/memory/lock.ts",
    find: "if (i32[SLOT + SLOT_JOURNAL_COUNT] !== 0)\n            journal.undo(SLOT);\n        if ((Atomics.exchange(i32, lock, 0) & LOCK_WAITERS) !== 0)\n            Atomics.notify(i32, lock, 1);",
    replace:
      "if ((Atomics.exchange(i32, lock, 0) & LOCK_WAITERS) !== 0)\n            Atomics.notify(i32, lock, 1);\n        if (i32[SLOT + SLOT_JOURNAL_COUNT] !== 0)\n            journal.undo(SLOT);",
    expectCaughtBy: patience.name,
  },
  {
    name: "the pending lock is noted after the compare-exchange",
    file: "src/backend/memory/lock.ts",
    find: "i32[PENDING] = lock;\n        if (Atomics.compareExchange(i32, lock, 0, me) === 0) {",
    replace: "if (Atomics.compareExchange(i32, lock, 0, me) === 0) {\n            i32[PENDING] = lock;",
    expectCaughtBy: lock.name,
  },
  {
    name: "a wait without a time-out",
    file: "src/backend/memory/lock.ts",
    find: "Atomics.wait(i32, lock, asleep, NAP_MS);",
    replace: "Atomics.wait(i32, lock, asleep);",
    expectCaughtBy: lock.name,
  },
  {
    name: "recovery lets go whatever lock is pending, whoever holds it",
    file: "src/backend/memory/lock.ts",
    find: "if ((word & ~LOCK_WAITERS) !== name)\n                break;",
    replace: "",
    expectCaughtBy: three.name,
  },
  {
    name: "the mark is stored after the commit in alloc",
    file: "src/uma/zone-classes.ts",
    after: ["class PlainZone extends Base", "tryAlloc() {"],
    find: "u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;\n                i32[c] = sp - 1;",
    replace: "i32[c] = sp - 1;\n                u8[(i32[(((p >>> 12) << 2) + PT + 1) | 0] + (p >> this.shift)) | 0] = ME;",
    expectCaughtBy: own.name,
  },
  {
    name: "the bucket's owner stays the depot",
    file: "src/uma/cache.ts",
    find: "set(bucket + BUCKET_OWNER, me);\n        const old = i32[line + LINE_SP];",
    replace: "const old = i32[line + LINE_SP];",
    expectCaughtBy: refill.name,
  },
  {
    name: "a bucket goes to the depot in one transaction and leaves its line after it",
    file: "src/uma/draining.ts",
    find: "set(word, none);\n                commit();",
    replace: "commit();\n                i32[word] = none;",
    expectCaughtBy: own.name,
  },
  {
    name: "calls that come while TOP is restored are covered up",
    file: "src/uma/cache.ts",
    find: "if (top !== 0 && Atomics.load(i32, z.line + LINE_REASONS) !== 0)\n            i32[z.line + LINE_TOP] = 0;",
    replace: "",
    expectCaughtBy: attention.name,
  },
  {
    name: "pages are handed out before the intent names them",
    file: "src/backend/vmem/heap.ts",
    find: "if (intent !== 0)\n                set(intent, address);\n            commit();",
    replace: "commit();\n            if (intent !== 0)\n                i32[intent] = address;",
    expectCaughtBy: born.name,
  },
  {
    name: "the intent is cleared before the pages are back",
    file: "src/backend/vmem/heap.ts",
    find: "function free(address, intent, patience = patienceMs) {\n",
    replace: "function free(address, intent, patience = patienceMs) {\n        if (intent !== 0)\n            i32[intent] = 0;\n",
    expectCaughtBy: fini.name,
  },
  {
    name: "the count of initialised items is lowered after fini",
    file: "src/uma/keg.ts",
    find: "i32[slab + SLAB_INITED] = n;\n                // Outstanding in a zone that was destroyed by force: somebody may still be using it.\n                if (((i32[slab + SLAB_BITS + (n >>> 5)] >>> (n & 31)) & 1) === 0)\n                    continue;\n                try {\n                    fini(start + n * rsize, views);",
    replace:
      "if (((i32[slab + SLAB_BITS + (n >>> 5)] >>> (n & 31)) & 1) === 0)\n                    continue;\n                try {\n                    fini(start + n * rsize, views);\n                    i32[slab + SLAB_INITED] = n;",
    expectCaughtBy: fini.name,
  },
  {
    name: "the page table forgets a slab that the intent still calls one",
    file: "src/uma/keg.ts",
    find: "i32[frame + INTENT_SPARE] = 0;\n            for (let n = i32[frame + INTENT_PAGES] - 1; n >= 0; n--)\n                i32[pageTable + ((first + n) << 2) + PTE_TAG] = 0;",
    replace:
      "for (let n = i32[frame + INTENT_PAGES] - 1; n >= 0; n--)\n                i32[pageTable + ((first + n) << 2) + PTE_TAG] = 0;\n            i32[frame + INTENT_SPARE] = 0;",
    expectCaughtBy: fini.name,
  },
  {
    name: "a dead recoverer is never replaced",
    file: "src/backend/memory/slots.ts",
    find: "if (other !== 0 && (isLive(other) || isCut(other)))",
    replace: "if (other !== 0)",
    expectCaughtBy: own.name,
  },
  {
    name: "a dead recoverer is replaced while its own transaction is open",
    file: "src/uma/recovery.ts",
    find: 'if (!locks.settle(slots.reaper(name)))\n            return "others";\n        if (!slots.claim(name, me)) {',
    replace:
      "const cut = slots.reaper(name);\n        if (cut !== 0 && slots.isCut(cut))\n            Atomics.compareExchange(i32, slots.wordOf(slotOf(name)) + 2, cut, 0);\n        if (!slots.claim(name, me)) {",
    expectCaughtBy: race.name,
  },
  {
    name: "whoever is in the slot is certified, whatever the generation",
    file: "src/backend/memory/slots.ts",
    find: "const before = stateWord(generation, from);\n        return",
    replace: "const before = stateWord(stateGeneration(Atomics.load(i32, wordOf(slotOf(name)) + SLOT_STATE)), from);\n        return",
    expectCaughtBy: tenant.name,
  },
  {
    name: "the slot is free before its openings have ended",
    file: "src/uma/recovery.ts",
    find: "endOpenings(at, name) !== OK ||",
    replace: "(slots.retire(name), endOpenings(at, name)) !== OK ||",
    expectCaughtBy: own.name,
  },
  {
    name: "a dead worker's children are certified last",
    file: "src/uma/recovery.ts",
    find: "locks.salvage(name);\n        certifyDescendants();",
    replace: "locks.salvage(name);",
    expectCaughtBy: ticket.name,
  },
  {
    name: "who has certified itself speaks for what it has started",
    file: "src/uma/recovery.ts",
    find: "if (slots.hasEnded(name))",
    replace: "if (slots.isDead(name))",
    expectCaughtBy: behind.name,
  },
  {
    name: "what has been left behind is recovered with what its thread has started",
    file: "src/uma/recovery.ts",
    find: "if (!byLock && slots.standsAlone(name))",
    replace: "if (false)",
    expectCaughtBy: behind.name,
  },
  {
    name: "a thread's end is forgotten while another sees to what it had left behind",
    file: "src/uma/recovery.ts",
    find: 'if (course === "others")\n                return report;',
    replace: 'if (course === "others")\n                return slots.isDead(name) ? report : null;',
    expectCaughtBy: behind.name,
  },
  {
    name: "a dying zone whose closer died is left as it is",
    file: "src/uma/recovery.ts",
    find: "if (!closing.takeOver(name, zone))\n                    return BUSY;",
    replace: ";",
    expectCaughtBy: zone.name,
  },
  {
    name: "the journal's count is cleared after the unlock",
    file: "src/backend/memory/journal.ts",
    find: "function commit() {\n        i32[COUNT] = 0;",
    replace: "function commit() {",
    also: [
      {
        file: "src/backend/memory/lock.ts",
        find: "if (i32[SLOT + SLOT_JOURNAL_COUNT] !== 0)\n            journal.undo(SLOT);\n        if ((Atomics.exchange(i32, lock, 0) & LOCK_WAITERS) !== 0)\n            Atomics.notify(i32, lock, 1);",
        replace:
          "if ((Atomics.exchange(i32, lock, 0) & LOCK_WAITERS) !== 0)\n            Atomics.notify(i32, lock, 1);\n        i32[SLOT + SLOT_JOURNAL_COUNT] = 0;",
      },
    ],
    expectCaughtBy: lock.name,
  },
  {
    name: "a waiter for an item sleeps without a time-out",
    file: "src/uma/waiting.ts",
    find: "Atomics.wait(i32, WAIT, seen, Math.min(left, NAP_MS));",
    replace: "Atomics.wait(i32, WAIT, seen);",
    expectCaughtBy: bounded.name,
  },
  {
    name: "whoever wakes a waiter does not change its word first",
    file: "src/uma/queue.ts",
    find: "Atomics.add(i32, ofSlot + SLOT_WAIT, 1);",
    replace: "",
    expectCaughtBy: waiter.name,
  },
  {
    name: "a dead waiter stays in the queue",
    file: "src/uma/recovery.ts",
    find: "sweepWaits(at) !== OK ||",
    replace: "",
    expectCaughtBy: bounded.name,
  },
  {
    name: "a bucket is filled beyond the limit",
    file: "src/uma/cache.ts",
    find: "if (headroom(zone) <= 0)\n                    return failed(LIMIT);",
    replace: "",
    expectCaughtBy: bounded.name,
  },
  {
    name: "a reader inside its section is not waited for",
    file: "src/uma/smr.ts",
    find: "if (((seen - slowest) | 0) < 0)\n                slowest = seen;",
    replace: "",
    expectCaughtBy: reader.name,
  },
  {
    name: "a bucket leaves the limbo before its goal is reached",
    file: "src/uma/draining.ts",
    find: "(whatever || smr.poll(i32[bucket + BUCKET_SEQ]))",
    replace: "(whatever || true)",
    expectCaughtBy: reader.name,
  },
  {
    name: "a dead reader's section goes on",
    file: "src/uma/smr.ts",
    find: "if (seen === 0 || slots.state(slot) !== STATE_LIVE)",
    replace: "if (seen === 0)",
    also: [{ file: "src/uma/recovery.ts", find: "Atomics.store(i32, at + SLOT_SMR, 0);", replace: "" }],
    expectCaughtBy: dozing.name,
  },
  {
    name: "what a dead writer had gathered is forgotten",
    file: "src/uma/draining.ts",
    find: "line + LINE_EXTRA, line + LINE_PREFILL, line + LINE_SMR]) {",
    replace: "line + LINE_EXTRA, line + LINE_PREFILL]) {",
    expectCaughtBy: limbo.name,
  },
  {
    name: "the map's node is linked in a store of its own",
    file: "src/uma/map/shared-map.ts",
    find: "journal(old === 0 ? bucket + BUCKET_HEAD : before, node);\n            commit();",
    replace: "commit();\n            i32[old === 0 ? bucket + BUCKET_HEAD : before] = node;",
    expectCaughtBy: map.name,
  },
  {
    name: "the arena's count of what is taken is not in the journal",
    file: "src/backend/vmem/segments.ts",
    find: "note5(tag + TAG_KIND, tag + TAG_LINK_NEXT, chain, a + ARENA_IN_USE, a + ARENA_IN_USE + 1);",
    replace: "note3(tag + TAG_KIND, tag + TAG_LINK_NEXT, chain);",
    expectCaughtBy: arena.name,
  },
  {
    name: "a span on its way is in nobody's name",
    file: "src/backend/vmem/shared-backing.ts",
    find: "set(frame + SPAN_HELD, home);",
    replace: "",
    expectCaughtBy: imports.name,
  },
  {
    name: "what a dead worker meant to end is nobody's to end",
    file: "src/backend/vmem/arena-records.ts",
    find: "if (ends && lives)",
    replace: "if (ends && lives && name === 0)",
    expectCaughtBy: ended.name,
  },
  {
    name: "an arena that is opened by its name is whatever has its record by then",
    file: "src/backend/vmem/arenas.ts",
    find: "return handleFor(found, functions);",
    replace: "return at(found.a);",
    expectCaughtBy: reused.name,
  },
  {
    name: "an arena that was being taken apart is left so",
    file: "src/backend/vmem/arena-records.ts",
    find: "found.push({ a, ends: ends && !lives });",
    replace: "found.push({ a, ends: false });",
    expectCaughtBy: ended.name,
  },
  {
    name: "a handle's generation is raised after the item is in the bucket",
    file: "src/uma/zone-classes.ts",
    find: "i32[w] = g;\n                        i32[sp + 1] = p;\n                        i32[c] = sp + 1;",
    replace: "i32[sp + 1] = p;\n                        i32[c] = sp + 1;\n                        i32[w] = g;",
    expectCaughtBy: handles.name,
  },
  {
    name: "a handle's generation is raised after its item is in the bucket, by a free by handle",
    file: "src/uma/typed/handles.ts",
    find: "i32[(w << 1) + HIGH_WORD] = next;\n                    i32[sp + 1] = p;\n                    i32[c] = sp + 1;",
    replace: "i32[sp + 1] = p;\n                    i32[c] = sp + 1;\n                    i32[(w << 1) + HIGH_WORD] = next;",
    expectCaughtBy: handles.name,
  },
  {
    name: "the marks of a run are stored after its bucket's position",
    file: "src/uma/bulk.ts",
    find: "let page = -1;\n        let delta = 0;\n        for (let n = 0; n < run; n++) {\n            const p = i32[sp - n];\n            into[at + n] = p;",
    replace:
      "let page = -1;\n        let delta = 0;\n        i32[line + LINE_SP] = sp - run;\n        for (let n = 0; n < run; n++) {\n            const p = i32[sp - n];\n            into[at + n] = p;",
    expectCaughtBy: bulk.name,
  },
  {
    name: "the marks of neighbours are stored after their bucket's position",
    file: "src/uma/bulk-runs.ts",
    find: "let n = 0;\n        if (count >= GROUP && areNeighbours(",
    replace: "let n = 0;\n        i32[line] = (sp - count) | 0;\n        if (count >= GROUP && areNeighbours(",
    expectCaughtBy: run.name,
  },
  {
    name: "the marks of neighbours are cleared before they are in the bucket",
    file: "src/uma/bulk-runs.ts",
    find: "sp = (sp + GROUP) | 0;",
    replace: "i32[w] = 0;\n                    sp = (sp + GROUP) | 0;",
    expectCaughtBy: run.name,
  },
  {
    name: "a bulk allocation that was given up stays counted",
    file: "src/uma/bulk.ts",
    find: "if (allocs >= count)\n",
    replace: "if (false)\n",
    expectCaughtBy: model.name,
  },
  {
    name: "a free of a free item is taken",
    file: "src/uma/items.ts",
    find: "while ((seen & MARK_BUSY) === 0 && seen !== MARK_FREE) {",
    replace: "while ((seen & MARK_BUSY) === 0) {",
    expectCaughtBy: model.name,
  },
  {
    name: "a ctor's item is not BUSY while it is being made",
    file: "src/uma/zone-classes.ts",
    find: "u8[m] = MINE_BUSY;\n                    i32[c] = sp - 1;\n                    i32[c + 2] = n + 1;\n                    if (zero)\n                        clear(this, p);\n                    let accepted = true;\n                    try {\n                        if (ctor !== null)\n                            accepted = ctor(p, arg, views);\n                    }\n                    catch (cause) {\n                        throw threw(this, p, cause);\n                    }\n                    if (accepted === false)\n                        return declined(this, p, false);",
    replace:
      "u8[m] = ME;\n                    i32[c] = sp - 1;\n                    i32[c + 2] = n + 1;\n                    if (zero)\n                        clear(this, p);\n                    let accepted = true;\n                    try {\n                        if (ctor !== null)\n                            accepted = ctor(p, arg, views);\n                    }\n                    catch (cause) {\n                        throw threw(this, p, cause);\n                    }\n                    if (accepted === false)\n                        return declined(this, p, false);",
    expectCaughtBy: freeing.name,
  },
  {
    name: "what is being given to another is not announced",
    file: "src/backend/memory/handing.ts",
    find: "Atomics.store(i32, MINE, to);",
    replace: ";",
    expectCaughtBy: leaving.name,
  },
  {
    name: "recovery does not look who is just giving the dead worker something",
    file: "src/uma/recovery.ts",
    find: "handing.isUnderWay(name) ||",
    replace: "",
    expectCaughtBy: leaving.name,
  },
  {
    name: "a worker that leaves does not say so",
    file: "src/uma/recovery.ts",
    find: "handing.setLeaving(true);",
    replace: ";",
    expectCaughtBy: leaving.name,
  },
  {
    name: "an item of another's goes back to it without a look whether it is there",
    file: "src/uma/bulk.ts",
    find: "was !== MARK_ORPHAN && handing.begin(tenant)",
    replace: "was !== MARK_ORPHAN",
    expectCaughtBy: tooMuch.name,
  },
  {
    name: "recovery takes apart whatever area somebody is at",
    file: "src/uma/vmalloc/areas.ts",
    find: "if (i32[header + MAP_NOTE] !== name)",
    replace: "if (i32[header + MAP_NOTE] !== name && (i32[header + MAP_WHAT] & MAP_LIVE) !== 0)",
    expectCaughtBy: swept.name,
  },
  {
    name: "a map's change of its number of entries is announced to nobody",
    file: "src/uma/map/count.ts",
    find: "Atomics.add(i32, bucket + BUCKET_CHANGES, 1);",
    replace: ";",
    expectCaughtBy: counted.name,
  },
  {
    name: "a map's buckets are found free before their changes are counted",
    file: "src/uma/map/count.ts",
    find: "changes = (changes + Atomics.load(i32, bucket + BUCKET_CHANGES)) | 0;\n            if (Atomics.load(i32, bucket + BUCKET_LOCK) !== 0)\n                return null;",
    replace:
      "if (Atomics.load(i32, bucket + BUCKET_LOCK) !== 0)\n                return null;\n            changes = (changes + Atomics.load(i32, bucket + BUCKET_CHANGES)) | 0;",
    expectCaughtBy: counted.name,
  },
];

const detectors: readonly Detector[] = [
  lock,
  three,
  patience,
  own,
  remote,
  refill,
  attention,
  freeing,
  nested,
  fini,
  born,
  race,
  orphans,
  tenant,
  ticket,
  behind,
  zone,
  told,
  bounded,
  waiter,
  reader,
  dozing,
  limbo,
  arena,
  imports,
  ended,
  reused,
  handles,
  bulk,
  drains,
  run,
  map,
  cached,
  leaving,
  tooMuch,
  swept,
  counted,
  ...TRANSACTION_SCENARIOS.map((only) => explorer(only)),
  model,
  crash,
];

export const suite: MutantSuite = { dist, cwd: root, detectors, mutants: [...quick, ...slow, ...transactions] };

/** The quick ones, with those who catch them. */
export const quickSuite: MutantSuite = {
  ...suite,
  mutants: quick,
  detectors: detectors.filter((detector) => quick.some((mutant) => mutant.expectCaughtBy === detector.name)),
};
