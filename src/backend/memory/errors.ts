/**
 * Errors of the whole house.
 *
 * Three kinds, after who is at fault:
 *  - the caller handed in something wrong: {@link UmaError} with a code, nothing has changed;
 *  - there is none to be had: `tryAlloc` answers 0, only the throwing forms make a {@link UmaError} of it;
 *  - the memory or the caller's bookkeeping is corrupt (a double free, a clobbered header): {@link UmaCorruptionError}.
 *
 * Nothing on a success path builds one of these.
 */

/** Every code that an error of this library carries. Codes are part of the interface; messages are not. */
export type UmaErrorCode =
  | "ERR_UMA_OPTION"
  | "ERR_UMA_NO_SHARED_MEMORY"
  | "ERR_UMA_NOT_A_MEMORY"
  | "ERR_UMA_VERSION"
  | "ERR_UMA_BYTE_ORDER"
  | "ERR_UMA_TICKET"
  | "ERR_UMA_NO_SLOT"
  | "ERR_UMA_DETACHED"
  | "ERR_UMA_ZONE_MISMATCH"
  | "ERR_UMA_ZONE_CLOSED"
  | "ERR_UMA_ZONE_TABLE_FULL"
  | "ERR_UMA_OUTSTANDING"
  | "ERR_UMA_SECONDARIES"
  | "ERR_UMA_EMPTY"
  | "ERR_UMA_LIMIT"
  | "ERR_UMA_BUSY"
  | "ERR_UMA_HOOK"
  | "ERR_UMA_HOOK_RECURSION"
  | "ERR_UMA_ADDRESS"
  | "ERR_UMA_WRONG_ZONE"
  | "ERR_UMA_NOT_OWNER"
  | "ERR_UMA_SUPPLIER"
  | "ERR_UMA_TOO_LATE"
  | "ERR_UMA_WAIT_HERE"
  | "ERR_UMA_ABORTED"
  | "ERR_UMA_TIMEOUT"
  | "ERR_UMA_NO_LOCKS"
  | "ERR_UMA_NO_CERTIFICATE"
  | "ERR_UMA_STRUCT"
  | "ERR_UMA_VALUE"
  | "ERR_UMA_STALE"
  | "ERR_UMA_FREED"
  | "ERR_UMA_FOREIGN"
  | "ERR_UMA_SMR"
  | "ERR_UMA_INTERNAL"
  | "ERR_UMA_DOUBLE_FREE"
  | "ERR_UMA_ITEM_BUSY"
  | "ERR_UMA_CLOBBERED"
  | "ERR_VMEM_OPTION"
  | "ERR_VMEM_CONSTRAINT"
  | "ERR_VMEM_SPAN"
  | "ERR_VMEM_UNKNOWN"
  | "ERR_VMEM_SIZE"
  | "ERR_VMEM_KIND"
  | "ERR_VMEM_CHILDREN"
  | "ERR_VMEM_NOTAGS"
  | "ERR_VMEM_NO_ARENA"
  | "ERR_VMEM_MISMATCH"
  | "ERR_VMEM_NOSPACE"
  | "ERR_VMEM_NOID"
  | "ERR_VMEM_BUSY"
  | "ERR_VMEM_LEAK"
  | "ERR_VMEM_CIRCLE"
  | "ERR_VMEM_DESTROYED";

/** What an error carries beside its message. */
export interface UmaErrorDetails {
  /** Name of the zone or arena it is about. */
  readonly zone?: string;
  /** The number that matters: an address, a size, a count; its meaning is said in the message. */
  readonly value?: number;
  /** What was thrown by a hook or a supplier of the user's. */
  readonly cause?: unknown;
}

/** An error of this library: the caller can act on `code`, `zone` and `value`. */
export class UmaError extends Error {
  readonly code: UmaErrorCode;
  readonly zone: string | undefined;
  readonly value: number | undefined;

  constructor(code: UmaErrorCode, message: string, details: UmaErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "UmaError";
    this.code = code;
    this.zone = details.zone;
    this.value = details.value;
  }
}

/** Corruption was found: an item freed twice, a record overwritten. The state was left as it was found. */
export class UmaCorruptionError extends UmaError {
  constructor(code: UmaErrorCode, message: string, details: UmaErrorDetails = {}) {
    super(code, message, details);
    this.name = "UmaCorruptionError";
  }
}

/** An option out of range: the error names the option, what was given and what is allowed. */
export function optionError(option: string, given: unknown, allowed: string, zone?: string): UmaError {
  const details: UmaErrorDetails = {
    ...(zone === undefined ? {} : { zone }),
    ...(typeof given === "number" ? { value: given } : {}),
  };
  const where = zone === undefined ? "" : ` of zone "${zone}"`;
  return new UmaError("ERR_UMA_OPTION", `option ${option}${where} is ${describe(given)}; allowed: ${allowed}`, details);
}

function describe(given: unknown): string {
  if (typeof given === "string") return JSON.stringify(given);
  if (typeof given === "function") return "a function";
  return typeof given === "object" && given !== null ? "an object" : String(given);
}
