// What the parts that need no host promise. Node runs this, and so does a component, since its
// JavaScript engine is another one. Each function throws an error if its promise is broken.

import { Attributes } from "../src/data.js";
import { SessionError } from "../src/errors.js";
import { sessionHeaders } from "../src/headers.js";
import { Session } from "../src/session.js";
import { decode, encode } from "../src/values.js";

// The session of the session manager, as far as these tests need it.
class View {
  attributes = new Map();
  saved = 0;
  #user;

  get(name) {
    return this.attributes.get(name);
  }

  set(name, value) {
    this.saved += 1;
    this.attributes.set(name, value);
  }

  remove(name) {
    this.attributes.delete(name);
  }

  names() {
    return [...this.attributes.keys()];
  }

  user() {
    return this.#user;
  }

  setUser(user) {
    if (this.#user !== undefined && user !== this.#user) this.attributes.clear();
    this.#user = user;
  }

  expire() {
    this.attributes.clear();
  }

  commit() {
    return [{ name: "Vary", value: "Cookie" }];
  }

  forgetChanges() {}

  [Symbol.dispose]() {}
}

function attributes() {
  const view = new View();
  const all = new Attributes(() => view);
  return { view, all, data: all.data };
}

function opened() {
  const view = new View();
  return { view, session: new Session(() => view) };
}

function show(value) {
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return `"${value}"`;
  if (value instanceof Uint8Array) return `bytes ${[...value]}`;
  if (Array.isArray(value)) return `[${value.map(show)}]`;
  if (typeof value !== "object" || value === null) return String(value);
  return `{${Object.keys(value).map((key) => `${key}: ${show(value[key])}`)}}`;
}

function equal(actual, expected) {
  if (show(actual) !== show(expected)) throw new Error(`${show(actual)} is not ${show(expected)}`);
}

function refused(action, text, code = "invalid") {
  try {
    action();
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    equal(error.code, code);
    if (!error.message.includes(text)) throw new Error(`"${error.message}" lacks "${text}"`);
    return;
  }
  throw new Error(`${action} was not refused`);
}

function returns(value, tag, val) {
  const encoded = encode("name", value);
  equal(encoded.tag, tag);
  if (val !== undefined) equal(encoded.val, val);
  equal(decode("name", encoded), value);
}

export const values = {
  scalars_have_their_own_cases() {
    returns(true, "boolean", true);
    returns(7, "integer", 7n);
    returns(-(2 ** 53) + 1, "integer", -9007199254740991n);
    returns(0.5, "number", 0.5);
    returns(-0, "number", -0);
    returns(2 ** 53, "number", 2 ** 53);
    returns(1e300, "number", 1e300);
    returns("", "text", "");
    returns("\u{1f36a}", "text", "\u{1f36a}");
    returns(new Uint8Array([0, 255]), "bytes", new Uint8Array([0, 255]));
  },

  an_integer_that_no_number_has_is_a_bigint() {
    returns(2n ** 63n - 1n, "integer");
    returns(-(2n ** 63n), "integer");
    returns(2n ** 53n, "integer");
    equal(decode("name", encode("name", 5n)), 5);
  },

  what_has_no_exact_value_is_refused() {
    for (const value of [NaN, Infinity, -Infinity]) refused(() => encode("n", value), "n is");
    refused(() => encode("n", "\ud800"), "lone surrogate");
    refused(() => encode("n", undefined), "n is undefined");
    refused(() => encode("n", () => 1), "n is function");
    refused(() => encode("n", Symbol("s")), "n is symbol");
    refused(() => encode("n", new Date()), "n is Date");
    refused(() => encode("n", new Map()), "n is Map");
    refused(() => encode("n", new ArrayBuffer(1)), "n is ArrayBuffer");
    refused(() => encode("n", new Uint16Array(1)), "n is Uint16Array");
    refused(() => encode("n", new Number(1)), "n is Number");
    refused(() => encode("n", new (class Cart {})()), "n is Cart");
    refused(() => encode("n", new (class List extends Array {})()), "n is List");
  },

  what_json_would_leave_out_is_refused() {
    refused(() => encode("n", { a: [1, undefined] }), "n.a[1] is undefined");
    refused(() => encode("n", { a: undefined }), "n.a is undefined");
    refused(() => encode("n", { a: { b: NaN } }), "n.a.b is NaN");
    refused(() => encode("n", { a: "\udfff" }), "n.a has a lone surrogate");
    refused(() => encode("n", { "\udfff": 1 }), "a key of n");
    refused(() => encode("n", { toJSON: () => 1 }), "n.toJSON is function");
    refused(() => encode("n", { [Symbol("s")]: 1 }), "symbol");
    refused(() => encode("n", Object.defineProperty({}, "a", { value: 1 })), "hidden property a");
    refused(() => encode("n", Array(2)), "holes");
    refused(() => encode("n", Object.assign([1], { a: 1 })), "further properties");
    refused(() => encode("n", [new Uint8Array(1)]), "n[0] is Uint8Array");
    const circle = { a: [] };
    circle.a.push(circle);
    refused(() => encode("n", circle), "n.a[0] contains itself");
  },
};

// These need the JSON of an engine that has `JSON.rawJSON`, which Node has from version 21 on.
export const json = {
  structures_are_json() {
    returns(null, "json", "null");
    returns([1, "a", null, true, {}], "json", '[1,"a",null,true,{}]');
    returns({ a: { b: [] } }, "json", '{"a":{"b":[]}}');
    const shared = [1];
    returns([shared, shared], "json", "[[1],[1]]");
    equal(decode("n", encode("n", Object.assign(Object.create(null), { a: 1 }))), { a: 1 });
  },

  numbers_in_json_are_exact() {
    returns([-0], "json", "[-0]");
    returns([2 ** 60], "json", "[1.152921504606847e+18]");
    returns([1e21, 0.1, 5e-324], "json");
    returns([2n ** 64n], "json", "[18446744073709551616]");
    returns(2n ** 63n, "json", "9223372036854775808");
    returns(-(2n ** 63n) - 1n, "json", "-9223372036854775809");
    equal(decode("n", { tag: "json", val: "[12345678901234567890, 9007199254740991, 1.0, -0]" }), [
      12345678901234567890n,
      9007199254740991,
      1,
      -0,
    ]);
    refused(() => decode("n", { tag: "json", val: "[1e999]" }), "n is Infinity");
  },

  a_method_toJSON_of_a_library_changes_nothing() {
    BigInt.prototype.toJSON = () => "wrong";
    try {
      returns([2n ** 64n], "json");
    } finally {
      delete BigInt.prototype.toJSON;
    }
  },

  a_key_proto_is_a_key_like_others() {
    const value = decode("n", { tag: "json", val: '{"__proto__": {"admin": true}}' });
    equal(value.admin, undefined);
    equal(Object.keys(value), ["__proto__"]);
    equal(encode("n", value).val, '{"__proto__":{"admin":true}}');
  },

  json_that_cannot_be_read_exactly_is_refused() {
    refused(() => decode("n", { tag: "json", val: "{" }), "n holds malformed JSON");
    refused(() => decode("n", { tag: "json", val: '["\\ud800"]' }), "lone surrogate");
  },

  what_is_changed_in_place_is_saved() {
    const { view, all, data } = attributes();
    view.set("cart", { tag: "json", val: '[{"n": 1}, 2]' });
    data.cart[0].n += 1;
    data.cart.push("new");
    all.save();
    equal(view.get("cart").val, '[{"n":2},2,"new"]');
    const list = [];
    data.list = list;
    list.push(1);
    data.list.push(2);
    all.save();
    equal(view.get("list").val, "[1,2]");
  },

  what_is_only_read_is_not_saved() {
    const { view, all, data } = attributes();
    view.set("cart", { tag: "json", val: '{ "big": 12345678901234567890, "list": [1.0] }' });
    view.set("bytes", { tag: "bytes", val: new Uint8Array([1]) });
    const before = view.saved;
    equal(data.cart.big, 12345678901234567890n);
    equal(data.bytes[0], 1);
    all.save();
    equal(view.saved, before);
  },

  a_change_in_place_that_cannot_be_stored_is_refused() {
    const { all, data } = attributes();
    data.cart = [];
    data.cart.push(NaN);
    refused(() => all.save(), "cart[0] is NaN");
  },

  a_change_in_place_ends_with_its_attribute() {
    const { view, all, data } = attributes();
    data.a = [];
    data.b = [];
    const { a, b } = data;
    a.push(1);
    b.push(1);
    delete data.a;
    data.b = "other";
    all.save();
    equal(view.get("a"), undefined);
    equal(view.get("b").val, "other");
  },

  a_change_in_place_is_not_lost_to_a_concurrent_request() {
    const { view, all, data } = attributes();
    data.cart = [1];
    data.untouched = [1];
    // As after a commit that merged.
    view.set("cart", { tag: "json", val: "[9]" });
    view.set("untouched", { tag: "json", val: "[9]" });
    equal(data.untouched, [9]);
    equal(data.cart, [9]);
    data.cart.push(2);
    view.set("cart", { tag: "json", val: "[8]" });
    equal(data.cart, [9, 2]);
    all.save();
    equal(view.get("cart").val, "[9,2]");
  },

  a_log_in_keeps_changes_in_place_and_another_user_does_not_get_them() {
    const { view, session } = opened();
    session.data.cart = [];
    session.data.cart.push(1);
    const { cart } = session.data;
    session.user = "ada";
    cart.push(2);
    session.commit();
    equal(view.get("cart").val, "[1,2]");
    cart.push(3);
    session.user = "eve";
    session.commit();
    equal(session.data.cart, undefined);
    session.data.cart = [];
    const again = session.data.cart;
    session.expire();
    again.push(4);
    session.commit();
    equal(view.get("cart"), undefined);
  },

  forgotten_changes_in_place_are_not_saved() {
    const { view, session } = opened();
    session.data.cart = [1];
    session.data.cart.push(2);
    session.forgetChanges();
    session.commit();
    equal(view.get("cart").val, "[1]");
    equal(session.data.cart, [1]);
  },

  a_commit_that_failed_is_not_tried_again() {
    const { view, session } = opened();
    session.data.cart = [1];
    session.data.cart.push(NaN);
    refused(() => session.commit(), "cart[1] is NaN");
    Session.control(session).finish();
    equal(Session.control(session).hasFailed(), true);
    session.forgetChanges();
    session.data.cart = [2];
    session.data.cart.push(3);
    Session.control(session).finish();
    equal(view.get("cart").val, "[2,3]");
  },

  what_changes_in_place_after_a_commit_is_saved_at_the_end() {
    const { view, session } = opened();
    session.data.cart = [1];
    const { cart } = session.data;
    session.commit();
    cart.push(2);
    Session.control(session).finish();
    equal(view.get("cart").val, "[1,2]");
  },
};

export const objects = {
  the_attributes_are_a_plain_object() {
    const { data } = attributes();
    data.a = 1;
    data["b c"] = "x";
    equal([data.a, data["b c"], data.d], [1, "x", undefined]);
    equal(["a" in data, "d" in data, "toString" in data], [true, false, false]);
    equal(Object.keys(data), ["a", "b c"]);
    equal({ ...data }, { a: 1, "b c": "x" });
    equal(JSON.stringify(data), '{"a":1,"b c":"x"}');
    equal(Object.hasOwn(data, "a"), true);
    Object.assign(data, { a: 2 });
    data.a += 1;
    equal(data.a, 3);
    equal(delete data.a, true);
    equal(delete data.a, true);
    equal(data.a, undefined);
    let all = "";
    for (const name in data) all += name;
    equal(all, "b c");
  },

  every_string_can_name_an_attribute() {
    const { view, data } = attributes();
    for (const name of ["__proto__", "constructor", "then", "toJSON", "hasOwnProperty", "get"]) {
      equal(data[name], undefined);
      data[name] = name;
      equal(data[name], name);
      equal(view.get(name).val, name);
    }
    equal(Object.getPrototypeOf(data), null);
    equal({}.admin, undefined);
  },

  other_names_are_refused() {
    const { data } = attributes();
    refused(() => (data["\ud800"] = 1), "lone surrogate");
    refused(() => (data[Symbol("s")] = 1), "symbol");
    equal(["\ud800" in data, data["\ud800"], data[Symbol.iterator]], [false, undefined, undefined]);
    equal(delete data["\ud800"], true);
  },

  the_attributes_are_not_frozen_or_given_a_prototype() {
    const { data } = attributes();
    for (const action of [
      () => Object.freeze(data),
      () => Object.setPrototypeOf(data, {}),
      () => Object.defineProperty(data, "a", { get: () => 1 }),
    ]) {
      let error;
      try {
        action();
      } catch (thrown) {
        error = thrown;
      }
      equal(error instanceof TypeError, true);
    }
  },

  arguments_of_another_type_are_refused() {
    const { session } = opened();
    refused(() => (session.user = undefined), "session.user is no string");
    refused(() => (session.user = 7), "session.user is no string");
    refused(() => (session.data = {}), "session.data cannot be replaced");
    refused(() => session.add("n", 0.5), "add takes an integer");
    refused(() => session.add("n", 2n ** 63n), "64 bits");
    refused(() => session.flash({}), "a message is no string");
    refused(() => session.remember("yes"), "true or false");
    equal([session.isCsrfToken(null), session.removeFormToken(undefined)], [false, false]);
  },

  a_session_that_is_not_used_is_not_opened() {
    const session = new Session(() => {
      throw new Error("opened");
    });
    equal(session.commit(), []);
    session.forgetChanges();
    Session.control(session).finish();
    equal(typeof session.data, "object");
  },

  a_session_is_closed_with_its_request() {
    const { session } = opened();
    session.data.a = 1;
    const { data } = session;
    Session.control(session).close();
    for (const use of [() => data.a, () => (data.a = 2), () => session.user, () => session.commit()]) {
      let message;
      try {
        use();
      } catch (error) {
        message = error.message;
      }
      equal(message?.includes("after its request"), true);
    }
  },

  the_errors_of_the_session_manager_have_their_code_and_status() {
    const statuses = { invalid: 400, "client-changed": 403, ended: 409, conflict: 409, busy: 503 };
    Object.assign(statuses, { "read-only": 500, store: 503 });
    for (const [tag, status] of Object.entries(statuses)) {
      const session = new Session(() => {
        throw Object.assign(new Error(), { payload: { tag, val: "the reason" } });
      });
      refused(() => session.user, ": the reason", tag);
      const error = new SessionError(tag, "the reason");
      equal([error.status, error.getResponse().status], [status, status]);
    }
  },
};

const VARY = ["Vary", "Cookie"];
const COOKIE = ["Set-Cookie", "a=b"];
const noStore = ["Cache-Control", "no-store"];

export const headers = {
  cookies_and_vary_are_added() {
    const { added, cacheControl } = sessionHeaders(null, [[COOKIE, noStore, VARY]]);
    equal(added, [COOKIE, VARY]);
    equal(cacheControl, "no-store");
    equal(sessionHeaders("max-age=60", [[VARY]]), { added: [VARY], cacheControl: undefined });
  },

  several_commits_have_their_headers_once() {
    const second = ["Set-Cookie", "c=d"];
    const { added, cacheControl } = sessionHeaders("private", [
      [COOKIE, noStore, VARY],
      [second, ["Cache-Control", "private"], VARY],
    ]);
    equal(added, [COOKIE, VARY, second]);
    equal(cacheControl, "no-store");
  },

  no_response_becomes_cacheable_for_others() {
    for (const [own, setsCookie, expected] of [
      ["public, max-age=60", false, "no-store"],
      ["no-cache", false, "no-store"],
      ["Private", false, undefined],
      ['private="set-cookie"', false, "no-store"],
      ["public, private", false, "no-store"],
      ["private", true, "no-store"],
      ["max-age=60, NO-STORE", true, undefined],
    ]) {
      const commit = setsCookie ? [COOKIE, noStore] : [noStore];
      equal(sessionHeaders(own, [commit]).cacheControl, expected);
    }
  },
};
