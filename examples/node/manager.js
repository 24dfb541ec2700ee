// Loads the session manager, which `jco transpile` wrote to a directory as JavaScript.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

import * as store from "./store.js";

const clock = {
  now() {
    const milliseconds = Date.now();
    return {
      seconds: BigInt(Math.floor(milliseconds / 1000)),
      nanoseconds: (milliseconds % 1000) * 1_000_000,
    };
  },
};
const random = { getRandomU64: () => randomBytes(8).readBigUInt64LE() };
const events = { report: (event) => console.error("session3:", event.tag, event.val) };

/** Returns the functions and classes of the interface `session3:sessions/manager`. */
export async function load(directory) {
  const { instantiate } = await import(pathToFileURL(`${directory}/manager.js`));
  const compile = async (name) => WebAssembly.compile(await readFile(`${directory}/${name}`));
  const component = await instantiate(compile, {
    "session3:sessions/store": store,
    "session3:sessions/events": events,
    "wasi:clocks/wall-clock": clock,
    "wasi:random/random": random,
  });
  return component.manager;
}
