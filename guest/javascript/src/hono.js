// The middleware for Hono.

import { session } from "./serve.js";

function commit(own, c) {
  try {
    own.commit();
  } catch (error) {
    // The response of `app.onError` would inherit the headers of the one that is given up.
    c.res = undefined;
    throw error;
  }
}

// Returns the middleware that gives each request its session as `c.var.session`.
export function sessions() {
  return async (c, next) => {
    const own = session(c.req.raw);
    c.set("session", own);
    await next();
    if (c.error !== undefined || c.res.status >= 500) own.forgetChanges();
    else commit(own, c);
  };
}
