/**
 * Finding and starting Chromium for the tests that need a real browser.
 *
 * Nothing is downloaded: playwright-core drives the Chromium that is there. Where there is none the tests are skipped, with a line
 * that says what was looked for. WebGL is drawn by software (SwiftShader), so a machine without a GPU will do.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, type Page, chromium } from "playwright-core";

/** Names under which systems install it. */
const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"] as const;

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
] as const;

function findChromium(): string | null {
  const given = process.env["CHROMIUM"];
  if (given !== undefined && given !== "") return given;
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const found = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => existsSync(file));
  return found ?? null;
}

/** Path of the browser: the variable CHROMIUM, or the first found on the PATH; null = there is none. */
export const chromiumPath: string | null = findChromium();

/** Says why a file of tests is skipped, and answers whether it is: for `describe.skipIf`. */
export function noChromium(tests: string): boolean {
  if (chromiumPath === null) console.warn(`${tests}: skipped, for there is no Chromium on the PATH and none named by CHROMIUM`);
  return chromiumPath === null;
}

/** How long a browser or a page may take for anything, milliseconds: a busy machine without a GPU draws a frame a second. */
export const PATIENCE_MS = 150_000;

/** A page that is as patient with its own waits. */
export async function openPage(browser: Browser, viewport?: { readonly width: number; readonly height: number }): Promise<Page> {
  const page = await browser.newPage(viewport === undefined ? {} : { viewport });
  page.setDefaultTimeout(PATIENCE_MS);
  return page;
}

/** @param flags - beside those that every test needs. */
export function startChromium(flags: readonly string[] = []): Promise<Browser> {
  if (chromiumPath === null) throw new Error("there is no Chromium here");
  return chromium.launch({ executablePath: chromiumPath, args: [...FLAGS, ...flags], timeout: PATIENCE_MS });
}

/** What a page says that it should not: errors in the console, exceptions, failed requests. The list grows as they come. */
export function complaintsOf(page: Page): readonly string[] {
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("requestfailed", (request) => complaints.push(`request: ${request.url()} ${request.failure()?.errorText ?? ""}`));
  return complaints;
}
