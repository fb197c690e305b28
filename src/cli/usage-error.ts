/** What the user got wrong: told in one line on stderr, exit code 2. Everything else that ends a command is exit code 1. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}
