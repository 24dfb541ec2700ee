#!/usr/bin/env node
// Builds an application as a WebAssembly component, with jco.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HELP = `Builds a web application with sessions as a WebAssembly component

Usage: session3-guest build APPLICATION [-o FILE]

APPLICATION is a file in JavaScript or TypeScript that exports \`incomingHandler\`. Modules that
it imports become a part of the component, and imported files .html, .css, .svg and .txt
become strings.

  -o, --output FILE  write the component to this file; default APPLICATION with .wasm
  -h, --help         print this help
`;

const inPackage = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { output: { type: "string", short: "o" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help) return void process.stdout.write(HELP);
  const [command, application, ...more] = positionals;
  if (command !== "build" || application === undefined || more.length > 0) {
    fail("expected `build APPLICATION`; see session3-guest --help", 2);
  }
  if (!existsSync(application)) fail(`${application}: there is no such file`);
  const name = basename(application, extname(application));
  process.exitCode = build(application, values.output ?? `${name}.wasm`);
}

// Runs jco, and returns its exit status.
function build(application, output) {
  const jco = fileURLToPath(new URL("jco.js", import.meta.resolve("@bytecodealliance/jco")));
  const { status, error } = spawnSync(
    process.execPath,
    ["--import", import.meta.resolve("./engine.js"), jco, "componentize", resolve(application), "--bundle"]
      .concat(["--bundle-config", inPackage("bin/bundle.config.js")])
      .concat(["--wit", inPackage("wit"), "--world-name", "application-javascript", "--out", resolve(output)]),
    { stdio: "inherit" },
  );
  if (error) fail(`jco did not start: ${error.message}`);
  return status ?? 1;
}

function fail(message, status = 1) {
  console.error(`session3-guest: ${message}`);
  process.exit(status);
}

try {
  main();
} catch (error) {
  fail(error.message, error.code?.startsWith("ERR_PARSE_ARGS") ? 2 : 1);
}
