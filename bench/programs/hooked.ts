/**
 * Eight zones with hooks, and the ways in which a program may reach them.
 *
 * The hooks are written out eight times, as a program's are: functions made from one source would share what V8 learns of them.
 */
import { type Ctor, type Dtor, defineZone, type Uma, type Zone } from "../../src/index.ts";
import { ITEM_BYTES, roomyMemory } from "./peers.ts";

interface Pair {
  readonly ctor: Ctor;
  readonly dtor: Dtor;
}

/** Each ctor writes two words, each dtor one. */
const HOOKS: readonly Pair[] = [
  { ctor: (p, _, { i32 }) => void ((i32[p >> 2] = 1), (i32[(p >> 2) + 1] = 11)), dtor: (p, _, { i32 }) => void (i32[p >> 2] = 0) },
  { ctor: (p, _, { i32 }) => void ((i32[p >> 2] = 2), (i32[(p >> 2) + 1] = 12)), dtor: (p, _, { i32 }) => void (i32[p >> 2] = 0) },
  { ctor: (p, _, { i32 }) => void ((i32[p >> 2] = 3), (i32[(p >> 2) + 1] = 13)), dtor: (p, _, { i32 }) => void (i32[p >> 2] = 0) },
  { ctor: (p, _, { i32 }) => void ((i32[p >> 2] = 4), (i32[(p >> 2) + 1] = 14)), dtor: (p, _, { i32 }) => void (i32[p >> 2] = 0) },
  { ctor: (p, _, { i32 }) => void ((i32[p >> 2] = 5), (i32[(p >> 2) + 1] = 15)), dtor: (p, _, { i32 }) => void (i32[p >> 2] = 0) },
  { ctor: (p, _, { i32 }) => void ((i32[p >> 2] = 6), (i32[(p >> 2) + 1] = 16)), dtor: (p, _, { i32 }) => void (i32[p >> 2] = 0) },
  { ctor: (p, _, { i32 }) => void ((i32[p >> 2] = 7), (i32[(p >> 2) + 1] = 17)), dtor: (p, _, { i32 }) => void (i32[p >> 2] = 0) },
  { ctor: (p, _, { i32 }) => void ((i32[p >> 2] = 8), (i32[(p >> 2) + 1] = 18)), dtor: (p, _, { i32 }) => void (i32[p >> 2] = 0) },
];

export type Eight = readonly [Zone, Zone, Zone, Zone, Zone, Zone, Zone, Zone];

function open(uma: Uma, n: number, hooked: boolean): Zone {
  return uma.open(defineZone(`item ${n}`, { size: ITEM_BYTES, ...(hooked ? HOOKS[n] : {}) }));
}

export function oneZone(hooked: boolean): Zone {
  return open(roomyMemory(1024), 0, hooked);
}

export function eightZones(hooked: boolean): Eight {
  const uma = roomyMemory(1024);
  return [0, 1, 2, 3, 4, 5, 6, 7].map((n) => open(uma, n, hooked)) as unknown as Eight;
}

const ROUNDS = 32;

/** A function for each zone, with a call site of its own. */
export function ownFunctions([z0, z1, z2, z3, z4, z5, z6, z7]: Eight): () => number {
  const use0 = (): void => {
    for (let n = 0; n < ROUNDS; n++) z0.free(z0.alloc());
  };
  const use1 = (): void => {
    for (let n = 0; n < ROUNDS; n++) z1.free(z1.alloc());
  };
  const use2 = (): void => {
    for (let n = 0; n < ROUNDS; n++) z2.free(z2.alloc());
  };
  const use3 = (): void => {
    for (let n = 0; n < ROUNDS; n++) z3.free(z3.alloc());
  };
  const use4 = (): void => {
    for (let n = 0; n < ROUNDS; n++) z4.free(z4.alloc());
  };
  const use5 = (): void => {
    for (let n = 0; n < ROUNDS; n++) z5.free(z5.alloc());
  };
  const use6 = (): void => {
    for (let n = 0; n < ROUNDS; n++) z6.free(z6.alloc());
  };
  const use7 = (): void => {
    for (let n = 0; n < ROUNDS; n++) z7.free(z7.alloc());
  };
  return () => {
    use0();
    use1();
    use2();
    use3();
    use4();
    use5();
    use6();
    use7();
    return 8 * ROUNDS;
  };
}

/** One function with a call site for each zone. */
export function oneFunction([z0, z1, z2, z3, z4, z5, z6, z7]: Eight): () => number {
  return () => {
    for (let n = 0; n < ROUNDS; n++) {
      z0.free(z0.alloc());
      z1.free(z1.alloc());
      z2.free(z2.alloc());
      z3.free(z3.alloc());
      z4.free(z4.alloc());
      z5.free(z5.alloc());
      z6.free(z6.alloc());
      z7.free(z7.alloc());
    }
    return 8 * ROUNDS;
  };
}

/** One call site for all. */
export function sharedSite(zones: Eight): () => number {
  const of = zones;
  const use = (zone: Zone): void => zone.free(zone.alloc());
  return () => {
    for (let n = 0; n < ROUNDS; n++) for (let k = 0; k < 8; k++) use(of[k] as Zone);
    return 8 * ROUNDS;
  };
}

/** One zone at one call site. */
export function alone(zone: Zone): () => number {
  const z = zone;
  return () => {
    for (let n = 0; n < 8 * ROUNDS; n++) z.free(z.alloc());
    return 8 * ROUNDS;
  };
}
