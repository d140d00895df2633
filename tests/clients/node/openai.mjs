// The openai package of Node as its users write it: node openai.mjs BASE_URL PICTURE MASK
import fs from "node:fs";
import OpenAI from "openai";
import { report } from "./report.mjs";

const [baseURL, picture, mask] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "local", maxRetries: 0 });
const small = { size: "256x256", quality: "low" };

async function watched(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

await report({
  generate: () => client.images.generate({ model: "gpt-image-1", prompt: "a cat", ...small }),
  url: () => client.images.generate({ model: "flux", prompt: "a cat", response_format: "url", ...small }),
  unset: () => client.images.generate({ model: "flux", prompt: "a cat", n: undefined, response_format: null, ...small }),
  stream: async () => watched(await client.images.generate({ model: "gpt-image-1", prompt: "a cat", stream: true, partial_images: 2, size: "256x256" })),
  edit: () => client.images.edit({ model: "gpt-image-1", prompt: "a dog", image: fs.createReadStream(picture), n: 1, ...small }),
  editList: () => client.images.edit({ model: "gpt-image-1", prompt: "a dog", image: [fs.createReadStream(picture), fs.createReadStream(picture)], ...small }),
  editMask: () => client.images.edit({ model: "gpt-image-1", prompt: "a dog", image: fs.createReadStream(picture), mask: fs.createReadStream(mask), ...small }),
  models: async () => (await client.models.list()).data,
  wrong: () => client.images.generate({ model: "flux", prompt: "a cat", size: "banana" }),
  unknown: () => client.images.generate({ model: "fluxx", prompt: "a cat" }),
});
