// Drives one page of a headless Chromium for the tests: JSON lines in, JSON lines out.
//
// {id, call: [member, ...args]}   calls a method of Playwright's page and answers with what it returns, where that is plain
//
// Started with the path of the Chromium that unpack.mjs has left; answers {id: 0} once the page is there.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const executablePath = process.argv[2];
const say = (reply) => process.stdout.write(`${JSON.stringify(reply)}\n`);

// The sandbox needs a user namespace, which CI's containers do not have; only our own pages are shown.
const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
const browser = await chromium.launch({ executablePath, args, timeout: 60_000 });
const page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
page.setDefaultTimeout(20_000);
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
say({ id: 0, result: browser.version() });

for await (const line of createInterface({ input: process.stdin })) {
  const { id, call } = JSON.parse(line);
  try {
    const [member, ...given] = call;
    const value = member === "errors" ? errors : await page[member](...given);
    say({ id, result: ["string", "number", "boolean"].includes(typeof value) || Array.isArray(value) ? value : null });
  } catch (error) {
    say({ id, failed: String(error) });
  }
}
await browser.close();
