// Serves a page that counts the visits of each session:
//
//     node server.js DIRECTORY [--port PORT]
//
// DIRECTORY contains the session manager, transpiled by `jco transpile`.

import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { load } from "./manager.js";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { port: { type: "string", default: "8080" } },
});
const [directory] = positionals;
const { SessionManager, defaultConfig } = await load(directory);

// Browsers accept the default cookie only over TLS, and this server uses plain HTTP.
const config = defaultConfig();
config.cookie.name = "session3";
config.cookie.secure = false;
const sessions = SessionManager.open(config);

function answer(request, response) {
  const cookies = (request.headers.cookie ?? "").split("; ").map((c) => Buffer.from(c, "latin1"));
  const session = sessions.getSession(
    { cookies, remoteAddress: request.socket.remoteAddress },
    // The response to HEAD is that of GET, and nothing else happens.
    request.method === "HEAD" ? "dry-run" : "merge",
  );
  try {
    if (request.url === "/logout") session.expire();
    else session.add("counter", 1n);
    const counter = session.get("counter")?.val ?? 0n;
    for (const { name, value } of session.commit()) response.appendHeader(name, value);
    response.setHeader("Content-Type", "text/plain; charset=utf-8");
    response.end(`Your session ID is ${session.id() ?? "None"}. Counter is at ${counter}.\n`);
  } finally {
    // This releases the session in the component now. Otherwise the garbage collector would
    // release it later.
    session[Symbol.dispose]();
  }
}

const server = createServer((request, response) => {
  try {
    answer(request, response);
  } catch (error) {
    // The payload is the error of the WIT, such as { tag: "conflict" }.
    console.error(error.payload ?? error);
    response.statusCode = 503;
    response.end("Nothing was saved.\n");
  }
});
server.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`Open http://127.0.0.1:${server.address().port}/ and press Ctrl-C to quit.`);
});
