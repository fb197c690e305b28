// Web globals that the sources use and @types/node does not declare. Written out rather than taken from lib.dom, so that
// nothing else of the web slips into the core. Declared, not promised: where Node 20 has none, test for it before use.

declare namespace WebAssembly {
  interface MemoryDescriptor {
    /** Pages of 64 KiB. */
    initial: number;
    /** Pages of 64 KiB; required when shared. */
    maximum?: number;
    shared?: boolean;
  }
  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer | SharedArrayBuffer;
    /** @returns The size before, pages of 64 KiB. */
    grow(pages: number): number;
  }
  class Module {
    constructor(bytes: ArrayBufferView | ArrayBuffer);
  }
  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
}

/** Undefined outside browsers. */
declare const crossOriginIsolated: boolean | undefined;

interface WebLock {
  readonly name: string;
  readonly mode: "exclusive" | "shared";
}

interface WebLockOptions {
  mode?: "exclusive" | "shared";
  ifAvailable?: boolean;
  steal?: boolean;
  signal?: AbortSignal;
}

interface WebLockManager {
  request<T>(name: string, callback: (lock: WebLock | null) => T | Promise<T>): Promise<T>;
  request<T>(name: string, options: WebLockOptions, callback: (lock: WebLock | null) => T | Promise<T>): Promise<T>;
}

/** Undefined in Node 20. */
declare const navigator: { readonly locks?: WebLockManager } | undefined;
