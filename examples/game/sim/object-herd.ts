/**
 * The same bodies as plain objects, made with a literal and left to the garbage collector: what the page's switch shows. Objects
 * cannot be shared, so each frame their fields are copied into a buffer that the main thread draws, in the layout of the zones; and
 * when their worker dies they are gone.
 */
import { type Body, BODY_BYTES, Bullet } from "./bodies.ts";
import type { Herd } from "./herd.ts";

const { x, y, vx, vy, life, size, colour, kind } = Bullet.type.offsets;

export class ObjectHerd implements Herd {
  private readonly bodies: Body[] = [];
  private readonly most: number;
  private readonly f32: Float32Array;
  private readonly i32: Int32Array;
  private readonly u8: Uint8Array;

  /** @param most - bodies at a time; @param buffer - where they are shown. */
  constructor(most: number, buffer: SharedArrayBuffer) {
    this.most = most;
    this.f32 = new Float32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u8 = new Uint8Array(buffer);
  }

  get count(): number {
    return this.bodies.length;
  }

  add(): Body | null {
    if (this.bodies.length >= this.most) return null;
    const body: Body = { x: 0, y: 0, vx: 0, vy: 0, life: 0, size: 0, colour: 0, kind: 0, bend: 0 };
    this.bodies.push(body);
    return body;
  }

  at(index: number): Body {
    return this.bodies[index] as Body;
  }

  remove(index: number): void {
    const last = this.bodies.pop() as Body;
    if (index < this.bodies.length) this.bodies[index] = last;
  }

  /** What another worker had died with it. */
  adopt(): number {
    return 0;
  }

  show(from: number): number {
    const { f32, i32, u8 } = this;
    let word = (from * BODY_BYTES) >> 2;
    for (const body of this.bodies) {
      f32[word + (x >> 2)] = body.x;
      f32[word + (y >> 2)] = body.y;
      f32[word + (vx >> 2)] = body.vx;
      f32[word + (vy >> 2)] = body.vy;
      f32[word + (life >> 2)] = body.life;
      f32[word + (size >> 2)] = body.size;
      i32[word + (colour >> 2)] = body.colour;
      u8[(word << 2) + kind] = body.kind;
      word += BODY_BYTES >> 2;
    }
    return from + this.bodies.length;
  }
}
