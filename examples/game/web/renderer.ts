/**
 * Draws the world with WebGL 2, by twgl.
 *
 * Bodies are not copied together for it: the slabs of their zones *are* the vertex buffer. Each frame they go to the GPU as they lie in
 * the shared memory, free items and all; a free item has size 0 and draws nothing. Meanwhile the workers go on: a body may be drawn
 * with the x of this frame and the y of the next, which nobody sees.
 */
import * as twgl from "twgl.js";
import { BODY_BYTES, Bullet, BULLETS, SPARKS } from "../sim/bodies.ts";
import { GEM_COLOUR, HUES, rgba } from "../sim/palette.ts";
import type { Stage } from "../sim/stage.ts";
import { WORKERS } from "../sim/world.ts";
import { BODY_FRAGMENT, BODY_VERTEX, SHAPE_FRAGMENT, SHAPE_VERTEX } from "./shaders.ts";

const STARS = 420;
/** Shapes there may be, and floats in each: place, look, shape. */
const SHAPES = 640;
const SHAPE_FLOATS = 9;
const HIVE = 0;
const GEM = 1;
const SHIP = 2;
const WAVE = 3;
const HALO = 4;

/** Bodies of one kind of memory: the buffer they are uploaded to, and how many there are at most. */
interface Batch {
  readonly buffer: WebGLBuffer;
  readonly vertices: twgl.VertexArrayInfo;
  readonly room: number;
}

export class Renderer {
  private readonly gl: WebGL2RenderingContext;
  private readonly bodies: twgl.ProgramInfo;
  private readonly shapes: twgl.ProgramInfo;
  private readonly batches: readonly Batch[];
  private readonly stars: Batch;
  private readonly quads: twgl.VertexArrayInfo;
  private readonly instances: WebGLBuffer;
  private readonly shape = new Float32Array(SHAPES * SHAPE_FLOATS);
  private shapeCount = 0;
  private tilt = 0;
  private lastX = 0;

