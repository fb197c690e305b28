/**
 * SharedMap: a hash map in the memory. Readers take no lock; writers take their bucket's.
 *
 * Chains of nodes hang from a table of buckets {head, lock, nodes}. A node is an item of an SMR zone, and is never changed once a
 * reader can find it: to change a value is to put a new node in the old one's place. A reader is inside its SMR section while it
 * follows a chain, and finds of each key the old value or the new one, whole. What a writer took out is reused when the readers
 * that could see it have gone.
 *
 * The links of a chain, the bucket's count and the node's LINKED word change in one transaction under the bucket's robust lock: a
 * writer that is killed has linked its node or has not. Whoever unlinks a node makes it its own first. So a node that a killed writer
 * had taken but not linked, or unlinked but not freed, is marked with a dead owner and says LINKED = 0; {@link SharedMap.sweep}
 * finds and frees those, as does a set that meets a full map.
 *
 * The table is made by whoever comes first and found by the others through the zone's record; one whose maker died before that is
 * freed by the next who opens the map. It is as large as its capacity asks, for good; a map does not grow.
 */
import { UmaError, optionError } from "../../backend/memory/errors.ts";
import { KEG_LOCK, MARK_FREE, PAGE_BYTES, ZONE_KEG, ZONE_ROOT } from "../../backend/memory/layout.ts";
import { type ZoneDefinition, defineZone } from "../definition.ts";
import { freeLeftovers } from "../leftovers.ts";
import type { Uma } from "../uma.ts";
import type { Zone } from "../zone.ts";
import { BUCKET_HEAD, BUCKET_LOCK, BUCKET_NODES, BUCKET_WORDS, TABLE_BUCKETS, TABLE_CAPACITY, createEntryCount } from "./count.ts";
import { type MapType, checkType, hashOf, holds } from "./hash.ts";

export interface MapOptions {
  /** Entries at most: 1 … 16 777 216. */
  readonly capacity: number;
  /** What keys and values are; default "i32" and "f64". */
  readonly key?: MapType;
  readonly value?: MapType;
}

/** A map as a pure value, for a module that every thread imports. */
export interface MapDefinition {
  readonly name: string;
  readonly capacity: number;
  readonly key: MapType;
  readonly value: MapType;
  /** Zones of its nodes and of its table. */
  readonly nodes: ZoneDefinition;
  readonly table: ZoneDefinition;
}

export interface SharedMap {
  readonly definition: MapDefinition;
  /** Entries; near enough while others write. */
  readonly size: number;
  /** @returns the value, undefined when there is none. Takes no lock. */
  get(key: number): number | undefined;
  has(key: number): boolean;
  /**
   * Sets a value.
   * @throws UmaError ERR_UMA_LIMIT when the map is full; ERR_UMA_VALUE for a key or value that its type cannot hold; ERR_UMA_BUSY,
   * ERR_UMA_EMPTY.
   */
  set(key: number, value: number): void;
  /**
   * The value of a key, which is given this one if it has none: of all who come at once with one key, all get the value of one of them.
   * Takes no lock where there is a value.
   * @throws UmaError as {@link SharedMap.set} does.
   */
  getOrSet(key: number, value: number): number;
  /** @returns whether there was such an entry. @throws UmaError ERR_UMA_BUSY. */
  delete(key: number): boolean;
  /** The entries, bucket by bucket; what others write meanwhile may or may not be among them. Holds no section while it is paused. */
  entries(): Generator<readonly [key: number, value: number], void, void>;
  /** Frees the nodes that killed writers left aside. @returns how many. */
  sweep(): number;
  /** What is wrong with it, while nobody writes: chains against counts, keys in their buckets, nodes twice or lost. */
  verify(): string[];
}

/** Node, words: next node (byte address, 0 = last), LINKED; key and value follow, 8 bytes each. */
const NODE_NEXT = 0;
const NODE_LINKED = 1;
const NODE_KEY = 2;
const NODE_VALUE = 4;
const NODE_BYTES = 24;
const MAX_CAPACITY = 2 ** 24;
const TYPES: readonly MapType[] = ["i32", "u32", "f64", "item"];

/**
 * Defines a map.
 * @param name - 1 … 100 bytes of UTF-8; unique among the memory's maps.
 * @throws UmaError ERR_UMA_OPTION.
 */
