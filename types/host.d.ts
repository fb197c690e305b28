// The globals that every host has and the language itself does not: all that the core may use beside ECMAScript.
// Read by tsconfig.core.json only; elsewhere @types/node declares the same names.

declare function setTimeout(callback: () => void, milliseconds?: number): unknown;
declare function clearTimeout(timer: ReturnType<typeof setTimeout>): void;
declare function queueMicrotask(callback: () => void): void;

declare const performance: { now(): number };

declare const crypto: {
  /** Refuses views of shared memory. */
  getRandomValues<T extends Uint8Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(into: T): T;
};

declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(label?: string, options?: { ignoreBOM?: boolean; fatal?: boolean });
  /** Browsers refuse views of shared memory: copy the bytes first. */
  decode(bytes: Uint8Array<ArrayBuffer>): string;
}

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

declare const console: { warn(message: string): void };

interface ImportMeta {
  /** Of this module. */
  readonly url: string;
}
