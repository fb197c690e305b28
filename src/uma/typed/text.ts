/**
 * Text of a fixed length in bytes: UTF-8, filled up with zero bytes, as a C program would read it.
 *
 * Encoded and decoded here, straight from and to the shared memory: TextEncoder and TextDecoder refuse shared views in browsers.
 * What does not fit is refused, or cut behind the last whole character, by choice of whoever defines the field. Other workers
 * may see a text half written; whoever shares texts orders the accesses.
 */
import type { Accessors, Cursor, FieldMemory, FieldType } from "./field.ts";
import { structError, valueError } from "./field.ts";

export interface TextOptions {
  /** What happens to a text that is too long: "refuse" (ERR_UMA_VALUE; default) or "truncate" (behind the last whole character). */
  readonly overflow?: "refuse" | "truncate";
}

export interface TextType extends FieldType<string> {
  readonly overflow: "refuse" | "truncate";
}

const MAX_TEXT_BYTES = 2 ** 20;

/**
 * Text of up to `bytes` bytes of UTF-8. U+0000 cannot be stored (it fills up), nor can half a surrogate pair.
 * @throws UmaError ERR_UMA_STRUCT for a length that is no integer from 1 to 1 Mi.
 */
export function text(bytes: number, options: TextOptions = {}): TextType {
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > MAX_TEXT_BYTES)
    throw structError(`text takes its length in bytes, an integer from 1 to ${MAX_TEXT_BYTES}, not ${String(bytes)}`);
  const { overflow = "refuse" } = options;
  if (overflow !== "refuse" && overflow !== "truncate") throw structError('option overflow of text is "refuse" or "truncate"');
  const refuses = (value: string): string | null => {
    if (typeof value !== "string") return `${typeof value} is no text`;
    const length = encodedLength(value);
    if (length < 0) return length === HAS_NUL ? "a text with U+0000 in it" : "a text with half a surrogate pair in it";
    return length <= bytes || overflow === "truncate" ? null : `a text of ${length} bytes; ${bytes} fit`;
  };
  return Object.freeze({
    kind: "text",
    size: bytes,
    align: 1,
    signature: `text(${bytes})`,
    overflow,
    accessors(memory: FieldMemory, offset: number, _index: number, where: string): Accessors<string> {
      const { u8 } = memory.views;
      return {
        get(this: Cursor): string {
          return decode(u8, this.item + offset, bytes);
        },
        set(this: Cursor, value: string): void {
          const why = refuses(value);
          if (why !== null) throw valueError(memory, where, why);
          encode(u8, this.item + offset, bytes, value);
        },
        refuses,
        inner: null,
      };
    },
  });
}

const HAS_NUL = -1;
const HAS_HALF_PAIR = -2;

/** @returns bytes in UTF-8; HAS_NUL or HAS_HALF_PAIR. */
function encodedLength(value: string): number {
  let length = 0;
  for (let n = 0; n < value.length; n++) {
    const code = value.codePointAt(n) as number;
    if (code === 0) return HAS_NUL;
    if (code >= 0xd800 && code <= 0xdfff) return HAS_HALF_PAIR;
    if (code > 0xffff) n++;
    length += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return length;
}

/** Stores as many whole characters as fit, and zeroes the rest. */
function encode(u8: Uint8Array, start: number, bytes: number, value: string): void {
  let at = start;
  const end = start + bytes;
  for (let n = 0; n < value.length; n++) {
    const code = value.codePointAt(n) as number;
    if (code < 0x80) {
      if (at >= end) break;
      u8[at++] = code;
      continue;
    }
    const more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    if (at + more >= end) break;
    u8[at++] = (0xff00 >> (more + 1)) | (code >> (6 * more));
    for (let shift = 6 * (more - 1); shift >= 0; shift -= 6) u8[at++] = 0x80 | ((code >> shift) & 0x3f);
    if (more === 3) n++;
  }
  u8.fill(0, at, end);
}

/** A text that begins with U+FEFF keeps it. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function decode(u8: Uint8Array, start: number, bytes: number): string {
  let end = start;
  const most = start + bytes;
  let high = 0;
  while (end < most && u8[end] !== 0) high |= u8[end++];
  if (high >= 0x80) return decoder.decode(u8.slice(start, end) as Uint8Array<ArrayBuffer>);
  let value = "";
  for (let at = start; at < end; at++) value += String.fromCharCode(u8[at]);
  return value;
}
