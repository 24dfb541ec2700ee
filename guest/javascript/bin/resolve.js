// The hooks that `engine.js` registers: where node finds componentize-js.

let engine;

export function initialize(data) {
  engine = data.engine;
}

export function resolve(specifier, context, nextResolve) {
  return nextResolve(specifier === "@bytecodealliance/componentize-js" ? engine : specifier, context);
}
