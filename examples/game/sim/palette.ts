/** Colours, as the bodies have them: 0xAABBGGRR as a signed integer, so that the bytes lie in the order in which WebGL reads them. */

/** Hues in the table; a hive's hue is an index into it. */
export const HUES = 64;

/** @param hue, saturation, lightness - 0 … 1. */
export function rgba(hue: number, saturation: number, lightness: number, alpha = 1): number {
  const chroma = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number): number => {
    const k = (n + hue * 12) % 12;
    return Math.round(255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return (Math.round(255 * alpha) << 24) | (channel(4) << 16) | (channel(8) << 8) | channel(0);
}

function table(saturation: number, lightness: number, alpha: number): Int32Array {
  return Int32Array.from({ length: HUES }, (_, n) => rgba(n / HUES, saturation, lightness, alpha));
}

export const MOTE_COLOURS = table(0.85, 0.55, 0.75);
export const ORB_COLOURS = table(0.95, 0.68, 1);
export const SPARK_COLOURS = table(1, 0.62, 0.9);
export const SHOT_COLOUR = rgba(0.5, 1, 0.8);
export const ENGINE_COLOUR = rgba(0.55, 1, 0.65);
export const GEM_COLOUR = rgba(0.14, 1, 0.7);

/** Hues of the hives, in the order in which they come: neighbours differ. */
export const HIVE_HUES = [0, 36, 52, 10, 28, 58, 44, 20] as const;
