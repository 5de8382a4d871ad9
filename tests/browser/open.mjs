// Opens pages in a headless browser and tells what each did.
//
// Reads JSON from standard input: a list of visits `{url, press, wait, read, dark}`. `wait` waits until each of the page's frames has
// set `window.tried`, `press` presses their buttons before; `read` is a list of expressions to evaluate in the page. Prints one line
// of JSON: for each visit what came of it. Arguments: the folder with node_modules and the folder of the unpacked browser, which is made
// on first use.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import zlib from "node:zlib";

const [modules, home] = process.argv.slice(2);
const require = createRequire(path.join(modules, "package.json"));
const { chromium } = require("playwright-core");

// The package holds the program and the libraries it needs compressed. Its own unpacking knows only Lambda's folders.
function unpack() {
  const packed = path.join(modules, "node_modules/@sparticuz/chromium/bin");
  const inflate = (name) => zlib.brotliDecompressSync(fs.readFileSync(path.join(packed, name)));
  fs.mkdirSync(home, { recursive: true });
  for (const archive of ["al2023.tar.br", "fonts.tar.br"]) {
    const done = spawnSync("tar", ["-x", "-C", home], { input: inflate(archive) });
    if (done.status !== 0) throw new Error(`cannot unpack ${archive}: ${done.stderr}`);
  }
  // The package's own configuration of fonts names folders of Lambda's; a browser without fonts shows no text, and crashes.
  const [fonts, cache] = ["fonts", "fonts-cache"].map((folder) => path.join(home, folder));
  fs.writeFileSync(
    path.join(home, "fonts.conf"),
    `<?xml version="1.0"?>\n<fontconfig><dir>${fonts}</dir><cachedir>${cache}</cachedir></fontconfig>\n`,
  );
  fs.writeFileSync(path.join(home, "chromium.part"), inflate("chromium.br"), { mode: 0o755 });
  fs.renameSync(path.join(home, "chromium.part"), path.join(home, "chromium"));
}

if (!fs.existsSync(path.join(home, "chromium"))) unpack();
const libraries = [path.join(home, "lib"), path.join(home, "al2023/lib")].filter((folder) => fs.existsSync(folder));
const browser = await chromium.launch({
  executablePath: path.join(home, "chromium"),
  // Root has no sandbox of Chromium's own; the sandbox of frames, which is what is tested, is another matter.
  chromiumSandbox: false,
  args: ["--no-zygote", "--disable-gpu"],
  env: { ...process.env, LD_LIBRARY_PATH: libraries.join(":"), FONTCONFIG_PATH: home },
});

// A frame that tries to go elsewhere ends at a page of the browser that says so. (Playwright's own waiting needs frames that are drawn.)
async function tried(frame) {
  const deadline = Date.now() + 120000;
  while (!frame.url().startsWith("chrome-error:") && !(await frame.evaluate("window.tried === true").catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`what runs in ${frame.url().slice(0, 100)} does not end`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function visit({ url, press, wait, read, dark }) {
  const context = await browser.newContext({ colorScheme: dark ? "dark" : "light" });
  // Machines that test may be busy with other things.
  context.setDefaultTimeout(120000);
  const page = await context.newPage();
  const seen = { popups: 0, dialogs: 0, downloads: 0, left: [], refused: [], values: [], frames: [] };
  context.on("page", (other) => { if (other !== page) seen.popups += 1; });
  page.on("dialog", (dialog) => { seen.dialogs += 1; dialog.dismiss().catch(() => {}); });
  page.on("download", () => { seen.downloads += 1; });
  page.on("framenavigated", (frame) => { if (frame === page.mainFrame() && frame.url().split("#")[0] !== url) seen.left.push(frame.url()); });
  page.on("console", (message) => { if (message.type() === "error") seen.refused.push(message.text().slice(0, 300)); });
  await page.goto(url, { waitUntil: "load" });
  if (wait) {
    for (const frame of page.mainFrame().childFrames()) {
      if (press) await frame.locator("button").press("Enter");
      await tried(frame);
    }
  }
  // Half a second without requests; a page that never rests has had its chance after a while.
  await page.waitForLoadState("networkidle", { timeout: 5000 }).catch(() => {});
  seen.title = await page.title();
  for (const expression of read ?? []) seen.values.push(await page.evaluate(expression));
  for (const frame of page.mainFrame().childFrames()) {
    // A frame that went elsewhere has nothing to say.
    seen.frames.push(await frame.evaluate("document.body ? document.body.innerText.slice(0, 500) : ''").catch((error) => String(error)));
  }
  await context.close();
  return seen;
}

const input = fs.readFileSync(0, "utf8");
const answers = [];
for (const asked of JSON.parse(input)) answers.push(await visit(asked));
await browser.close();
process.stdout.write(JSON.stringify(answers) + "\n");