export function defineMap(name: string, options: MapOptions): MapDefinition {
  const { capacity, key = "i32", value = "f64" } = options;
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY) {
    throw optionError("capacity", capacity, `an integer from 1 to ${MAX_CAPACITY}`, name);
  }
  checkType("key", key, name);
  checkType("value", value, name);
  // The kinds of key and value stand in the table's size, so that two definitions of one name must agree on them.
  const kinds = TYPES.indexOf(key) * TYPES.length + TYPES.indexOf(value);
  const bytes = (TABLE_BUCKETS + bucketsFor(capacity) * BUCKET_WORDS) * 4;
  return Object.freeze({
    name,
    capacity,
    key,
    value,
    nodes: defineZone(`map ${name}`, { size: NODE_BYTES, smr: true }),
    table: defineZone(`map ${name} table`, { size: bytes + kinds * 16, align: Math.min(PAGE_BYTES, 64), zinit: true, bucket: 0 }),
  });
}

/** A power of two, so that a chain has one node or two. */
function bucketsFor(capacity: number): number {
  return 2 ** Math.max(1, Math.ceil(Math.log2(capacity)));
}

/**
 * Opens a map in this thread, making it if there is none of that name.
 * @throws UmaError ERR_UMA_ZONE_MISMATCH when it exists with another capacity or other types; ERR_UMA_EMPTY; ERR_UMA_BUSY.
 */
