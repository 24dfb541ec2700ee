// A way around an error in jco 1.35. Its bindings pass the 64 bits of an integer or of a float to
// the host as a signed BigInt, and its engine takes only unsigned ones: at a negative one, it ends
// the instance.
//
// The bindings run in a global environment of their own. In it, this module makes the conversions
// to BigInt unsigned; they keep the bits, and the bindings read signed integers without them.

import { SessionManager } from "session3:sessions/manager@0.2.0";

const bindings = SessionManager.constructor("return globalThis")();
const { BigInt } = bindings;
const { asUintN } = BigInt;

if (bindings === globalThis) {
  throw new Error("session3-guest: build with jco 1.35, whose bindings have a global of their own");
}
bindings.BigInt = Object.assign((value) => asUintN(64, BigInt(value)), { asIntN: asUintN, asUintN });
