// The handler of requests that an application exports.

import "./bindings.js";
import { SessionManager, defaultConfig } from "session3:sessions/manager@0.2.0";
import { SessionError } from "./errors.js";
import { sessionHeaders } from "./headers.js";
import { Incoming } from "./request.js";
import { addHeaders, fieldsOf, send } from "./response.js";
import { Session } from "./session.js";

// The errors that are no fault of the application. The server logs that a store has failed.
const ROUTINE = ["client-changed", "ended", "conflict", "busy", "store"];

const sessions = new WeakMap();

// Returns the session of a request that came in through `serve`.
export function session(request) {
  const found = sessions.get(request);
  if (found === undefined) {
    throw new TypeError("This request has no session: pass the request that serve gave to the application.");
  }
  return found;
}

// Returns the `incomingHandler` that an application exports. See index.d.ts.
export function serve(application, options = {}) {
  const respond =
    typeof application === "function" ? application : (request) => application.fetch(request);
  return {
    async handle(resource, outparam) {
      const incoming = new Incoming(resource);
      try {
        await exchange(incoming, outparam, respond, options);
      } catch (error) {
        // The head of the response is sent, and its body ends here.
        console.error(error);
      } finally {
        incoming.close();
      }
    },
  };
}

async function exchange(incoming, outparam, respond, options) {
  const request = requestOf(incoming);
  const { response, fields } =
    request === undefined ? failure(400) : await answer(incoming, request, respond, options);
  await send(response, fields, outparam, request?.method === "HEAD");
}

function requestOf(incoming) {
  try {
    return incoming.request();
  } catch (error) {
    console.error(error);
    return undefined;
  }
}

// Returns the response of the application, with the headers of its session. The session is saved
// if the application succeeds.
async function answer(incoming, request, respond, options) {
  const manager = new Manager(incoming, request, options);
  const own = new Session(() => manager.open());
  const control = Session.control(own);
  sessions.set(request, own);
  let fields;
  try {
    const response = checked(await respond(request, own));
    fields = fieldsOf(response);
    if (response.status < 500) control.finish();
    else own.forgetChanges();
    return complete(response, fields, control);
  } catch (error) {
    fields?.[Symbol.dispose]();
    own.forgetChanges();
    control.close();
    const response = await errorResponse(error, request, options);
    return complete(response, fieldsOf(response), control);
  } finally {
    control.close();
    manager.close();
  }
}

// The session manager of a request.
class Manager {
  #manager;

  constructor(incoming, request, options) {
    this.open = () => {
      const config = defaultConfig();
      this.#manager ??= SessionManager.open(options.config?.(config, request) ?? config);
      return this.#manager.getSession(incoming.client(), modeOf(request, options.mode));
    };
  }

  close() {
    this.#manager?.[Symbol.dispose]();
  }
}

// The response to HEAD is that of GET, and nothing else happens.
function modeOf(request, mode = "merge") {
  if (request.method === "HEAD") return "dry-run";
  return typeof mode === "function" ? mode(request) : mode;
}

function complete(response, fields, control) {
  const commits = control.commits();
  // A response that saved nothing has no headers of a commit, and may show the session.
  const hasFailed = response.status >= 500 || control.hasFailed();
  if (control.isOpen() && hasFailed) commits.push([["Cache-Control", "no-store"]]);
  addHeaders(fields, sessionHeaders(response.headers.get("cache-control"), commits));
  return { response, fields };
}

async function errorResponse(error, request, { onError }) {
  if (onError !== undefined) {
    try {
      return checked(await onError(error, request));
    } catch (second) {
      if (second !== error) console.error(second);
    }
  }
  const isOfSession = error instanceof SessionError;
  if (!(isOfSession && ROUTINE.includes(error.code))) console.error(error);
  return isOfSession ? error.getResponse() : plain(500);
}

function checked(response) {
  if (response instanceof Response) return response;
  throw new TypeError("The application returned no Response.");
}

function failure(status) {
  const response = plain(status);
  return { response, fields: fieldsOf(response) };
}

function plain(status) {
  const text = status === 400 ? "Bad Request" : "Internal Server Error";
  return new Response(`${status}: ${text}\n`, {
    status,
    headers: { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" },
  });
}
