// The session of a request, for applications.

import { Attributes } from "./data.js";
import { call, invalid } from "./errors.js";
import { fromInteger, text } from "./values.js";

const date = (timestamp) => new Date(Number(timestamp));
const orNull = (value) => value ?? null;

export class Session {
  #open;
  #view;
  #attributes = new Attributes(() => this.#opened());
  #isClosed = false;
  #isTouched = false;
  #hasFailed = false;
  #commits = [];

  // `open()` opens the session of the session manager, at the first use.
  constructor(open) {
    this.#open = open;
  }

  // Returns the hooks of `serve` for this session. They are no methods, so that an application
  // does not find them on its session.
  static control(session) {
    return {
      // Returns the headers of each commit.
      commits: () => session.#commits,
      isOpen: () => session.#view !== undefined,
      hasFailed: () => session.#hasFailed,
      // Saves what has not been saved, and gets the headers of a session that was only read.
      finish: () => session.#finish(),
      close: () => session.#close(),
    };
  }

  get data() {
    return this.#attributes.data;
  }

  set data(_) {
    invalid("session.data cannot be replaced: set and delete its attributes");
  }

  get id() {
    return orNull(this.#opened().id());
  }

  get isNew() {
    return this.#opened().isNew();
  }

  get created() {
    return date(this.#opened().created());
  }

  get accessed() {
    return date(this.#opened().accessed());
  }

  get remoteAddress() {
    return orNull(this.#opened().remoteAddress());
  }

  get user() {
    return orNull(this.#opened().user());
  }

  set user(user) {
    const name = user === null ? undefined : text("session.user", user);
    const before = this.#opened().user();
    this.#call((view) => view.setUser(name));
    // A log-in keeps the attributes, and a change of the user or a log-out removes them.
    if (before !== undefined && before !== name) this.#attributes.forget();
  }

  get authenticated() {
    const authenticated = this.#opened().authenticated();
    return authenticated === undefined ? null : date(authenticated);
  }

  get isRemembered() {
    return this.#opened().isRemembered();
  }

  remember(remember = true) {
    if (typeof remember !== "boolean") invalid("remember takes true or false");
    this.#call((view) => view.remember(remember));
  }

  get hasInfo() {
    return this.#opened().hasInfo();
  }

  add(name, delta = 1) {
    const isInteger = typeof delta === "bigint" || Number.isSafeInteger(delta);
    if (!isInteger) invalid(`add takes an integer, and ${String(delta)} is none`);
    if (BigInt.asIntN(64, BigInt(delta)) !== BigInt(delta)) invalid("add takes 64 bits at most");
    const attribute = text("the name of an attribute", name);
    return fromInteger(this.#call((view) => view.add(attribute, BigInt(delta))));
  }

  csrfToken() {
    return this.#call((view) => view.csrfToken());
  }

  isCsrfToken(token) {
    return typeof token === "string" && this.#opened().isCsrfToken(token);
  }

  createFormToken() {
    return this.#call((view) => view.createFormToken());
  }

  hasFormToken(token) {
    return typeof token === "string" && this.#opened().hasFormToken(token);
  }

  removeFormToken(token) {
    return typeof token === "string" && this.#call((view) => view.removeFormToken(token));
  }

  flash(message) {
    const shown = text("a message", message);
    this.#call((view) => view.flash(shown));
  }

  takeFlashes() {
    return Array.from(this.#call((view) => view.takeFlashes()));
  }

  renew() {
    this.#call((view) => view.renew());
  }

  expire() {
    this.#call((view) => view.expire());
    this.#attributes.forget();
  }

  ownSessions() {
    return Array.from(this.#call((view) => view.ownSessions()), (own) => ({
      ...own,
      created: date(own.created),
      accessed: date(own.accessed),
      expires: date(own.expires),
      remoteAddress: orNull(own.remoteAddress),
      userAgent: orNull(own.userAgent),
    }));
  }

  expireOwn(id) {
    const own = text("the ID of a session", id);
    return this.#call((view) => view.expireOwn(own));
  }

  expireOthers() {
    return this.#call((view) => view.expireOthers());
  }

  commit() {
    // A session that was not used is not opened for this.
    if (this.#view === undefined && !this.#isClosed) return [];
    this.#hasFailed = true;
    this.#attributes.save();
    const returned = this.#call((view) => view.commit());
    const headers = Array.from(returned, ({ name, value }) => [name, value]);
    this.#hasFailed = this.#isTouched = false;
    this.#commits.push(headers);
    return headers;
  }

  forgetChanges() {
    this.#attributes.forget();
    // A session that was not opened has no changes.
    this.#view?.forgetChanges();
    this.#hasFailed = false;
  }

  #finish() {
    // The application has handled the error of a commit by itself.
    if (this.#view === undefined || this.#hasFailed) return;
    this.#attributes.save();
    if (this.#isTouched) this.commit();
  }

  #opened() {
    if (this.#isClosed) {
      throw new Error("The session was used after its request: read it before the response is returned.");
    }
    this.#view ??= call(this.#open);
    this.#isTouched = true;
    return this.#view;
  }

  #call(method) {
    const view = this.#opened();
    return call(() => method(view));
  }

  #close() {
    this.#isClosed = true;
    this.#view?.[Symbol.dispose]();
    this.#view = undefined;
  }
}
