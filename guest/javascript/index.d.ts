/** A value that an attribute can have. README.md has the table of how values are stored. */
export type Value = boolean | number | bigint | string | Uint8Array | Json;

/** A value that is stored as JSON. An integer that no number has exactly is a `bigint`. */
export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** The attributes of a session, when an application does not declare them. */
export type AnyData = Record<string, any>;

/**
 * The session of a request. It is opened at its first use, and `serve` saves it.
 *
 * Each member throws a {@link SessionError} if the session manager refuses it. After the response
 * has been returned, each member throws an `Error`.
 */
export interface Session<Data extends object = AnyData> {
  /**
   * The attributes, as a plain object: read, set and `delete` them, and use `in` and
   * `Object.keys`. Each string can be the name of an attribute, also `__proto__` or `then`.
   *
   * A value that is read and changed in place, as by `session.data.cart.push(…)`, is saved, too.
   *
   * Setting throws `invalid` for a value that cannot be stored exactly, and for a name that does
   * not have 1 to 256 bytes.
   */
  readonly data: Partial<Data>;

  /** The ID, which may be shown and logged; null before the commit that stores the session. */
  readonly id: string | null;
  /** Whether no cookie of the request opened a session. */
  readonly isNew: boolean;
  /** When the session began. */
  readonly created: Date;
  /** When the session was used before this request. */
  readonly accessed: Date;
  /** The remote address of the request that started the session. */
  readonly remoteAddress: string | null;

  /**
   * The user who is logged in, or null. Setting it logs a user in, changes the user, or logs the
   * user out with null. A log-in keeps the attributes; a change of the user and a log-out remove
   * them.
   */
  user: string | null;
  /** When the user was last set; null without a user. */
  readonly authenticated: Date | null;
  /** Sets whether the session outlasts the end of the browser. */
  remember(remember?: boolean): void;
  /** Whether the session outlasts the end of the browser. */
  readonly isRemembered: boolean;

  /** Whether there is anything to store. */
  readonly hasInfo: boolean;
  /**
   * Adds to an integer attribute, which starts at 0, and returns the sum. The additions of
   * concurrent requests all count.
   */
  add(name: string, delta?: number | bigint): number | bigint;

  /** Returns the token against cross-site request forgery, for a hidden field of forms. */
  csrfToken(): string;
  /** Returns whether `csrfToken` returned this token; false for a field that is no string. */
  isCsrfToken(token: unknown): boolean;
  /** Creates a token for a single submission of a form. */
  createFormToken(): string;
  /** Returns whether a form token is valid, without using it up. */
  hasFormToken(token: unknown): boolean;
  /** Uses up a form token at once, and returns whether it was valid. */
  removeFormToken(token: unknown): boolean;

  /** Adds a message for the next page. */
  flash(message: string): void;
  /** Returns the messages, oldest first, and removes them. */
  takeFlashes(): string[];

  /** Renews the token in the cookie. */
  renew(): void;
  /** Ends the session. */
  expire(): void;

  /** Returns the sessions of this session's user. */
  ownSessions(): SessionSummary[];
  /** Ends one session of this user at once; returns whether the user had a session with this ID. */
  expireOwn(id: string): boolean;
  /** Ends all other sessions of this user at once, and returns their number. */
  expireOthers(): number;

  /**
   * Saves the changes now, and returns the headers, which `serve` adds to the response. `serve`
   * commits by itself: an application calls this only to handle an error, or before it does
   * something that needs the saved session.
   */
  commit(): [name: string, value: string][];
  /** Drops the changes that are not committed. */
  forgetChanges(): void;
}

/** One of the sessions of a user. */
export interface SessionSummary {
  id: string;
  /** Whether this is the session whose `ownSessions` was called. */
  isCurrent: boolean;
  created: Date;
  accessed: Date;
  /** When the session ends if it is not used again. */
  expires: Date;
  isRemembered: boolean;
  remoteAddress: string | null;
  userAgent: string | null;
}

/** Why a session was refused: a case of `session-error` in the WIT, and the status for it. */
export type SessionErrorCode =
  | "invalid"
  | "client-changed"
  | "ended"
  | "conflict"
  | "busy"
  | "read-only"
  | "store";

/** The error of everything that the session manager refuses. */
export class SessionError extends Error {
  constructor(code: SessionErrorCode, detail?: string);
  readonly code: SessionErrorCode;
  /** The status of HTTP with which to answer. */
  readonly status: number;
  /** Returns a response with this status and a sentence, without the details of `message`. */
  getResponse(): Response;
}

/** How a request uses its session: see `mode` in the WIT. */
export type Mode = "merge" | "strict" | "exclusive" | "read-only" | "dry-run";

/** The configuration of sessions: see `config` in the WIT. Times are in seconds. */
export interface Config {
  cookie: {
    name: string;
    path: string;
    domain?: string;
    secure: boolean;
    httpOnly: boolean;
    sameSite: "strict" | "lax" | "none";
    partitioned: boolean;
    maxAge?: number;
  };
  idleTimeout: number;
  absoluteTimeout: number;
  firstUseTimeout: number;
  renewAfter: number;
  renewGrace: number;
  touchAfter: number;
  remember?: { idleTimeout: number; absoluteTimeout: number; maxAge: number };
  maxSessionsPerUser?: number;
  onClientChange: "ignore" | "report" | "end" | "fail";
  onDamage: "ignore" | "report" | "fail";
  userCaching: "no-store" | "private";
  clearCache: boolean;
}

export interface Options {
  /**
   * Changes the configuration, which has the defaults of the operator's policy. A configuration
   * that is weaker than the policy requires opens no session.
   */
  config?: (config: Config, request: Request) => Config | void;
  /** How requests use their sessions, default `"merge"`. A HEAD request uses `"dry-run"`. */
  mode?: Mode | ((request: Request) => Mode);
  /**
   * Returns the response for an exception of the application or of the commit, such as a
   * {@link SessionError}. The session is closed by then, and nothing was saved.
   */
  onError?: (error: unknown, request: Request) => Response | Promise<Response>;
}

/** A function that answers requests. */
export type Handler<Data extends object = AnyData> = (
  request: Request,
  session: Session<Data>,
) => Response | Promise<Response>;

/** What an application exports with the name `incomingHandler`. */
export interface IncomingHandler {
  handle(request: object, response: object): Promise<void>;
}

/**
 * Returns the handler of requests that an application has to export as `incomingHandler`.
 *
 * `application` is a function of the request and its session, or an object with a method `fetch`,
 * such as the application of a framework.
 *
 * The session is saved before the response is sent, and the headers of the session are added to
 * the response. If the application throws an exception, or answers with a status of 500 or more,
 * the session stays as it was.
 */
export function serve<Data extends object = AnyData>(
  application: Handler<Data> | { fetch(request: Request): Response | Promise<Response> },
  options?: Options,
): IncomingHandler;

/** Returns the session of a request that `serve` gave to the application. */
export function session<Data extends object = AnyData>(request: Request): Session<Data>;
