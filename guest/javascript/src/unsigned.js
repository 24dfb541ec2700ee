// A way around an error in jco 1.35. Its bindings pass 64 bits, also those of a float, to the host
// as a signed BigInt, and its engine takes only unsigned ones: at a negative one, it ends the
// instance.

// Calls a function of the host, which may have arguments with 64 bits. While it runs, the bindings
// convert to unsigned BigInts with the same bits.
export function unsigned(host) {
  const { BigInt } = globalThis;
  const convert = (value) => BigInt.asUintN(64, BigInt(value));
  globalThis.BigInt = Object.assign(convert, { asIntN: BigInt.asUintN, asUintN: BigInt.asUintN });
  try {
    return host();
  } finally {
    globalThis.BigInt = BigInt;
  }
}
