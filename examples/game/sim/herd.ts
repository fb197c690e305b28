/** The bodies of one worker, whatever they are made of: all that the game knows of the difference between zalloc and objects. */
import type { Body } from "./bodies.ts";

export interface Herd {
  readonly count: number;
  /** A new body; all of its fields are to be set, size last. null = there is no more room. */
  add(): Body | null;
  /** The body at an index below `count`: good until the next call. */
  at(index: number): Body;
  /** Gives a body up; the last one takes its index. */
  remove(index: number): void;
  /** Takes over what dead workers have left. @returns how many bodies. */
  adopt(): number;
  /** Shows the bodies to the main thread, at the end of a frame. @param from - bodies shown before it. @returns those shown after it. */
  show(from: number): number;
}
