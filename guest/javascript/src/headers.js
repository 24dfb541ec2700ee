// The headers of a response that has a session: the rules of the record `header` of the WIT.

// Returns the headers to add to a response, as pairs, and the Cache-Control header that takes
// the place of its own, if there is one.
//
// `own` is the value of the response's Cache-Control headers or null, and `commits` are the
// headers that each commit of the request returned.
export function sessionHeaders(own, commits) {
  const added = [];
  let cacheControl = own;
  for (const headers of commits) {
    const setsCookie = headers.some(([name]) => is(name, "set-cookie"));
    for (const [name, value] of headers) {
      if (is(name, "cache-control")) cacheControl = stricter(cacheControl, value, setsCookie);
      else if (!added.some((pair) => is(pair[0], name) && pair[1] === value)) added.push([name, value]);
    }
  }
  return { added, cacheControl: cacheControl === own ? undefined : cacheControl };
}

function is(name, expected) {
  return name.toLowerCase() === expected.toLowerCase();
}

function stricter(own, session, setsCookie) {
  const directives = (own ?? "").toLowerCase().split(",").map((directive) => directive.trim());
  const has = (name) => directives.includes(name);
  if (has("no-store")) return own;
  return has("private") && !has("public") && !setsCookie ? own : session;
}
