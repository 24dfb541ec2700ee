// Responses of the Fetch standard as those of wasi:http.

import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.10";

// Returns the headers of a response as the host takes them, or throws a TypeError that names a
// header which the host refuses.
export function fieldsOf(response) {
  const fields = new Fields();
  try {
    for (const [name, value] of response.headers) append(fields, name, value);
    return fields;
  } catch (error) {
    fields[Symbol.dispose]();
    throw error;
  }
}

// Adds the headers of the session: see `sessionHeaders`.
export function addHeaders(fields, { added, cacheControl }) {
  for (const [name, value] of added) append(fields, name, value);
  if (cacheControl !== undefined) fields.set("cache-control", [toBytes(cacheControl)]);
}

// Sends the head, and then the body unless the request was HEAD.
export async function send(response, fields, outparam, isHead) {
  const outgoing = new OutgoingResponse(fields);
  outgoing.setStatusCode(response.status);
  const body = outgoing.body();
  ResponseOutparam.set(outparam, { tag: "ok", val: outgoing });
  try {
    if (isHead) await response.body?.cancel();
    else if (response.body !== null) await write(response.body, body);
  } catch (error) {
    // The client sees that the body is not complete.
    body[Symbol.dispose]();
    throw error;
  }
  OutgoingBody.finish(body, undefined);
}

async function write(stream, body) {
  const output = body.write();
  try {
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      writeChunk(output, value);
    }
    output.blockingFlush();
  } finally {
    output[Symbol.dispose]();
  }
}

function writeChunk(output, bytes) {
  for (let start = 0; start < bytes.length; ) {
    const room = Number(output.checkWrite());
    if (room === 0) waitFor(output);
    else {
      output.write(bytes.subarray(start, start + room));
      start += room;
    }
  }
}

function waitFor(output) {
  const ready = output.subscribe();
  ready.block();
  ready[Symbol.dispose]();
}

function append(fields, name, value) {
  try {
    fields.append(name, toBytes(value));
  } catch (error) {
    throw new TypeError(`The response has the header ${name}, which the server refuses.`, { cause: error });
  }
}

// Returns the bytes of a header, whose string has one character for each byte.
function toBytes(header) {
  return Uint8Array.from(header, (character) => character.charCodeAt(0));
}
