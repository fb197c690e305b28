/** Steps that many themes share: items of the ledger's zones come and go one by one, by the handful, and from the mail. */
import { MARK_BUSY, MARK_ORPHAN, ZONE_ORPHANS } from "../../src/backend/memory/layout.ts";
import { MAIL, SLOTS } from "./ledger.ts";
import { type Actor, CACHE, SMR, allocFrom, allocOrThrow, allowing, freeTo, isOf } from "./theme.ts";

type Zone = Actor["zones"][0];

/** Allocates into an empty place, or frees a full one. */
export function work(a: Actor, z: number): void {
  const zone = a.zones[z];
  if (zone === undefined) return;
  const k = a.random(SLOTS);
  const index = a.ledger.at(z, k);
  const alloc = a.random(2) === 0 ? allocFrom : allocOrThrow;
  if (isOf(zone.definition, SMR | CACHE)) a.ledger.ended(index, (item) => isWaiting(a, zone, item));
  if (a.ledger.words[index] === 0) a.ledger.take(z, k, () => alloc(zone));
  else give(a, z, zone, index);
}

/** Frees what is in a place of the ledger. */
function give(a: Actor, z: number, zone: Zone, index: number): void {
  a.ledger.give(z, index, (item) => {
    freeTo(zone, item);
    return isWaiting(a, zone, item) ? "waits" : undefined;
  });
}

/**
 * Whether a freed item is still in this worker's hands: in an SMR zone one for which no bucket could be had waits for readers, and in a
 * cache zone one for which no lock could be had is known to nobody else.
 */
export function isWaiting(a: Actor, zone: Zone, item: number): boolean {
  if (isOf(zone.definition, CACHE)) return a.uma.core.unfinished.some((one) => one.zone === zone && one.item === item);
  // Its slab may be gone since.
  return isOf(zone.definition, SMR) && allowing(["ERR_UMA_ADDRESS", "ERR_UMA_WRONG_ZONE"], () => zone.ownerOf(item)) === a.uma.slot;
}

/** Frees items that somebody else allocated and handed over. */
export function freeMail(a: Actor, z: number): void {
  const zone = a.zones[z];
  if (zone === undefined) return;
  for (let n = 0; n < 3; n++) give(a, z, zone, a.ledger.mailAt(z, a.random(MAIL)));
}

/** Fills all places of a zone, and empties them. */
export function burst(a: Actor, z: number): void {
  const zone = a.zones[z];
  if (zone === undefined) return;
  for (let k = 0; k < SLOTS; k++) if (a.ledger.words[a.ledger.at(z, k)] === 0) a.ledger.take(z, k, () => allocFrom(zone));
  giveAll(a, z);
}

/** Frees all items of a zone that the ledger has. */
export function giveAll(a: Actor, z: number): void {
  const zone = a.zones[z];
  if (zone === undefined) return;
  for (let k = 0; k < SLOTS; k++) give(a, z, zone, a.ledger.at(z, k));
}

/**
 * The parent: leaves items as if their owner had died, and nobody had seen to them yet; half built, or to be freed by the zone's
 * policy, or for anybody to adopt. The victim finds them when it opens the zone.
 * @returns them.
 */
export function leaveOrphans(parent: Actor, z: number, count: number, busy: boolean): number[] {
  const zone = parent.zones[z];
  if (zone === undefined) return [];
  const { floor, slabs } = parent.uma.core;
  const { u8, i32 } = floor.cells;
  const items: number[] = [];
  for (let n = 0; n < count; n++) {
    const item = zone.tryAlloc();
    if (item === 0) continue;
    Atomics.store(u8, slabs.markOf(item, zone.shift), busy ? MARK_ORPHAN | MARK_BUSY : MARK_ORPHAN);
    items.push(item);
  }
  Atomics.store(i32, zone.zone + ZONE_ORPHANS, 1);
  return items;
}

/** Closes a zone and opens it again. */
export function reopen(a: Actor, z: number): void {
  const definition = a.definitions[z];
  if (definition === undefined) return;
  a.zones[z]?.close();
  a.zones[z] = a.uma.open(definition);
}