  constructor(canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, powerPreference: "high-performance" });
    if (gl === null) throw new Error("this browser has no WebGL 2");
    this.gl = gl;
    this.bodies = twgl.createProgramInfo(gl, [BODY_VERTEX, BODY_FRAGMENT]);
    this.shapes = twgl.createProgramInfo(gl, [SHAPE_VERTEX, SHAPE_FRAGMENT]);
    // Two zones, or what two workers show of their objects.
    this.batches = [0, 1].map(() => this.makeBatch(BULLETS + SPARKS));
    this.stars = this.makeStars();
    const instances = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, instances);
    gl.bufferData(gl.ARRAY_BUFFER, this.shape.byteLength, gl.DYNAMIC_DRAW);
    this.instances = instances;
    const stride = SHAPE_FLOATS * 4;
    this.quads = twgl.createVertexArrayInfo(
      gl,
      this.shapes,
      twgl.createBufferInfoFromArrays(gl, {
        corner: { numComponents: 2, data: [-1, -1, 1, -1, -1, 1, 1, 1] },
        place: { numComponents: 4, buffer: instances, stride, offset: 0, divisor: 1 },
        look: { numComponents: 4, buffer: instances, stride, offset: 16, divisor: 1 },
        shape: { numComponents: 1, buffer: instances, stride, offset: 32, divisor: 1 },
      }),
    );
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.clearColor(0.012, 0.015, 0.045, 1);
  }

  draw(stage: Stage, seconds: number): void {
    const { gl, bodies } = this;
    const { world } = stage;
    const ratio = Math.min(1.5, devicePixelRatio);
    twgl.resizeCanvasToDisplaySize(gl.canvas as HTMLCanvasElement, ratio);
    gl.viewport(0, 0, gl.canvas.width, gl.canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const extent = [world.width, world.height];
    gl.useProgram(bodies.program);
    twgl.setUniforms(bodies, { world: [1, 1], pixels: ratio });
    this.drawBatch(this.stars, STARS);
    twgl.setUniforms(bodies, { world: extent, pixels: gl.canvas.width / world.width });
    if (stage.material === "zalloc") this.drawZones(stage);
    else this.drawObjects(stage);
    gl.useProgram(this.shapes.program);
    twgl.setUniforms(this.shapes, { world: extent });
    this.drawShapes(stage, seconds);
  }

  /** Straight from the zones. */
  private drawZones({ uma, ranges }: Stage): void {
    const { u8 } = uma.views;
    for (const [n, { first, count }] of ranges.entries()) {
      const batch = this.batches[n] as Batch;
      this.upload(batch, u8, first, count);
      this.drawBatch(batch, count);
    }
  }

  /** What the workers have copied out of their objects. */
  private drawObjects({ shown, world }: Stage): void {
    for (let n = 0; n < WORKERS; n++) {
      const batch = this.batches[n] as Batch;
      const count = Math.min(batch.room, world.live.at(n));
      if (count === 0) continue;
      this.upload(batch, new Uint8Array(shown[n] as SharedArrayBuffer), 0, count);
      this.drawBatch(batch, count);
    }
  }

  private upload({ buffer }: Batch, bytes: Uint8Array, first: number, count: number): void {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, bytes, first, count * BODY_BYTES);
  }

  private drawBatch({ vertices }: Batch, count: number): void {
    twgl.setBuffersAndAttributes(this.gl, this.bodies, vertices);
    twgl.drawBufferInfo(this.gl, vertices, this.gl.POINTS, count);
  }

  private makeBatch(room: number): Batch {
    const { gl } = this;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, room * BODY_BYTES, gl.STREAM_DRAW);
    // The struct's layout is the vertex format.
    const { offsets } = Bullet.type;
    const stride = BODY_BYTES;
    const vertices = twgl.createVertexArrayInfo(
      gl,
      this.bodies,
      twgl.createBufferInfoFromArrays(gl, {
        position: { numComponents: 2, type: gl.FLOAT, buffer, stride, offset: offsets.x },
        velocity: { numComponents: 2, type: gl.FLOAT, buffer, stride, offset: offsets.vx },
        life: { numComponents: 1, type: gl.FLOAT, buffer, stride, offset: offsets.life },
        size: { numComponents: 1, type: gl.FLOAT, buffer, stride, offset: offsets.size },
        colour: { numComponents: 4, type: gl.UNSIGNED_BYTE, normalize: true, buffer, stride, offset: offsets.colour },
        kind: { numComponents: 1, type: gl.UNSIGNED_BYTE, normalize: false, buffer, stride, offset: offsets.kind },
      }),
    );
    return { buffer, vertices, room };
  }

  private makeStars(): Batch {
    const stars = this.makeBatch(STARS);
    const bytes = new ArrayBuffer(STARS * BODY_BYTES);
    const { offsets } = Bullet.type;
    const view = new DataView(bytes);
    for (let n = 0; n < STARS; n++) {
      const star = n * BODY_BYTES;
      const brightness = Math.random() ** 3;
      view.setFloat32(star + offsets.x, Math.random(), true);
      view.setFloat32(star + offsets.y, Math.random(), true);
      view.setFloat32(star + offsets.life, 1, true);
      view.setFloat32(star + offsets.size, 0.5 + brightness * 0.8, true);
      view.setInt32(star + offsets.colour, rgba(0.55 + 0.2 * Math.random(), 0.6, 0.3 + 0.5 * brightness, 0.8), true);
      view.setUint8(star + offsets.kind, 1);
    }
    this.upload(stars, new Uint8Array(bytes), 0, STARS);
    return stars;
  }

  // --- shapes ---

  private add(what: number, x: number, y: number, radius: number, angle: number, colour: number, extra: number): void {
    if (this.shapeCount === SHAPES) return;
    const { shape } = this;
    const at = this.shapeCount++ * SHAPE_FLOATS;
    shape[at] = x;
    shape[at + 1] = y;
    shape[at + 2] = radius;
    shape[at + 3] = angle;
    shape[at + 4] = (colour & 0xff) / 255;
    shape[at + 5] = ((colour >>> 8) & 0xff) / 255;
    shape[at + 6] = ((colour >>> 16) & 0xff) / 255;
    shape[at + 7] = extra;
    shape[at + 8] = what;
  }

  private drawShapes(stage: Stage, seconds: number): void {
    const { gl, quads, instances, shape } = this;
    const { world } = stage;
    this.shapeCount = 0;
    for (const hive of stage.hives) {
      const strength = Math.max(0, hive.strength / Math.max(1, hive.full));
      this.add(HIVE, hive.x, hive.y, 27, hive.turn, rgba(hive.hue / HUES, 0.95, 0.6), strength);
    }
    for (const gem of stage.gems) this.add(GEM, gem.x, gem.y, 9 + Math.sin(seconds * 6 + gem.item), 0, GEM_COLOUR, 1);
    if (world.novaRadius > 0) {
      this.add(WAVE, world.novaX, world.novaY, world.novaRadius, 0, rgba(0.12, 1, 0.65), Math.max(0, 1 - world.novaRadius / 700));
    }
    if (world.shipAlive === 1) {
      this.tilt += (Math.max(-0.6, Math.min(0.6, (world.shipX - this.lastX) * 0.05)) - this.tilt) * 0.2;
      this.lastX = world.shipX;
      this.add(SHIP, world.shipX, world.shipY, 22, this.tilt, rgba(0.53, 1, 0.6), 1);
      this.add(HALO, world.shipX, world.shipY, 34, 0, rgba((0.4 * stage.shield) / 100, 1, 0.6), 0.35 + (0.5 * stage.shield) / 100);
    }
    if (this.shapeCount === 0) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, instances);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, shape, 0, this.shapeCount * SHAPE_FLOATS);
    twgl.setBuffersAndAttributes(gl, this.shapes, quads);
    twgl.drawBufferInfo(gl, quads, gl.TRIANGLE_STRIP, 4, 0, this.shapeCount);
  }
}
