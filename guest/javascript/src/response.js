// Responses of the Fetch standard as those of wasi:http.

import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.10";

const utf8 = new TextEncoder();

// Returns the headers of a response as the host takes them.
export function fieldsOf(response) {
  return Fields.fromList([...response.headers].map(([name, value]) => [name, toBytes(value)]));
}

// Adds the headers of the session: see `sessionHeaders`.
export function addHeaders(fields, { added, cacheControl }) {
  for (const [name, value] of added) fields.append(name, toBytes(value));
  if (cacheControl !== undefined) fields.set("cache-control", [toBytes(cacheControl)]);
}

// Sends the head, and then the body unless the request was HEAD.
export async function send(response, fields, outparam, isHead) {
  // The engine writes the length of a text into the headers, and the host compares it with the
  // body that it gets.
  if (isHead) fields.delete("content-length");
  const outgoing = new OutgoingResponse(fields);
  if (response.status !== 200) outgoing.setStatusCode(response.status);
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

// Returns the bytes of a header, whose string has one character for each byte. The encoder, which
// is not written in JavaScript, is faster by far, and right for ASCII.
function toBytes(header) {
  const bytes = utf8.encode(header);
  if (bytes.length === header.length) return bytes;
  return Uint8Array.from(header, (character) => character.charCodeAt(0));
}
