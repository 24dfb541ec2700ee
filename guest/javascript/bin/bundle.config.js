// How an application is bundled.

import { fileURLToPath } from "node:url";

const source = (name) => fileURLToPath(new URL(`../src/${name}.js`, import.meta.url));

export default {
  // The host provides these interfaces.
  external: [/^session3:/],
  moduleTypes: { ".css": "text", ".html": "text", ".svg": "text", ".txt": "text" },
  // The application gets the library that belongs to the WIT which it is built with.
  resolve: {
    alias: { "session3-guest/hono": source("hono"), "session3-guest$": source("index") },
  },
};
