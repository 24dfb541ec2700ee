// The demo application in JavaScript.

import { SessionError, serve } from "session3-guest";
import layout from "../../web/src/layout.html";
import start from "../../web/src/session.html";

export const incomingHandler = serve(answer, { config, onError: failed });

const pages = {
  "/": show,
  "/keep": keep,
  "/increment": increment,
  "/incrementfail": incrementAndFail,
  "/logout": logOut,
  "/logoutfail": logOutAndFail,
};

function answer(request, session) {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return message(405, "Not allowed", "This page answers GET and HEAD.", { Allow: "GET, HEAD" });
  }
  const { pathname } = new URL(request.url);
  if (!Object.hasOwn(pages, pathname)) {
    return message(404, "Not found", "There is no such page.");
  }
  return pages[pathname](session);
}

// Without TLS, the cookie is not `Secure` and its name has no prefix, since browsers accept the
// default cookie only over TLS.
function config(config, request) {
  if (!request.url.startsWith("https:")) {
    config.cookie.name = "session3";
    config.cookie.secure = false;
  }
}

function show(session) {
  const body = start
    .replace("{id}", session.id ?? "None")
    .replace("{counter}", session.data.counter ?? 0)
    .replace("{more}", "");
  return html(200, "Session3", body);
}

function keep(session) {
  session.data.keep = true;
  return toStart();
}

// Adds 1 to the counter of a stored session. A new session is not stored just for the counter.
function increment(session) {
  if (session.id !== null) session.add("counter");
  return toStart();
}

function incrementAndFail(session) {
  session.add("counter");
  throw new Error("on purpose");
}

function logOut(session) {
  session.expire();
  return toStart();
}

function logOutAndFail(session) {
  session.expire();
  throw new Error("on purpose");
}

// Returns the page for an exception. The session stays as it was.
function failed(error) {
  if (error instanceof SessionError) {
    return message(error.status, "That did not work", `Nothing was saved: ${error.message}.`);
  }
  return message(
    500,
    "Failed on purpose",
    "This request changed the session and then failed, so nothing was saved.",
  );
}

function toStart() {
  return new Response(null, { status: 302, headers: { Location: "/" } });
}

function message(status, title, text, headers) {
  const body = `<h1>${title}</h1>\n<p>${text}</p>\n<p><a href="./">Back</a></p>`;
  return html(status, title, body, headers);
}

function html(status, title, body, headers) {
  const text = layout.replace("{title}", title).replace("{body}", () => body);
  return new Response(text, {
    status,
    headers: { "Content-Type": "text/html; charset=utf-8", ...headers },
  });
}
