// The error that everything in this package throws when the session manager refuses something.

const FAILURES = {
  invalid: [400, "the session does not accept this"],
  "client-changed": [403, "the session began in another browser or network"],
  ended: [409, "the session ended, or its user changed, while this request was under way"],
  conflict: [409, "another request changed the session first"],
  busy: [503, "too many requests for the session at once"],
  "read-only": [500, "this request may not change the session"],
  store: [503, "the store of the sessions failed"],
};

export class SessionError extends Error {
  constructor(code, detail) {
    const [status, text] = FAILURES[code];
    super(detail === undefined ? text : `${text}: ${detail}`);
    this.name = "SessionError";
    this.code = code;
    this.status = status;
  }

  // Returns the response that this error stands for. Hono calls this method, too. The text
  // lacks the details, which are for the log.
  getResponse() {
    const [, text] = FAILURES[this.code];
    return new Response(`${this.status}: ${text}\n`, {
      status: this.status,
      headers: { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" },
    });
  }
}

// Throws the error `invalid`, which blames a value of the application.
export function invalid(detail) {
  throw new SessionError("invalid", detail);
}

// Calls a function of the session manager, and throws its errors as `SessionError`. The payload
// of the exception is the variant `session-error` of the WIT.
export function call(host) {
  try {
    return host();
  } catch (error) {
    const code = error?.payload?.tag;
    if (!Object.hasOwn(FAILURES, code ?? "")) throw error;
    throw new SessionError(code, error.payload.val);
  }
}