export function openMap(uma: Uma, definition: MapDefinition): SharedMap {
  const { floor, smr, queue, items } = uma.core;
  const { i32, u8, f64 } = floor.cells;
  const { locks, patienceMs, slot } = floor;
  const { set: journal, add, commit } = floor.journal;
  const { name, capacity, key: keyType, value: valueType } = definition;
  const nodes: Zone = uma.open(definition.nodes);
  const tables: Zone = uma.open(definition.table);
  const root = rootOf();
  const table = root >>> 2;
  const count = createEntryCount(floor, table, bucketsFor(capacity), capacity);
  // A maker may have died before its table was the map's.
  if (tables.getCur() > 1) {
    freeLeftovers(
      uma.core,
      tables,
      (made) => made === root,
      (made) => tables.free(made),
    );
  }
  const SHIFT = 32 - Math.log2(bucketsFor(capacity));
  const keyIsF64 = keyType === "f64";

  /** The table's address, from the record of the nodes' zone; whoever stores it there first has made it. */
  function rootOf(): number {
    const word = nodes.zone + ZONE_ROOT;
    let root = Atomics.load(i32, word);
    if (root === 0) {
      const made = tables.alloc();
      i32[(made >>> 2) + TABLE_CAPACITY] = capacity;
      root = Atomics.compareExchange(i32, word, 0, made);
      if (root === 0) root = made;
      else tables.free(made);
    }
    if (i32[(root >>> 2) + TABLE_CAPACITY] === capacity) return root;
    throw new UmaError("ERR_UMA_ZONE_MISMATCH", `map "${name}" exists with another capacity: ${i32[(root >>> 2) + TABLE_CAPACITY]}`, {
      zone: name,
      value: i32[(root >>> 2) + TABLE_CAPACITY],
    });
  }

  function bucketOf(key: number): number {
    return table + TABLE_BUCKETS + (hashOf(keyType, key) >>> SHIFT) * BUCKET_WORDS;
  }

  function keyAt(node: number): number {
    if (keyIsF64) return f64[(node >>> 3) + 1];
    const raw = i32[(node >>> 2) + NODE_KEY];
    return keyType === "u32" ? raw >>> 0 : raw;
  }

  function valueAt(node: number): number {
    if (valueType === "f64") return f64[(node >>> 3) + 2];
    const raw = i32[(node >>> 2) + NODE_VALUE];
    return valueType === "u32" ? raw >>> 0 : raw;
  }

  function isKey(node: number, key: number): boolean {
    const at = keyAt(node);
    return at === key || (keyIsF64 && at !== at && key !== key);
  }

  /** The node of a key, 0 = none: inside a section, or under the bucket's lock. */
  function find(key: number): number {
    let node = i32[bucketOf(key) + BUCKET_HEAD];
    while (node !== 0 && !isKey(node, key)) node = i32[(node >>> 2) + NODE_NEXT];
    return node;
  }

  function get(key: number): number | undefined {
    if (smr.entered()) {
      const node = find(key);
      return node === 0 ? undefined : valueAt(node);
    }
    smr.begin();
    let left = false;
    try {
      const node = find(key);
      const value = node === 0 ? undefined : valueAt(node);
      smr.end();
      left = true;
      return value;
    } finally {
      if (!left) smr.isCut = true;
    }
  }

  function checkNumber(what: string, type: MapType, given: unknown): void {
    if (holds(type, given)) return;
    throw new UmaError("ERR_UMA_VALUE", `the ${what} ${String(given)} of map "${name}" is no ${type}`, {
      zone: name,
      ...(typeof given === "number" ? { value: given } : {}),
    });
  }

  function lockBucket(bucket: number): void {
    locks.mend();
    if (locks.acquire(bucket + BUCKET_LOCK, patienceMs)) return;
    throw new UmaError("ERR_UMA_BUSY", `map "${name}": a bucket's lock could not be had in time; try again`, { zone: name });
  }

  function full(): UmaError {
    return new UmaError("ERR_UMA_LIMIT", `map "${name}" is full: it has ${capacity} entries; raise the option capacity`, {
      zone: name,
      value: capacity,
    });
  }

  /** A node that nobody can see yet. */
  function makeNode(key: number, value: number): number {
    const node = nodes.allocSmr();
    if (node === 0) {
      const { lastFailure } = uma;
      const code = lastFailure === "BUSY" ? "ERR_UMA_BUSY" : "ERR_UMA_EMPTY";
      throw new UmaError(code, `map "${name}": no node to be had (${lastFailure})`, { zone: name });
    }
    const w = node >>> 2;
    i32[w + NODE_NEXT] = 0;
    i32[w + NODE_LINKED] = 0;
    if (keyIsF64) f64[(node >>> 3) + 1] = key;
    else i32[w + NODE_KEY] = key;
    if (valueType === "f64") f64[(node >>> 3) + 2] = value;
    else i32[w + NODE_VALUE] = value;
    return node;
  }

  function getOrSet(key: number, value: number): number {
    checkNumber("key", keyType, key);
    checkNumber("value", valueType, value);
    for (;;) {
      const known = get(key);
      if (known !== undefined) return known;
      // Where somebody has been faster, theirs is read; unless it is gone again.
      if (putOrSweep(key, value, false)) return value;
    }
  }

  /** The node that the change under way takes out of the map; 0 = none. */
  let displaced = 0;

  /**
   * An exception (a stack overflow) may have come before a change or after it. @returns whether the node is out of the map and this
   * worker's, what was open having been undone: another may have found and removed it since.
   */
  function isLoose(node: number): boolean {
    locks.mend();
    return i32[(node >>> 2) + NODE_LINKED] === 0 && nodes.ownerOf(node) === slot;
  }

  /** @returns whether the value is in the map now. */
  function put(key: number, value: number, replaces: boolean): boolean {
    checkNumber("key", keyType, key);
    checkNumber("value", valueType, value);
    const node = makeNode(key, value);
    displaced = 0;
    let out = -1;
    try {
      out = link(key, node, replaces);
    } finally {
      if (out < 0) out = isLoose(node) ? node : displaced;
      if (out !== 0) nodes.freeSmr(out);
    }
    return out !== node;
  }

  /**
   * Puts the node in the place of the one of the same key, if it replaces such a one, or first in its chain.
   * @returns the node that is out of the map now: the old one, 0 when there was none, or this one.
   */
  function link(key: number, node: number, replaces: boolean): number {
    const bucket = bucketOf(key);
    lockBucket(bucket);
    try {
      const before = wordBefore(bucket, key);
      const old = i32[before];
      if (old === 0) {
        if (!count.mayGrow(bucket)) throw full();
        journal((node >>> 2) + NODE_NEXT, i32[bucket + BUCKET_HEAD]);
        add(bucket + BUCKET_NODES, 1);
      } else {
        if (!replaces) return node;
        makeMine(old);
        journal((node >>> 2) + NODE_NEXT, i32[(old >>> 2) + NODE_NEXT]);
        journal((old >>> 2) + NODE_LINKED, 0);
      }
      displaced = old;
      journal((node >>> 2) + NODE_LINKED, 1);
      journal(old === 0 ? bucket + BUCKET_HEAD : before, node);
      commit();
      return old;
    } finally {
      locks.release();
    }
  }

  /**
   * Makes a linked node this worker's, whoever had set it, before it is unlinked: so that a sweep leaves it to this worker, and
   * finds it once this worker is dead. Under the bucket's lock, without which nobody frees a linked node.
   */
  function makeMine(node: number): void {
    const mark = items.check(nodes, node);
    for (;;) {
      const seen = Atomics.load(u8, mark);
      if (seen === slot) return;
      if (seen === MARK_FREE) throw items.freeAlready(nodes, node);
      // Its owner may die just now, and recovery make it an orphan.
      if (Atomics.compareExchange(u8, mark, seen, slot) === seen) return;
    }
  }

  /** The word that names the key's node, or that ends the chain. */
  function wordBefore(bucket: number, key: number): number {
    let word = bucket + BUCKET_HEAD;
    while (i32[word] !== 0 && !isKey(i32[word], key)) word = (i32[word] >>> 2) + NODE_NEXT;
    return word;
  }

  function remove(key: number): boolean {
    if (!holds(keyType, key)) return false;
    displaced = 0;
    let out = -1;
    try {
      out = unlink(key);
    } finally {
      if (out < 0) out = displaced !== 0 && isLoose(displaced) ? displaced : 0;
      if (out !== 0) nodes.freeSmr(out);
    }
    return out !== 0;
  }

  /** @returns the node of the key, which is out of the map now; 0 = there was none. */
  function unlink(key: number): number {
    const bucket = bucketOf(key);
    lockBucket(bucket);
    try {
      const before = wordBefore(bucket, key);
      const node = i32[before];
      if (node === 0) return 0;
      makeMine(node);
      count.announce(bucket);
      journal(before, i32[(node >>> 2) + NODE_NEXT]);
      journal((node >>> 2) + NODE_LINKED, 0);
      add(bucket + BUCKET_NODES, -1);
      displaced = node;
      commit();
      count.shrunk();
      return node;
    } finally {
      locks.release();
    }
  }

  function* entries(): Generator<readonly [number, number], void, void> {
    for (let n = 0; n < bucketsFor(capacity); n++) yield* chainOf(n);
  }

  function chainOf(n: number): (readonly [number, number])[] {
    const chain: (readonly [number, number])[] = [];
    const nested = smr.entered();
    if (!nested) smr.begin();
    let left = nested;
    try {
      let node = i32[table + TABLE_BUCKETS + n * BUCKET_WORDS + BUCKET_HEAD];
      for (; node !== 0; node = i32[(node >>> 2) + NODE_NEXT]) chain.push([keyAt(node), valueAt(node)]);
      if (!nested) smr.end();
      left = true;
    } finally {
      if (!left) smr.isCut = true;
    }
    return chain;
  }

  function sweep(): number {
    const freed = freeLeftovers(
      uma.core,
      nodes,
      (node) => i32[(node >>> 2) + NODE_LINKED] !== 0,
      (node) => nodes.freeSmr(node),
    );
    count.putRight();
    return freed;
  }

  function verify(): string[] {
    const problems: string[] = [];
    const seen = new Set<number>();
    for (let n = 0; n < bucketsFor(capacity); n++) {
      const bucket = table + TABLE_BUCKETS + n * BUCKET_WORDS;
      if (i32[bucket + BUCKET_LOCK] !== 0) problems.push(`bucket ${n} is locked by ${i32[bucket + BUCKET_LOCK]}`);
      let length = 0;
      for (let node = i32[bucket + BUCKET_HEAD]; node !== 0 && !seen.has(node); node = i32[(node >>> 2) + NODE_NEXT]) {
        seen.add(node);
        length++;
        if (bucketOf(keyAt(node)) !== bucket) problems.push(`the key ${keyAt(node)} stands in the wrong bucket`);
        if (i32[(node >>> 2) + NODE_LINKED] !== 1) problems.push(`the node ${node} is linked and does not say so`);
        if (nodes.ownerOf(node) === 0) problems.push(`the node ${node} is linked and free`);
      }
      if (length !== i32[bucket + BUCKET_NODES])
        problems.push(`bucket ${n} has ${length} nodes, its count is ${i32[bucket + BUCKET_NODES]}`);
    }
    if (seen.size !== count.now()) problems.push(`${seen.size} nodes are linked, the count is ${count.now()}`);
    if (nodes.getCur() !== seen.size) problems.push(`${nodes.getCur()} nodes are out, ${seen.size} linked`);
    if (i32[i32[nodes.zone + ZONE_KEG] + KEG_LOCK] !== 0) problems.push("the nodes' keg is locked");
    return problems;
  }

  function putOrSweep(key: number, value: number, replaces: boolean): boolean {
    try {
      return put(key, value, replaces);
    } catch (thrown) {
      if (!(thrown instanceof UmaError) || thrown.code !== "ERR_UMA_LIMIT" || (sweep() === 0 && count.now() >= capacity)) throw thrown;
      queue.pass(nodes.zone);
      return put(key, value, replaces);
    }
  }

  return {
    definition,
    get size(): number {
      return count.now();
    },
    get,
    has: (key) => get(key) !== undefined,
    set: (key, value) => void putOrSweep(key, value, true),
    getOrSet,
    delete: remove,
    entries,
    sweep,
    verify,
  };
}
