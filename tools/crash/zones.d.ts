export const MAGIC: number;
export const HOOK_POINTS: readonly string[];
export function zoneDefinitions(tree: object, violations: Int32Array, point: (name: string) => void): unknown[];
