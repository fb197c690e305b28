/**
 * Bodies in a zone. The worker keeps the addresses of its own; all the rest (position, colour, whose it is) lies in the shared
 * memory, where the main thread draws it and a successor finds it.
 */
import type { Body } from "./bodies.ts";
import type { Herd } from "./herd.ts";

/** The slot number that stands for owners who are dead. */
const DEAD = 127;

/** What is needed of a typed zone of bodies. */
export interface BodyZone {
  tryAlloc(): number;
  free(item: number): void;
  view(): Body & { at(item: number): Body };
  ownedBy(slot: number): Iterable<number>;
  adopt(item: number): boolean;
}

export class ZoneHerd implements Herd {
  count = 0;
  private readonly zone: BodyZone;
  private readonly items: Int32Array;
  private readonly view: Body & { at(item: number): Body };

  /** @param most - bodies at a time. */
  constructor(zone: BodyZone, most: number) {
    this.zone = zone;
    this.items = new Int32Array(most);
    this.view = zone.view();
  }

  add(): Body | null {
    const item = this.zone.tryAlloc();
    if (item === 0) return null;
    this.items[this.count++] = item;
    return this.view.at(item);
  }

  at(index: number): Body {
    return this.view.at(this.items[index] as number);
  }

  remove(index: number): void {
    this.zone.free(this.items[index] as number);
    this.items[index] = this.items[--this.count] as number;
  }

  adopt(): number {
    const before = this.count;
    for (const item of this.zone.ownedBy(DEAD)) if (this.zone.adopt(item)) this.items[this.count++] = item;
    return this.count - before;
  }

  /** Nothing to be done: it is in the shared memory as it is. */
  show(from: number): number {
    return from;
  }
}
