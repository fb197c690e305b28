/** Secondary zones, which share slabs with a primary, and cache zones, whose items are integers of somebody else's. */
import type * as Library from "../../../src/index.ts";
import { burst, freeMail, isWaiting, reopen, work } from "../basics.ts";
import { watchedHooks } from "../hooks.ts";
import { SLOTS } from "../ledger.ts";
import { type Actor, type Makers, type Say, type Theme, allowing } from "../theme.ts";

/** Integers that the cache zone's items are taken from: 1 … INTEGERS, each with a word in the ledger that says whether it is out. */
const INTEGERS = 90;
/** Words of the ledger's own: integers that an import has handed out without its allocation having come back yet; then the integers. */
const IMPORTING = 0;
const FIRST = 8;
/** In a storm each worker, and each that takes a dead one's place, has integers of its own: by its name in the memory. */
const NAMES = 2 ** 18;
const FRESH_INTEGERS = 2 ** 13;
const CACHE = 5;
const STEPS_IN_HAND = 40;
/** The other worker may have what is left of a limit, or of the memory. */
const SHORT = ["ERR_UMA_LIMIT", "ERR_UMA_EMPTY"];

interface Origin {
  /** Where the integers' words are. */
  extra: Int32Array | null;
  /** Integers are handed out from here on: each worker its own share. */
  from: number;
  to: number;
  /** In a storm: none is handed out again, for nobody knows which ones a dead worker had and which still lie in caches. */
  fresh: boolean;
}
/** When zoneInit refuses: at the so-manieth item from now; 0 = never. */
interface Mood {
  left: number;
}
const MOODS = new WeakMap<Library.ZoneDefinition, Mood>();
const MOODY = 7;
const ORIGINS = new WeakMap<Library.ZoneDefinition, Origin>();

export const derivedTheme: Theme = {
  name: "derived",
  steps: 90,

  definitions(makers: Makers) {
    const { defineZone, defineSecondary, defineCache } = makers.tree;
    const hooks = watchedHooks(makers);
    const primary = defineZone("derived primary", { size: 128, bucket: 4, secondaries: true, init: hooks.init, fini: hooks.fini });
    const mood: Mood = { left: 0 };
    const origin: Origin = { extra: null, from: 1, to: 1, fresh: false };
    const definitions = [
      primary,
      defineSecondary("derived hooked", primary as never, { bucket: 3, ctor: hooks.ctor, dtor: hooks.dtor }),
      defineSecondary("derived made", primary as never, { bucket: 4, zoneInit() {}, zoneFini() {}, onDeath: "free" }),
      defineSecondary("derived limited", primary as never, { bucket: 3, limit: 40 }),
      defineSecondary("derived smr", primary as never, { bucket: 3, smr: true }),
      defineCache("derived cache", {
        bucket: 4,
        import: (store, count) => importIntegers(origin, store, count),
        release: (store, count) => {
          const { extra } = origin;
          if (extra === null) return;
          for (let n = 0; n < count; n++) {
            const at = FIRST + (store[n] as number);
            if (at < extra.length) Atomics.store(extra, at, 0);
          }
        },
      }),
      defineSecondary("derived bounded", primary as never, { bucket: 2, maxCache: 2, zoneInit() {}, zoneFini() {} }),
      defineSecondary("derived unbucketed", primary as never, {
        bucket: 0,
        zoneInit: () => mood.left === 0 || --mood.left > 0,
        zoneFini() {},
      }),
    ] as Library.ZoneDefinition[];
    MOODS.set(definitions[MOODY] as Library.ZoneDefinition, mood);
    ORIGINS.set(definitions[CACHE] as Library.ZoneDefinition, origin);
    return definitions;
  },

  step(a) {
    begin(a);
    const z = a.random(a.zones.length);
    const zone = a.zones[z];
    const action = a.random(100);
    if (zone === undefined) return;
    if (action < 55) work(a, z);
    else if (action < 66) freeMail(a, z);
    else if (action < 72) a.ledger.takeMany(z, 1 + a.random(SLOTS), (into) => (z === 4 ? false : zone.allocBulk(into)));
    else if (action < 78 && z !== 4) {
      a.ledger.giveMany(
        z,
        1 + a.random(SLOTS),
        (items) => zone.freeBulk(items),
        (item) => isWaiting(a, zone, item),
      );
    } else if (action < 84) zone.reclaim();
    else if (action < 88) reopen(a, z);
    else if (action < 91) a.uma.smr.poll(a.uma.smr.advance());
    else if (action < 92) passing(a);
    else if (action < 93 && z < 4) allowing(SHORT, () => zone.prefill(a.random(6)));
    else burst(a, z);
    a.ledger.extra[IMPORTING] = 0;
  },

  end(a) {
    for (const zone of a.zones.slice(0, 4)) zone.prefill(0);
  },

  prepare(parent) {
    begin(parent);
  },

  account(parent, say) {
    judge(parent, say);
  },

  settle(parent) {
    for (const who of parent.crowd) {
      const primary = passingPrimary(parent, who);
      const names = new Set(parent.uma.stats().zones.map(({ name }) => name));
      if (!names.has(primary.name)) continue;
      parent.uma.open(parent.tree.defineSecondary(`derived second ${who}`, primary as never, { bucket: 2 })).destroy({ force: true });
      parent.uma.open(primary).destroy({ force: true });
    }
    // What a victim had of the cache zone is its importer's to find.
    const { sure, unsure } = parent.ledger.entries(CACHE);
    const mail = parent.ledger.mailOf(CACHE);
    parent.zones[CACHE]?.reclaim();
    const { extra } = parent.ledger;
    for (const item of [...sure, ...unsure, ...mail.sure, ...mail.unsure]) if (FIRST + item < extra.length) extra[FIRST + item] = 0;
    parent.uma.smr.synchronize(1000);
  },

  // Nobody knows what a dead worker held of it.
  keeps: (zone) => zone === "derived cache",
};

