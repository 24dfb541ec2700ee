// Requests of wasi:http as those of the Fetch standard.

import { IncomingBody } from "wasi:http/types@0.2.10";

const CHUNK = 65536n;
const utf8 = new TextDecoder("utf-8", { fatal: true });

// A request that came in, and the resources of the host that it holds until `close`. Each call of
// the host takes longer than much JavaScript does, so the headers are fetched in one.
export class Incoming {
  #incoming;
  #headers;
  #body = new Body();

  constructor(incoming) {
    this.#incoming = incoming;
    const fields = incoming.headers();
    this.#headers = fields.entries().map(([name, value]) => [name.toLowerCase(), value]);
    fields[Symbol.dispose]();
  }

  // Returns the parts that the session manager uses.
  client() {
    return {
      cookies: this.#values("cookie"),
      // The client's address, which session3 serve writes into this header.
      remoteAddress: this.#text("x-forwarded-for"),
      userAgent: this.#text("user-agent"),
    };
  }

  // Returns the request, or throws a TypeError if it has an address or a method that the Fetch
  // standard excludes.
  request() {
    const method = methodOf(this.#incoming.method());
    const headers = new Headers();
    for (const [name, value] of this.#headers) {
      if (name !== "cookie") headers.append(name, fromBytes(value));
    }
    // HTTP/2 splits the cookies, and RFC 9113 §8.2.3 joins them so.
    const cookies = this.#values("cookie").map(fromBytes).join("; ");
    if (cookies !== "") headers.set("cookie", cookies);
    const init = { method, headers };
    if (method !== "GET" && method !== "HEAD") {
      init.body = this.#body.stream(this.#incoming);
      init.duplex = "half";
    }
    return new Request(this.#url(), init);
  }

  // Drops the resources, so that the instance can serve another request.
  close() {
    this.#body.close();
    this.#incoming[Symbol.dispose]();
  }

  #url() {
    const scheme = this.#incoming.scheme()?.tag === "HTTPS" ? "https" : "http";
    const authority = this.#incoming.authority() ?? "localhost";
    const path = this.#incoming.pathWithQuery() ?? "/";
    if (!path.startsWith("/")) throw new TypeError(`The address ${path} has no path.`);
    return `${scheme}://${authority}${path}`;
  }

  // Returns the values of all headers with this name.
  #values(name) {
    return this.#headers.filter((header) => header[0] === name).map(([, value]) => value);
  }

  // Returns a header that is valid UTF-8.
  #text(name) {
    const [value] = this.#values(name);
    return value === undefined ? undefined : decoded(value);
  }
}

// The body of a request, which is read as far as the application reads it.
class Body {
  #body;
  #input;

  stream(incoming) {
    return new ReadableStream(
      {
        pull: (controller) => {
          this.#body ??= incoming.consume();
          this.#input ??= this.#body.stream();
          const bytes = this.#read();
          if (bytes === undefined) controller.close();
          else controller.enqueue(bytes);
        },
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    );
  }

  close() {
    this.#input?.[Symbol.dispose]();
    this.#body?.[Symbol.dispose]();
    this.#input = this.#body = undefined;
  }

  // Returns the next bytes, or undefined at the end.
  #read() {
    for (;;) {
      try {
        const bytes = this.#input.blockingRead(CHUNK);
        if (bytes.length > 0) return bytes;
      } catch (error) {
        if (error.payload?.tag === "closed") return undefined;
        error.payload?.val?.[Symbol.dispose]();
        throw new TypeError("The body of the request did not arrive completely.");
      }
    }
  }
}

function methodOf({ tag, val }) {
  return tag === "other" ? val : tag.toUpperCase();
}

// Returns bytes as text, if they are valid UTF-8.
function decoded(bytes) {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

// Returns a header as a string with one character for each byte, as the Fetch standard has it. The
// decoder, which is not written in JavaScript, is faster by far, and right for ASCII.
function fromBytes(bytes) {
  const ascii = decoded(bytes);
  if (ascii?.length === bytes.length) return ascii;
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
