/** Steps that many themes share: items of the ledger's zones come and go one by one, by the handful, and from the mail. */
import { MARK_BUSY, MARK_ORPHAN, ZONE_ORPHANS } from "../../src/backend/memory/layout.ts";
import { MAIL, SLOTS } from "./ledger.ts";
import { type Actor, allocFrom, allocOrThrow, freeTo } from "./theme.ts";

/** Allocates into an empty place, or frees a full one. */
export function work(a: Actor, z: number): void {
  const zone = a.zones[z];
  if (zone === undefined) return;
  const k = a.random(SLOTS);
  const index = a.ledger.at(z, k);
  const alloc = a.random(2) === 0 ? allocFrom : allocOrThrow;
  if (a.ledger.words[index] === 0) a.ledger.take(z, k, () => alloc(zone));
  else a.ledger.give(z, index, (item) => freeTo(zone, item));
}

/** Frees items that somebody else allocated and handed over. */
export function freeMail(a: Actor, z: number): void {
  const zone = a.zones[z];
  if (zone === undefined) return;
  for (let n = 0; n < 3; n++) a.ledger.give(z, a.ledger.mailAt(z, a.random(MAIL)), (item) => freeTo(zone, item));
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
  for (let k = 0; k < SLOTS; k++) a.ledger.give(z, a.ledger.at(z, k), (item) => freeTo(zone, item));
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
