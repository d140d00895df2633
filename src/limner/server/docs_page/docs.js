"use strict";
// Draws /openapi.json: each operation with its fields, its answers and a form to try it. Text is set as text, never as
// HTML, so nothing in a description or an answer can become part of the page.

function make(tag, text, ...children) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

// A paragraph in which `words` stand as code.
function prose(text) {
  return make("p", "", ...text.split("`").map((part, index) => index % 2 ? make("code", part) : document.createTextNode(part)));
}

function resolve(api, schema) {
  const name = schema && schema.$ref && schema.$ref.split("/").pop();
  return name ? api.components.schemas[name] : schema || {};
}

function kind(schema) {
  const named = [].concat(schema.type || (schema.anyOf || []).map((one) => one.type)).filter((one) => one && one !== "null");
  const choices = (schema.enum || []).filter((one) => one !== null);
  return choices.length ? choices.map((one) => JSON.stringify(one)).join(" | ") : named.join(" | ");
}

function table(rows) {
  const head = make("tr", "", make("th", "name"), make("th", "type"), make("th", "what it is"));
  return make("table", "", head, ...rows.map((row) => make("tr", "", ...row.map((cell, index) =>
    index ? make("td", cell) : make("td", "", make("code", cell))))));
}

function fields(schema) {
  const needed = schema.required || [];
  return Object.entries(schema.properties || {}).map(([name, field]) =>
    [name + (needed.includes(name) ? " (needed)" : ""), kind(field), field.description || ""]);
}

// The events of a stream as one answer: their pictures stand in `data`.
function events(text) {
  const data = text.split("\n").filter((line) => line.startsWith("data: ")).map((line) => JSON.parse(line.slice(6)));
  return { events: data.map((event) => event.type), data, output_format: (data[0] || {}).output_format };
}

function show(output, response, text) {
  let body;
  const streamed = (response.headers.get("content-type") || "").startsWith("text/event-stream");
  try { body = streamed ? events(text) : JSON.parse(text); } catch { body = text; }
  const shortened = JSON.stringify(body, (key, value) =>
    key === "b64_json" ? value.slice(0, 40) + "… (" + value.length + " characters)" : value, 2);
  output.replaceChildren(make("p", response.status + " · " + (response.headers.get("x-request-id") || "")), make("pre", shortened));
  for (const picture of (body && body.data) || []) {
    if (!picture.b64_json && !picture.url) continue;
    const image = make("img");
    image.alt = picture.revised_prompt || "the picture";
    image.src = picture.b64_json ? "data:image/" + body.output_format + ";base64," + picture.b64_json : new URL(picture.url).pathname;
    output.append(image);
  }
}

// The body with the chosen files in it, as data URLs.
async function filled(text, pictures) {
  if (!pictures || !pictures.files.length) return text;
  const images = await Promise.all([...pictures.files].map((file) => new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done({ image_url: reader.result });
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  })));
  return JSON.stringify({ ...JSON.parse(text), images });
}

function form(method, path, operation, bodySchema) {
  const inputs = (operation.parameters || []).filter((one) => one.in === "path").map((one) => {
    const input = make("input");
    input.name = one.name;
    return [one.name, input];
  });
  const body = bodySchema && make("textarea");
  if (body) {
    body.value = JSON.stringify((bodySchema.examples || [{ prompt: "a dog" }])[0], null, 2);
    body.setAttribute("aria-label", "request body");
  }
  const pictures = bodySchema && (bodySchema.properties || {}).images && make("input");
  if (pictures) Object.assign(pictures, { type: "file", multiple: true, accept: "image/png,image/jpeg,image/webp" });
  const output = make("div");
  const send = make("button", "Send");
  send.addEventListener("click", async () => {
    const headers = {};
    const key = document.getElementById("key").value.trim();
    if (key) headers.authorization = "Bearer " + key;
    if (body) headers["content-type"] = "application/json";
    let target = path;
    for (const [name, input] of inputs) target = target.replace("{" + name + "}", encodeURIComponent(input.value));
    send.disabled = true;
    output.replaceChildren(make("p", "Waiting for the answer."));
    try {
      const response = await fetch(target, { method, headers, body: body ? await filled(body.value, pictures) : undefined });
      const type = response.headers.get("content-type") || "";
      show(output, response, type.startsWith("image/") ? "a picture, " + type : await response.text());
    } catch (problem) {
      output.replaceChildren(make("p", "No answer: " + problem.message));
    }
    send.disabled = false;
  });
  return [...inputs.map(([name, input]) => make("label", name + " ", input)),
    ...(pictures ? [make("label", "pictures ", pictures)] : []), ...(body ? [body] : []), send, output];
}

function drawOperation(api, path, method, operation) {
  const details = make("details", "", make("summary", "", Object.assign(make("span", method.toUpperCase()), { className: "method" }),
    make("code", path), document.createTextNode(" " + (operation.summary || ""))));
  details.append(prose(operation.description || ""));
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  const bodySchema = content && resolve(api, content.schema);
  details.append(make("h3", "Try it"), ...form(method.toUpperCase(), path, operation, bodySchema));
  if (bodySchema) details.append(make("h3", "Body"), table(fields(bodySchema)));
  details.append(make("h3", "Answers"));
  for (const [status, answer] of Object.entries(operation.responses)) {
    const json = answer.content && answer.content["application/json"];
    if (!status.startsWith("2")) continue;
    details.append(make("p", status + " " + (answer.description || "")));
    if (json) details.append(table(fields(resolve(api, json.schema))));
  }
  const errors = Object.keys(operation.responses).filter((status) => status >= "400").join(", ");
  details.append(make("p", "Errors (" + errors + ") are {\"error\": {message, type, param, code}}."));
  details.open = operation.operationId === "createImage";
  return details;
}

async function draw() {
  const api = await (await fetch("/openapi.json")).json();
  document.getElementById("about").textContent = api.info.description + " Version " + api.info.version + ".";
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      document.getElementById("operations").append(drawOperation(api, path, method, operation));
    }
  }
}

draw().catch((problem) => { document.getElementById("about").textContent = "The description cannot be shown: " + problem.message; });
