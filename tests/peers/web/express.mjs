// The counter page with Express and express-session, as a peer in the benchmark:
//
//     node express.mjs PORT DIRECTORY          with session-file-store
//     node express.mjs PORT redis://HOST:PORT  with connect-redis

import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import createFileStore from "session-file-store";

const [port, place] = process.argv.slice(2);

async function openStore() {
  if (!place.startsWith("redis:")) {
    const FileStore = createFileStore(session);
    return new FileStore({ path: place, logFn: () => {} });
  }
  const client = createClient({ url: place });
  await client.connect();
  return new RedisStore({ client });
}

const application = express();
application.use(
  session({
    store: await openStore(),
    secret: "not secret",
    resave: false,
    saveUninitialized: false,
  }),
);
application.get("/", (request, response) => {
  response.send(
    "<title>Express</title>\n" +
      `<p>Your session ID is ${request.sessionID}.</p>\n` +
      `<p>Counter is at ${request.session.counter ?? 0}.</p>\n`,
  );
});
application.get("/keep", (request, response) => {
  request.session.counter = 0;
  response.redirect(303, "/");
});
application.get("/increment", (request, response) => {
  request.session.counter = (request.session.counter ?? 0) + 1;
  response.redirect(303, "/");
});
application.listen(Number(port), "127.0.0.1");
