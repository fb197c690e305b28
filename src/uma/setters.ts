/**
 * What may be set of a zone after it was opened and before its first allocation: hooks between keg and caches, and SMR.
 *
 * A definition is a value that all threads agree on; setters are for code that is carried over from FreeBSD, where a zone is created
 * first and given its init, zinit or smr next. The records say which hooks there are: the first thread that sets one must do so
 * while nothing has been allocated; every other sets its own, at any time before it uses the zone. A thread that has not is told so
 * when it would have to run one.
 */
import { UmaError, optionError } from "../backend/memory/errors.ts";
import {
  KEG_HOOKS,
  KEG_ITEMS,
  KEG_LOCK,
  LINE_REASONS,
  REASON_ORPHANS,
  ZONE_FLAGS,
  ZONE_HOOKS_NOW,
  ZONE_ITEMS,
  ZONE_ORPHANS,
  ZONE_PRIMARY,
} from "../backend/memory/layout.ts";
import type { Core } from "./core.ts";
import { FLAG_FREE_ON_DEATH, FLAG_SMR, FLAG_UNCHECKED, FLAG_ZERO } from "./definition.ts";
import { HOOK_FINI, HOOK_INIT, HOOK_ZONE_FINI, HOOK_ZONE_INIT, type Init } from "./hooks.ts";
import type { Zone } from "./zone.ts";

export type SettableHook = "init" | "fini" | "zoneInit" | "zoneFini";

export interface Setters {
  setHook(z: Zone, hook: SettableHook, run: Init): void;
  setSmr(z: Zone): void;
}

/** What setters need of the parts around them. */
export interface SetterServices {
  refuseCache(z: Zone, what: string): void;
  /** Gives a zone of this thread's the operations of SMR zones. */
  toSmr(z: Zone): void;
}

const BITS: Readonly<Record<SettableHook, number>> = {
  init: HOOK_INIT,
  fini: HOOK_FINI,
  zoneInit: HOOK_ZONE_INIT,
  zoneFini: HOOK_ZONE_FINI,
};

export function createSetters(core: Core, services: SetterServices): Setters {
  const { i32 } = core.floor.cells;
  const { locks, patienceMs } = core.floor;
  const { set, commit } = core.floor.journal;

  function tooLate(z: Zone, what: string): UmaError {
    const items = Math.max(i32[z.keg + KEG_ITEMS], i32[z.zone + ZONE_ITEMS]);
    return new UmaError("ERR_UMA_TOO_LATE", `${what} of zone "${z.name}" after its first allocation: it has ${items} items`, {
      zone: z.name,
      value: items,
    });
  }

  function refused(z: Zone, what: string, why: string): UmaError {
    return new UmaError("ERR_UMA_OPTION", `${what} of zone "${z.name}": ${why}`, { zone: z.name });
  }

  /** Sets bits in a word of the records; at the first time nothing may have been allocated. */
  function record(z: Zone, what: string, word: number, bits: number, mayRepeat: boolean): void {
    if (!locks.acquire(z.keg + KEG_LOCK, patienceMs)) {
      throw new UmaError("ERR_UMA_BUSY", `${what} of zone "${z.name}": a lock could not be had in time; try again`, { zone: z.name });
    }
    try {
      const isThere = (i32[word] & bits) !== 0;
      if (!(isThere && mayRepeat) && (i32[z.keg + KEG_ITEMS] !== 0 || i32[z.zone + ZONE_ITEMS] !== 0)) throw tooLate(z, what);
      set(word, i32[word] | bits);
      commit();
    } finally {
      locks.release();
    }
  }

  function setHook(z: Zone, hook: SettableHook, run: Init): void {
    const what = `set ${hook}`;
    if (typeof run !== "function") throw optionError(hook, run, "a function", z.name);
    const ofKeg = hook === "init" || hook === "fini";
    if (ofKeg) {
      services.refuseCache(z, what);
      if (i32[z.zone + ZONE_PRIMARY] !== 0) throw refused(z, what, "it is the keg's, to be set of the primary zone");
    }
    if (z.definition.face !== null) throw refused(z, what, "a zone with fields, handles or debug has it in its definition");
    const has = ofKeg ? z[hook] !== null : z.gate !== null && z.gate[hook] !== null;
    record(z, what, ofKeg ? z.keg + KEG_HOOKS : z.zone + ZONE_HOOKS_NOW, BITS[hook], !has);
    if (ofKeg) {
      for (const other of core.open) {
        if (other === undefined || other.keg !== z.keg) continue;
        other[hook] = run;
        // Items may have been left for a worker that has what it takes: this one has it now.
        if (Atomics.load(i32, other.zone + ZONE_ORPHANS) !== 0) Atomics.or(i32, other.line + LINE_REASONS, REASON_ORPHANS);
      }
    } else {
      const { zoneInit = null, zoneFini = null, origin = null } = z.gate ?? {};
      z.gate = { zoneInit, zoneFini, origin, [hook]: run };
    }
  }

  function setSmr(z: Zone): void {
    const { flags, face } = z.definition;
    services.refuseCache(z, "setSmr");
    if (face !== null || (flags & (FLAG_ZERO | FLAG_UNCHECKED | FLAG_FREE_ON_DEATH)) !== 0) {
      throw refused(z, "setSmr", "not with fields, zero, checks: false or onDeath: free");
    }
    record(z, "setSmr", z.zone + ZONE_FLAGS, FLAG_SMR, true);
    services.toSmr(z);
  }

  return { setHook, setSmr };
}
