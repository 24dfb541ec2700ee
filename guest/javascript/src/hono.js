// The middleware for Hono.

import { session } from "./serve.js";

// Returns the middleware that gives each request its session as `c.var.session`.
export function sessions() {
  return async (c, next) => {
    const own = session(c.req.raw);
    c.set("session", own);
    await next();
    if (c.error !== undefined || c.res.status >= 500) own.forgetChanges();
    else own.commit();
  };
}
