/**
 * Secondary zones: another zone on the slabs of a primary.
 *
 * Its items are the primary's: same size, same `init` and `fini`, same pages. What it has of its own are hooks, caches and a limit:
 * `zoneInit` makes of a primary's item one of this zone when it comes into its caches, `zoneFini` undoes that when it goes back.
 * (FreeBSD's example: packets, which are mbufs that keep their cluster while they are cached.)
 *
 * Each item of such a keg has a zone byte beside its mark: it says which zone the item is out to, while it is out of its slab. So
 * an item is refused by any zone but its own, and a dead worker's items go back the way they came.
 */
import { optionError } from "../backend/memory/errors.ts";
import { type ZoneDefinition, type ZoneOptions, FLAG_SECONDARIES, FLAG_SECONDARY, FLAG_UNCHECKED, defineZone } from "./definition.ts";

export type SecondaryOptions = Pick<
  ZoneOptions,
  "ctor" | "dtor" | "zoneInit" | "zoneFini" | "limit" | "zero" | "bucket" | "maxCache" | "unmanaged" | "maxBucket" | "smr" | "onDeath"
>;

/**
 * Defines a zone on the slabs of `primary`, whose definition has the option `secondaries`. Opening it opens the primary as well.
 * @throws UmaError ERR_UMA_OPTION.
 * @source FreeBSD sys/vm/uma.h uma_zsecond_create
 */
export function defineSecondary(name: string, primary: ZoneDefinition<unknown>, options: SecondaryOptions = {}): ZoneDefinition {
  if (typeof primary !== "object" || primary === null || (primary.flags & FLAG_SECONDARIES) === 0) {
    throw optionError("primary", primary, "the definition of a zone with the option secondaries", name);
  }
  const { ctor, dtor, zoneInit, zoneFini, limit, zero, bucket, maxCache, unmanaged, maxBucket, smr, onDeath } = options;
  const given = { ctor, dtor, zoneInit, zoneFini, limit, zero, bucket, maxCache, unmanaged, maxBucket, smr, onDeath };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const { size, align, hidden, flags } = primary;
  const plain = defineZone(name, { ...known, size, align });
  return Object.freeze({ ...plain, hidden, primary, flags: plain.flags | FLAG_SECONDARY | (flags & FLAG_UNCHECKED) });
}
