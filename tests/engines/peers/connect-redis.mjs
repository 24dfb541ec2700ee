// connect-redis, the session store of Express in Redis, as a peer in the benchmark.
//
// The argument is the URL of a server of Redis. The commands on the standard input and their
// results are those of src/main.rs.
import { createInterface } from "node:readline";
import { RedisStore } from "connect-redis";
import { createClient } from "redis";

// The number of the session with the counter, which no other command uses.
const COUNTER = "counter";

const client = createClient({ url: process.argv[2] });
await client.connect();
const store = new RedisStore({ client });

// A session of about 700 bytes, as express-session makes it.
function session(fields) {
  const day = 24 * 60 * 60 * 1000;
  const expires = new Date(Date.now() + day).toISOString();
  return { cookie: { originalMaxAge: day, expires, httpOnly: true, path: "/" }, ...fields };
}

const operations = {
  create: (id) => store.set(id, session({ data: "x".repeat(580) })),
  load: async (id) => {
    if (!(await store.get(id))) throw new Error("a session is gone");
  },
  save: (id) => store.set(id, session({ data: "x".repeat(580) })),
  delete: (id) => store.destroy(id),
};

// Lets this many tasks share the sessions, and returns the nanoseconds that they take.
async function perform(operation, tasks, ids) {
  const start = process.hrtime.bigint();
  let next = 0;
  const work = async () => {
    while (next < ids.length) await operations[operation](ids[next++]);
  };
  await Promise.all(Array.from({ length: tasks }, work));
  return process.hrtime.bigint() - start;
}

// Increments the counter of one session from several tasks at once, as requests of one visitor
// do that arrive together, and returns it.
async function increment(tasks, rounds) {
  await store.set(COUNTER, session({ counter: 0 }));
  const work = async () => {
    for (let round = 0; round < rounds; round++) {
      const { counter, ...rest } = await store.get(COUNTER);
      await store.set(COUNTER, { ...rest, counter: counter + 1 });
    }
  };
  await Promise.all(Array.from({ length: tasks }, work));
  const { counter } = await store.get(COUNTER);
  await store.destroy(COUNTER);
  return counter;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [operation, tasks, ...rest] = line.split(" ");
  const result = await (operation === "increment"
    ? increment(Number(tasks), Number(rest[0]))
    : perform(operation, Number(tasks), rest));
  console.log(String(result));
}
await client.close();
