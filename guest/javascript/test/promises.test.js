// Runs what needs no host: node --test

import { test } from "node:test";
import * as promises from "./promises.js";

const lacksJson = typeof JSON.rawJSON !== "function" && "this Node has no JSON.rawJSON";

for (const [group, tests] of Object.entries(promises)) {
  for (const [name, check] of Object.entries(tests)) {
    test(`${group}: ${name}`, { skip: group === "json" && lacksJson }, check);
  }
}
