/** The shaders. World units come in, y downwards; colours come out
 * premultiplied: what has an alpha of 0 is light that is added, what has 1 covers what is behind it. */

/** Bodies are points: one vertex each, straight from the item (see bodies.ts for the fields). */
export const BODY_VERTEX = `#version 300 es
uniform vec2 world;
uniform float pixels; // pixels in a unit
in vec2 position;
in vec2 velocity;
in float life;
in float size;
in vec4 colour;
in float kind;
out vec3 tint;
out float fade;
flat out vec2 along;
flat out int what;

void main() {
  // What is free is not there.
  bool gone = size <= 0.0 || !(abs(position.x) < 1e5);
  what = int(kind + 0.5);
  fade = what == 4 ? clamp(life * 3.0, 0.0, 1.0) * 0.5 : clamp(life * 2.0, 0.0, 1.0);
  float spread = what == 1 ? 1.5 : what == 2 ? 2.4 : what == 3 ? 3.0 : 1.3;
  tint = colour.rgb * colour.a;
  float speed = length(velocity);
  along = speed > 1.0 ? velocity / speed : vec2(1.0, 0.0);
  vec2 clip = position / world * 2.0 - 1.0;
  gl_Position = gone ? vec4(2.0, 2.0, 2.0, 1.0) : vec4(clip.x, -clip.y, 0.0, 1.0);
  gl_PointSize = gone ? 0.0 : max(1.5, size * 2.0 * spread * pixels);
}`;

export const BODY_FRAGMENT = `#version 300 es
precision mediump float;
in vec3 tint;
in float fade;
flat in vec2 along;
flat in int what;
out vec4 light;

void main() {
  vec2 p = gl_PointCoord * 2.0 - 1.0;
  if (what == 3) p = vec2(dot(p, along), dot(p, vec2(-along.y, along.x)) * 4.0);
  float d = dot(p, p);
  if (d >= 1.0) discard;
  float glow = 1.0 - d;
  if (what == 2) {
    // An orb: white within, its colour around it, and a glow.
    float body = smoothstep(0.36, 0.3, d);
    float core = smoothstep(0.16, 0.08, d);
    light = vec4(mix(tint * glow * glow * 0.5, mix(tint, vec3(1.0), core), body), body);
  } else if (what == 3) {
    light = vec4(tint * glow * glow * 1.6, 0.0);
  } else {
    light = vec4(tint * 0.85, 0.35) * glow;
  }
  light *= fade;
}`;

/** The few large things: quads, one instance each. */
export const SHAPE_VERTEX = `#version 300 es
uniform vec2 world;
in vec2 corner;
in vec4 place; // x, y, radius, angle
in vec4 look;  // colour, and strength
in float shape;
out vec2 p;
flat out vec4 tint;
flat out vec2 heading;
flat out int what;

void main() {
  p = corner;
  tint = look;
  heading = vec2(cos(place.w), sin(place.w));
  what = int(shape + 0.5);
  vec2 clip = (place.xy + corner * place.z) / world * 2.0 - 1.0;
  gl_Position = vec4(clip.x, -clip.y, 0.0, 1.0);
}`;

export const SHAPE_FRAGMENT = `#version 300 es
precision mediump float;
in vec2 p;
flat in vec4 tint;
flat in vec2 heading;
flat in int what;
out vec4 light;

float ring(float d, float radius, float width) {
  return smoothstep(width, 0.0, abs(d - radius));
}

void main() {
  float d = length(p);
  if (d >= 1.0) discard;
  vec3 c = tint.rgb;
  float strength = tint.a;
  vec2 q = vec2(heading.x * p.x + heading.y * p.y, heading.x * p.y - heading.y * p.x);
  if (what == 0) {
    // A hive: a dark disc, petals that turn, a core, and a ring that is as long as its strength.
    float disc = smoothstep(0.95, 0.88, d);
    float petals = smoothstep(0.1, 0.0, d - 0.4 - 0.16 * cos(atan(q.y, q.x) * 5.0)) * smoothstep(0.2, 0.5, d);
    float core = smoothstep(0.24, 0.12, d);
    float left = step(fract(atan(p.x, -p.y) / 6.2831853), strength);
    vec3 inside = mix(c * (0.1 + petals), vec3(1.0), core);
    inside = mix(inside, mix(c * 0.25, vec3(1.0), left), smoothstep(0.09, 0.05, abs(d - 0.78)));
    light = vec4(inside * disc, disc);
  } else if (what == 1) {
    // A gem.
    float edge = abs(p.x) * 1.5 + abs(p.y);
    float body = smoothstep(0.72, 0.62, edge);
    light = vec4(mix(c, vec3(1.0), smoothstep(0.4, 0.1, edge)) * body + c * pow(1.0 - d, 2.0) * 0.5, body);
  } else if (what == 2) {
    // The ship: an arrow that points upwards.
    float edge = max(abs(q.x) - (q.y + 0.85) * 0.4, q.y - 0.3 - 0.6 * abs(q.x));
    float hull = smoothstep(0.02, -0.04, edge);
    vec3 paint = mix(vec3(0.35, 0.5, 0.75), vec3(0.95, 1.0, 1.0), smoothstep(-0.02, -0.16, edge));
    light = vec4(paint * hull + c * smoothstep(0.25, 0.0, edge) * (1.0 - hull) * 0.7, hull);
  } else if (what == 3) {
    light = vec4(c * (ring(d, 0.95, 0.05) + ring(d, 0.86, 0.14) * 0.4) * strength, 0.0);
  } else {
    // The shield.
    light = vec4(c * (ring(d, 0.9, 0.08) * 0.8 + smoothstep(0.3, 0.9, d) * 0.15) * strength, 0.0);
  }
}`;