/** A primary and its secondary that live for a moment, and an item that is refused on its way to a zone. */
function passing(a: Actor): void {
  const primary = passingPrimary(a, a.who);
  const zone = a.uma.open(primary);
  const second = a.uma.open(a.tree.defineSecondary(`derived second ${a.who}`, primary as never, { bucket: 2 }));
  const items = [zone.tryAlloc(), second.tryAlloc()];
  zone.free(items[0] ?? 0);
  second.free(items[1] ?? 0);
  second.destroy({ force: true });
  zone.destroy({ force: true });
  const mood = MOODS.get(a.definitions[MOODY] as Library.ZoneDefinition);
  if (mood === undefined) return;
  mood.left = 1;
  allowing(["ERR_UMA_HOOK", ...SHORT], () => {
    const k = a.ledger.emptyPlace(MOODY, 0);
    if (k >= 0) a.ledger.take(MOODY, k, () => a.zones[MOODY]?.alloc() ?? 0);
  });
  mood.left = 0;
}

function passingPrimary({ tree }: Actor, who: number): Library.ZoneDefinition {
  return tree.defineZone(`derived passing ${who}`, { size: 200, bucket: 2, secondaries: true }) as Library.ZoneDefinition;
}

/** The share of the integers that a thread imports. */
function begin(a: Actor): void {
  const origin = ORIGINS.get(a.definitions[CACHE] as Library.ZoneDefinition);
  if (origin === undefined || origin.extra !== null) return;
  const share = a.who === -1 ? 0 : a.who + 1;
  origin.extra = a.ledger.extra;
  origin.fresh = !a.alone && a.who !== -1;
  if (origin.fresh) {
    origin.from = (a.uma.name % NAMES) * FRESH_INTEGERS + 1;
    origin.to = origin.from + FRESH_INTEGERS - 1;
    return;
  }
  origin.from = 1 + share * INTEGERS;
  origin.to = origin.from + INTEGERS;
}

function importIntegers(origin: Origin, store: number[], count: number): number {
  const { extra } = origin;
  if (extra === null) return 0;
  let stored = 0;
  if (origin.fresh) {
    while (stored < count && origin.from < origin.to) store[stored++] = origin.from++;
    return stored;
  }
  for (let item = origin.from; item < origin.to && stored < count; item++) {
    if (Atomics.compareExchange(extra, FIRST + item, 0, 1) === 0) store[stored++] = item;
  }
  extra[IMPORTING] = (extra[IMPORTING] ?? 0) + stored;
  return stored;
}

/** After a death, what is neither in caches nor in the victim's hands was being imported. */
function judge(parent: Actor, say: Say): void {
  const zone = parent.zones[CACHE];
  if (zone === undefined || !parent.alone) return;
  const { extra } = parent.ledger;
  const { sure, unsure } = parent.ledger.entries(CACHE);
  const mail = parent.ledger.mailOf(CACHE);
  const known = new Set([...sure, ...unsure, ...mail.sure, ...mail.unsure]);
  zone.reclaim();
  for (const item of [...sure, ...mail.sure])
    if (extra[FIRST + item] !== 1) say(`duplicated: the integer ${item} is held, and was released`);
  let strange = 0;
  for (let item = 1; item <= 2 * INTEGERS; item++) if (extra[FIRST + item] === 1 && !known.has(item)) strange++;
  const most = parent.ledger.open(CACHE) + (extra[IMPORTING] ?? 0);
  if (strange > Math.min(most, STEPS_IN_HAND)) say(`lost: ${strange} integers are neither held nor in a cache`);
}
