// JavaScript's values as the variant `value` of the WIT, and back: exactly, or with an error.

import { invalid } from "./errors.js";

const MIN = -(2n ** 63n);
const MAX = 2n ** 63n - 1n;

// Returns the value of an attribute for the session manager. `name` is for errors.
export function encode(name, value) {
  switch (typeof value) {
    case "boolean":
      return { tag: "boolean", val: value };
    case "bigint":
      // JSON has integers of any size; `add` takes only those of 64 bits.
      if (value < MIN || value > MAX) return { tag: "json", val: `${value}` };
      return { tag: "integer", val: value };
    case "number":
      return encodeNumber(name, value);
    case "string":
      return { tag: "text", val: text(name, value) };
  }
  if (value instanceof Uint8Array) return { tag: "bytes", val: value.slice() };
  return { tag: "json", val: toJson(name, value) };
}

// Returns the JavaScript value of an attribute.
export function decode(name, { tag, val }) {
  switch (tag) {
    case "integer":
      return fromInteger(val);
    case "bytes":
      // The array of the bindings is of another global environment.
      return new Uint8Array(val);
    case "json":
      return fromJson(name, val);
    default:
      return val;
  }
}

// Returns a 64-bit integer as a number if a number has its exact value.
export function fromInteger(integer) {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

// Returns the string, which has to be Unicode text: JavaScript would replace a lone surrogate.
export function text(name, value) {
  if (typeof value !== "string") invalid(`${name} is no string`);
  if (!value.isWellFormed()) invalid(`${name} has a lone surrogate, which is no Unicode text`);
  return value;
}

function encodeNumber(name, value) {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return { tag: "integer", val: BigInt(value) };
  }
  return { tag: "number", val: finite(name, value) };
}

function finite(name, value) {
  if (!Number.isFinite(value)) invalid(`${name} is ${value}, and JSON has no such number`);
  return value;
}

function toJson(name, value) {
  check(name, value, []);
  // The value of the property itself, in place of what a `toJSON` makes of it.
  return JSON.stringify(value, function (key) {
    const part = this[key];
    if (typeof part === "bigint") return JSON.rawJSON(part);
    if (typeof part === "number") return exactNumber(part);
    return part;
  });
}

// Returns the number as the JSON text that is read as this number again. `JSON.stringify` writes
// -0 as 0, and large numbers as integers, which are read as BigInt.
function exactNumber(number) {
  if (Object.is(number, -0)) return JSON.rawJSON("-0");
  const isLarge = Number.isInteger(number) && !Number.isSafeInteger(number);
  return isLarge ? JSON.rawJSON(number.toExponential()) : number;
}

// Refuses what `JSON.stringify` would leave out or change. `path` names the part in errors, and
// `parents` are the objects around it.
function check(path, value, parents) {
  switch (typeof value) {
    case "boolean":
    case "bigint":
      return;
    case "number":
      return void finite(path, value);
    case "string":
      return void text(path, value);
    case "object":
      if (value !== null) checkObject(path, value, parents);
      return;
    default:
      invalid(`${path} is ${typeof value}, which cannot be stored: leave it out, or use null`);
  }
}

function checkObject(path, value, parents) {
  if (parents.includes(value)) invalid(`${path} contains itself`);
  const isArray = Array.isArray(value);
  const prototype = Object.getPrototypeOf(value);
  const plain = isArray ? Array.prototype : Object.prototype;
  if (prototype !== plain && (isArray || prototype !== null)) {
    const name = value.constructor?.name ?? "an object of a class";
    invalid(`${path} is ${name}: store a plain object, an array, a string or a number instead`);
  }
  const keys = Reflect.ownKeys(value).filter((key) => !(isArray && key === "length"));
  if (isArray && keys.length !== value.length) {
    invalid(`${path} has holes or further properties, which JSON has not`);
  }
  const around = [...parents, value];
  for (const key of keys) checkProperty(path, value, key, around);
}

function checkProperty(path, value, key, around) {
  if (typeof key === "symbol") invalid(`${path} has a symbol as a key, which JSON has not`);
  const { enumerable } = Object.getOwnPropertyDescriptor(value, key);
  if (!enumerable) invalid(`${path} has the hidden property ${key}, which JSON has not`);
  text(`a key of ${path}`, key);
  check(Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, value[key], around);
}

const INTEGER = /^-?\d+$/;

// Reads JSON that any language may have written. An integer that no number has exactly becomes a
// BigInt.
function fromJson(name, json) {
  const revive = (key, value, { source }) => {
    text(`a key of ${name}`, key);
    if (typeof value === "string") return text(name, value);
    if (typeof value !== "number") return value;
    if (INTEGER.test(source) && !Number.isSafeInteger(value)) return BigInt(source);
    return finite(name, value);
  };
  try {
    return JSON.parse(json, revive);
  } catch (error) {
    if (error instanceof SyntaxError) invalid(`${name} holds malformed JSON`);
    throw error;
  }
}
