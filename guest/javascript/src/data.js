// The attributes of a session as a plain object.

import { call, invalid } from "./errors.js";
import { decode, encode, text } from "./values.js";

// The attributes of one view of a session. `view()` returns the session of the session manager.
//
// An object that was read or stored is handed out again as the same object, so that it can be
// changed in place. `save` stores what was changed so.
export class Attributes {
  #view;
  // For each name: the object that was handed out, and the encoding that it had at that time.
  #known = new Map();

  constructor(view) {
    this.#view = view;
    this.data = new Proxy(Object.create(null), new Traps(this));
  }

  get(name) {
    const stored = this.#stored(name);
    const known = this.#known.get(name);
    // After a commit, the session may have the value of a concurrent request.
    if (known !== undefined && (isEqual(known.stored, stored) || isChanged(name, known))) {
      return known.value;
    }
    if (stored === undefined) return undefined;
    const value = decode(name, stored);
    this.#remember(name, value, stored);
    return value;
  }

  set(name, value) {
    const stored = encode(name, value);
    const view = this.#view();
    call(() => view.set(text("the name of an attribute", name), stored));
    this.#remember(name, value, stored);
  }

  delete(name) {
    this.#known.delete(name);
    if (!name.isWellFormed()) return;
    const view = this.#view();
    call(() => view.remove(name));
  }

  has(name) {
    return this.#stored(name) !== undefined;
  }

  names() {
    return this.#view().names();
  }

  // Stores the objects that were changed in place since they were read or stored.
  save() {
    for (const [name, known] of this.#known) {
      if (isChanged(name, known)) this.set(name, known.value);
    }
  }

  // Forgets the changes in place.
  forget() {
    this.#known.clear();
  }

  #stored(name) {
    return name.isWellFormed() ? this.#view().get(name) : undefined;
  }

  #remember(name, value, stored) {
    if (typeof value === "object" && value !== null) this.#known.set(name, { value, stored });
    else this.#known.delete(name);
  }
}

function isChanged(name, { value, stored }) {
  const now = encode(name, value);
  if (isEqual(now, stored)) return false;
  // Another language writes the same JSON with other spaces.
  return !isEqual(now, encode(name, decode(name, stored)));
}

function isEqual(one, other) {
  if (one?.tag !== other?.tag) return false;
  if (one?.tag !== "bytes") return one?.val === other?.val;
  return one.val.length === other.val.length && one.val.every((byte, at) => byte === other.val[at]);
}

// The operations on the object of the attributes. Each string names an attribute, also
// `__proto__`, `constructor` and `then`. Symbols name none.
class Traps {
  #attributes;

  constructor(attributes) {
    this.#attributes = attributes;
  }

  get(_, name) {
    return typeof name === "string" ? this.#attributes.get(name) : undefined;
  }

  set(_, name, value) {
    if (typeof name !== "string") invalid("the name of an attribute is a symbol");
    this.#attributes.set(name, value);
    return true;
  }

  deleteProperty(_, name) {
    if (typeof name === "string") this.#attributes.delete(name);
    return true;
  }

  has(_, name) {
    return typeof name === "string" && this.#attributes.has(name);
  }

  ownKeys() {
    return this.#attributes.names();
  }

  getOwnPropertyDescriptor(_, name) {
    if (!this.has(_, name)) return undefined;
    const value = this.#attributes.get(name);
    return { value, writable: true, enumerable: true, configurable: true };
  }

  defineProperty(_, name, descriptor) {
    const { value, writable, enumerable, configurable } = descriptor;
    if (!("value" in descriptor && writable && enumerable && configurable)) return false;
    return this.set(_, name, value);
  }

  setPrototypeOf(_, prototype) {
    return prototype === null;
  }

  preventExtensions() {
    return false;
  }
}
