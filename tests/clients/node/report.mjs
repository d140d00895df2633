// Runs deeds one after another and prints, as one JSON object, what each gave: {name: {gave}} or {name: {threw}}.
export async function report(deeds) {
  const found = {};
  for (const [name, deed] of Object.entries(deeds)) {
    try {
      found[name] = { gave: await deed() };
    } catch (error) {
      const { name: kind, message, status, statusCode, code, param, requestID } = error;
      found[name] = { threw: { class: error.constructor.name, name: kind, message, status: status ?? statusCode, code, param, requestID } };
    }
  }
  process.stdout.write(JSON.stringify(found));
}
