// The demo application in JavaScript.

import { SessionManager, defaultConfig } from "session3:sessions/manager@0.2.0";
import layout from "../web/src/layout.html";
import start from "../web/src/session.html";

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

const pages = {
  "/": show,
  "/keep": keep,
  "/increment": increment,
  "/incrementfail": incrementAndFail,
  "/logout": logOut,
  "/logoutfail": logOutAndFail,
};

function answer(request) {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return message(405, "Not allowed", "This page answers GET and HEAD.", [
      { name: "Allow", value: "GET, HEAD" },
    ]);
  }
  const response = page(request);
  return request.method === "HEAD" ? new Response(null, response) : response;
}

function page(request) {
  const url = new URL(request.url);
  if (!Object.hasOwn(pages, url.pathname)) {
    return message(404, "Not found", "There is no such page.");
  }
  try {
    return pages[url.pathname](open(request, url.protocol === "https:"));
  } catch (error) {
    return failed(error);
  }
}

function open(request, isSecure) {
  const headers = request.headers;
  return SessionManager.open(config(isSecure)).getSession(
    {
      // `get` joins several Cookie headers with ", ". No cookie contains these characters.
      cookies: headers.get("cookie")?.split(", ").map(bytes) ?? [],
      // The client's address, which session3 serve writes into this header.
      remoteAddress: headers.get("x-forwarded-for") ?? undefined,
      userAgent: headers.get("user-agent") ?? undefined,
    },
    // The response to HEAD is that of GET, and nothing else happens.
    request.method === "HEAD" ? "dry-run" : "merge",
  );
}

// Returns the default configuration. Without TLS, the cookie is not `Secure` and its name has
// no prefix, since browsers accept the default cookie only over TLS.
function config(isSecure) {
  const config = defaultConfig();
  if (!isSecure) {
    config.cookie.name = "session3";
    config.cookie.secure = false;
  }
  return config;
}

function show(session) {
  const counter = session.get("counter")?.val ?? 0;
  const body = start
    .replace("{id}", session.id() ?? "None")
    .replace("{counter}", counter)
    .replace("{more}", "");
  return html(200, "Session3", body, session.commit());
}

function keep(session) {
  session.set("keep", { tag: "boolean", val: true });
  return toStart(session.commit());
}

// Adds 1 to the counter of a stored session. A new session is not stored just for the counter.
function increment(session) {
  if (session.id() !== undefined) {
    session.add("counter", 1n);
  }
  return toStart(session.commit());
}

function incrementAndFail(session) {
  session.add("counter", 1n);
  return onPurpose();
}

function logOut(session) {
  session.expire();
  return toStart(session.commit());
}

function logOutAndFail(session) {
  session.expire();
  return onPurpose();
}

// Returns the response of a page that fails on purpose. The page does not commit, so the
// session stays as it was.
function onPurpose() {
  return message(
    500,
    "Failed on purpose",
    "This request changed the session and then failed, so nothing was saved.",
  );
}

const failures = {
  ended: [409, "Your session ended while this request was under way. Nothing was saved."],
  conflict: [
    409,
    "Another request changed your session at the same time. Nothing was saved; try again.",
  ],
  busy: [
    503,
    "There are too many requests for your session at once. Nothing was saved; try again.",
  ],
  "client-changed": [403, "Your session began in another browser or network. Log in again."],
  "read-only": [500, "This page may not change the session. Nothing was saved."],
  store: [503, "Your session is not available at the moment. Try again later."],
};

// Returns the response for an exception of the session manager. Its payload is the variant
// `session-error` of the WIT.
function failed(error) {
  const [status, text] = failures[error.payload?.tag] ?? [
    400,
    "Your session does not accept this request. Nothing was saved.",
  ];
  return message(status, "That did not work", text);
}

function toStart(headers) {
  return respond(302, null, [...headers, { name: "Location", value: "/" }]);
}

function message(status, title, text, headers = []) {
  const body = `<h1>${title}</h1>\n<p>${text}</p>\n<p><a href="./">Back</a></p>`;
  return html(status, title, body, headers);
}

function html(status, title, body, headers) {
  const text = layout.replace("{title}", title).replace("{body}", () => body);
  const type = { name: "Content-Type", value: "text/html; charset=utf-8" };
  return respond(status, text, [...headers, type]);
}

function respond(status, body, headers) {
  return new Response(body, { status, headers: headers.map(({ name, value }) => [name, value]) });
}

// Returns the bytes of a header. Its string has one character for each byte.
function bytes(header) {
  return Uint8Array.from(header, (character) => character.charCodeAt(0));
}
