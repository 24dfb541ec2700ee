import type { MiddlewareHandler } from "hono";
import type { Session } from "./index.js";

declare module "hono" {
  interface ContextVariableMap {
    /** The session of the request, behind the middleware `sessions`. */
    session: Session;
  }
}

/**
 * Returns the middleware that gives each request its session as `c.var.session`. It saves the
 * session when the handlers have answered, so that `app.onError` gets what the commit throws. Use
 * it before any other middleware, and export `serve(app)` of `session3-guest`.
 *
 * The session stays as it was if a handler throws an exception, also a `HTTPException`, or answers
 * with a status of 500 or more.
 */
export function sessions(): MiddlewareHandler;
