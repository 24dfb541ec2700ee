// A store in the memory of this process; all sessions end with the process. Node runs one
// function at a time, so changes need no lock. `SessionLock` is the lease of an exclusive
// request, which ends when the request commits or disposes its session.

const sessions = new Map();
const locked = new Set();

const now = () => BigInt(Date.now());
const fail = (tag, val) => {
  throw { tag, val };
};

function replace(id, expected, change) {
  const stored = sessions.get(id) ?? fail("absent");
  if (stored.version !== expected) fail("conflict", stored.version);
  sessions.set(id, { ...stored, ...change(stored), modified: now() });
  return sessions.get(id).version;
}

export class SessionLock {
  constructor(id) {
    this.id = id;
    locked.add(id);
  }
  isHeld() {
    return locked.has(this.id);
  }
  [Symbol.dispose]() {
    locked.delete(this.id);
  }
}

export const isMultiprocessSafe = () => false;
export const isThreadSafe = () => true;
export const loadSession = (id) => sessions.get(id);
export const deleteSession = (id) => sessions.delete(id);
export const lockSession = (id) => (locked.has(id) ? fail("busy") : new SessionLock(id));

export function createSession(id, state) {
  if (sessions.has(id)) fail("exists");
  sessions.set(id, { id, version: 1n, modified: now(), state });
  return 1n;
}

export const saveSession = (id, state, expected) =>
  replace(id, expected, ({ version }) => ({ state, version: version + 1n }));

export const touchSession = (id, expires, expected) =>
  void replace(id, expected, ({ state }) => ({ state: { ...state, expires } }));

export const sessionsOfUser = (user) =>
  [...sessions.values()].filter(({ state }) => state.user === user).map(({ id }) => id);

export function iterSessions(cursor, limit) {
  const ids = [...sessions.keys()].sort().filter((id) => cursor === undefined || id > cursor);
  const page = ids.slice(0, limit);
  const next = ids.length > limit ? page.at(-1) : undefined;
  return { sessions: page.map((id) => sessions.get(id)), damaged: [], next };
}

export function deleteOldSessions(minutes) {
  const before = now() - BigInt(minutes) * 60_000n;
  const old = [...sessions.values()].filter(
    ({ modified, state }) => modified < before || state.expires <= now(),
  );
  old.forEach(({ id }) => sessions.delete(id));
  return { deleted: BigInt(old.length), remaining: BigInt(sessions.size), complete: true };
}
