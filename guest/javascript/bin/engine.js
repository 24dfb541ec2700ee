// Gives jco, before which node loads this module, the componentize-js that this package depends
// on. jco 1.35 brings version 0.22, whose bindings take 50 µs for each call of the host, and those
// of version 0.23 take 3 µs.

import { register } from "node:module";

const engine = import.meta.resolve("@bytecodealliance/componentize-js");
register("./resolve.js", import.meta.url, { data: { engine } });
