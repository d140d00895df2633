// Opens /docs in a browser, draws a picture with its form and edits one: node docs_page.mjs ORIGIN CHROMIUM PROFILE SCREENSHOT PICTURE
import { chromium } from "playwright-core";

const [origin, executablePath, profile, screenshot, picture] = process.argv.slice(2);
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launchPersistentContext(profile, { executablePath, args, headless: true, viewport: { width: 1000, height: 900 } });
const page = browser.pages()[0] ?? (await browser.newPage());
const elsewhere = [];
const problems = [];
page.on("request", (request) => { if (!request.url().startsWith(origin) && !request.url().startsWith("data:")) elsewhere.push(request.url()); });
page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });
page.on("pageerror", (error) => problems.push(String(error)));

await page.goto(`${origin}/docs`);
await page.waitForSelector("main details");
const operations = await page.locator("main details > summary").allTextContents();
await page.screenshot({ path: screenshot.replace(".png", "-top.png") });
const form = page.locator("details", { has: page.locator("summary code", { hasText: /^\/v1\/images\/generations$/ }) });
await form.locator("textarea").fill(JSON.stringify({ prompt: "a cat", size: "256x256", quality: "low" }));
await form.getByRole("button", { name: "Send" }).click();
const image = form.locator("img").first();
await image.waitFor({ timeout: 90_000 });
await page.waitForFunction((element) => element.complete, await image.elementHandle());
const drawn = await image.evaluate((element) => ({ width: element.naturalWidth, height: element.naturalHeight }));
await image.scrollIntoViewIfNeeded();
await page.screenshot({ path: screenshot });

await form.locator("textarea").fill(JSON.stringify({ prompt: "a cat", size: "banana" }));
await form.getByRole("button", { name: "Send" }).click();
await form.locator("pre", { hasText: "invalid_request_error" }).waitFor();

const edit = page.locator("details", { has: page.locator("summary code", { hasText: /^\/v1\/images\/edits$/ }) });
await edit.locator("summary").click();
await edit.locator("input[type=file]").setInputFiles(picture);
await edit.locator("textarea").fill(JSON.stringify({ prompt: "a dog", stream: true, partial_images: 1 }));
await edit.getByRole("button", { name: "Send" }).click();
await edit.locator("img").nth(1).waitFor({ timeout: 90_000 });
const streamed = await edit.locator("img").count();
await page.screenshot({ path: screenshot.replace(".png", "-edit.png") });
await browser.close();
process.stdout.write(JSON.stringify({ operations, drawn, streamed, elsewhere, problems }));
