/**
 * Refusals: in some histories a lock is out of reach now and then, at one request or (where the other worker has it) at any in a step.
 *
 * What answers BUSY, is left to be finished, or gives a recovery up has points, too, and no worker waits longer for a lock than the
 * campaign's patience. So the library's entrance to locks is exchanged for a step, as in tools/storm/denials.ts.
 */
import type { Actor } from "./theme.ts";

/** One history of so many is such a one, one step of so many in it; the request refused is among the first so many, few as a rule. */
const HISTORIES = 2;
const STEPS = 2;
const REQUESTS = [3, 3, 9, 30] as const;
/** One time in so many all further requests are refused as well: what is tried once more is in vain, too. */
const FOR_LONG = 3;
const BUSY: readonly (string | undefined)[] = ["ERR_UMA_BUSY", "ERR_VMEM_BUSY"];

type Locks = { -readonly [K in keyof Actor["uma"]["core"]["floor"]["locks"]]: Actor["uma"]["core"]["floor"]["locks"][K] };

/** Whether locks are out of reach in this history. */
export function hasRefusals(seed: number): boolean {
  return (seed >> 1) % HISTORIES === 0;
}

/** Does a step, or a recovery, in which a lock may be out of reach. */
export async function refusing(
  uma: Actor["uma"],
  random: (below: number) => number,
  requests: number,
  work: () => void | Promise<void>,
): Promise<void> {
  const locks = uma.core.floor.locks as Locks;
  const { acquire } = locks;
  let left = 1 + random(requests);
  const inHurry = random(4) === 0;
  const isLong = random(FOR_LONG) === 0;
  if (inHurry) locks.hurry++;
  else locks.acquire = (...request) => (isLong ? --left > 0 : --left !== 0) && acquire(...request);
  try {
    const waits = work();
    if (waits !== undefined) await waits;
  } catch (error) {
    if (!BUSY.includes((error as { code?: string }).code)) throw error;
  } finally {
    if (inHurry) locks.hurry--;
    else locks.acquire = acquire;
  }
}

/** A step of a victim: what a refusal has closed is opened again. */
export async function refusedStep(a: Actor, random: (below: number) => number, step: () => void | Promise<void>): Promise<void> {
  if (random(STEPS) > 0) {
    const waits = step();
    if (waits !== undefined) await waits;
    return;
  }
  await refusing(a.uma, random, REQUESTS[random(REQUESTS.length)] ?? 1, step);
  for (const [z, zone] of a.zones.entries()) if (zone.closed) a.zones[z] = a.uma.open(a.definitions[z] as Actor["definitions"][0]);
}
