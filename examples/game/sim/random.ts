/** Dice: the same throws from the same seed, so that the headless game is the same each time. */
export class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0 || 1;
  }

  /** @returns a whole number from 0 to 65535. */
  throw(): number {
    let state = this.state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.state = state;
    return (state >>> 8) & 0xffff;
  }
}
