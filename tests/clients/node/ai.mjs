// The AI SDK as its users write it, through both of its providers: node ai.mjs BASE_URL PICTURE MASK
import fs from "node:fs";
import { generateImage } from "ai";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { report } from "./report.mjs";

const [baseURL, picture, mask] = process.argv.slice(2);
const official = createOpenAI({ baseURL, apiKey: "local" });
const compatible = createOpenAICompatible({ name: "limner", baseURL, apiKey: "local" });
globalThis.AI_SDK_LOG_WARNINGS = false;

async function made(options) {
  const { images } = await generateImage({ size: "256x256", maxRetries: 0, ...options });
  return images.map(({ base64, mediaType }) => ({ base64, mediaType }));
}

const edited = { text: "a dog", images: [fs.readFileSync(picture)] };
await report({
  official: () => made({ model: official.image("gpt-image-1"), prompt: "a cat", providerOptions: { openai: { quality: "low" } } }),
  dallE: () => made({ model: official.image("dall-e-3"), prompt: "a cat" }),
  compatible: () => made({ model: compatible.imageModel("flux"), prompt: "a cat", n: 2, seed: 7 }),
  edit: () => made({ model: official.image("gpt-image-1"), prompt: edited }),
  editMask: () => made({ model: official.image("gpt-image-1"), prompt: { ...edited, mask: fs.readFileSync(mask) } }),
  compatibleEdit: () => made({ model: compatible.imageModel("flux"), prompt: edited }),
  unknown: () => made({ model: compatible.imageModel("fluxx"), prompt: "a cat" }),
});
