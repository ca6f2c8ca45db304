"use strict";
// ioredis against the server at PORT, with the package, the protocol and the mapping of replies that test_ioredis.py names.

const assert = require("node:assert/strict");
const { after, beforeEach, test } = require("node:test");
const { Redis } = require(process.env.PACKAGE);

const port = Number(process.env.PORT);
const protocol = Number(process.env.PROTOCOL);
const mapping = process.env.MAPPING;
const options = { port, ...(protocol === 3 && { protocol, replyMapping: mapping }), ...(protocol === 2 && { protocol }) };
const deadline = { timeout: 30_000 };
const structured = protocol === 3 && mapping === "resp3"; // maps are objects and doubles are numbers

const clients = [];

function connect(more = {}) {
  const client = new Redis({ ...options, ...more });
  clients.push(client);
  return client;
}

const redis = connect();

beforeEach(() => redis.flushall());

after(() => clients.forEach((client) => client.disconnect()));

/** The arguments of the next `event` of `emitter`. */
function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, (...values) => resolve(values)));
}

/** Waits until `probe` answers something true; the test's own deadline ends a wait in vain. */
async function until(probe) {
  while (!(await probe())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/**
 * A client that may subscribe: what subscribes while ioredis still asks whether the server is ready (INFO, which subscribers
 * may not send) is disconnected by it, and its subscriptions are forgotten.
 */
async function connectReady(more) {
  const client = connect(more);
  await next(client, "ready");
  return client;
}

async function clientNamed(name) {
  const lines = (await redis.client("LIST")).trim().split("\n");
  return lines.map((line) => Object.fromEntries(line.split(" ").map((field) => field.split(/=(.*)/s, 2))))
    .find((client) => client.name === name);
}

test("the protocol is the one that was asked for", deadline, async () => {
  await redis.client("SETNAME", "probe");
  assert.equal((await clientNamed("probe")).resp, String(protocol === 3 ? 3 : 2));
});

test("values keep their types", deadline, async () => {
  assert.equal(await redis.set("key", "välue", "EX", 100), "OK");
  assert.equal(await redis.set("key", "other", "NX"), null);
  assert.equal(await redis.get("key"), "välue");
  assert.deepEqual(await redis.getBuffer("key"), Buffer.from("välue"));
  assert.equal(await redis.get("absent"), null);
  assert.deepEqual(await redis.mget("key", "absent"), ["välue", null]);
  assert.equal(await redis.incrby("count", 41), 41);
  await redis.hset("hash", { a: 1, b: "two" });
  assert.deepEqual({ ...(await redis.hgetall("hash")) }, { a: "1", b: "two" });
  await redis.sadd("set", "x", "y");
  assert.deepEqual([...(await redis.smembers("set"))].sort(), ["x", "y"]);
  await redis.zadd("zset", 1.5, "a", "+inf", "b");
  assert.equal(Number(await redis.zscore("zset", "a")), 1.5);
  assert.equal(typeof (await redis.zscore("zset", "a")), structured ? "number" : "string");
  assert.deepEqual((await redis.zrange("zset", 0, -1, "WITHSCORES")).flat().map(String),
    ["a", "1.5", "b", structured ? "Infinity" : "inf"]);
  await assert.rejects(redis.lpush("key", 1), /^ReplyError: WRONGTYPE Operation against a key/);
});

test("a pipeline answers in order, each command with its own error", deadline, async () => {
  const replies = await redis.pipeline().set("key", "value").get("key").incr("key").lpush("list", 1, 2).exec();
  assert.deepEqual(replies.map(([, reply]) => reply).filter((reply) => reply !== undefined), ["OK", "value", 2]);
  assert.match(replies[2][0].message, /^ERR value is not an integer or out of range$/);
  const many = redis.pipeline();
  for (let number = 0; number < 5000; number += 1) many.rpush("numbers", number);
  assert.deepEqual((await many.exec()).map(([, length]) => length), Array.from({ length: 5000 }, (_, index) => index + 1));
});

test("commands of one turn are pipelined automatically", deadline, async () => {
  const automatic = connect({ enableAutoPipelining: true });
  const replies = await Promise.all(Array.from({ length: 100 }, () => automatic.incr("count")));
  assert.deepEqual(replies, Array.from({ length: 100 }, (_, index) => index + 1));
});

test("a transaction is all or nothing", deadline, async () => {
  assert.deepEqual(await redis.multi().set("key", 1).incr("key").exec(), [[null, "OK"], [null, 2]]);
  await assert.rejects(redis.multi().set("key", 5).call("set", "too few").exec(), /EXECABORT/);
  assert.equal(await redis.get("key"), "2");
  const other = connect();
  await redis.watch("key");
  await other.set("key", "changed by another");
  assert.equal(await redis.multi().set("key", "mine").exec(), null);
  await redis.multi({ pipeline: false });
  assert.equal(await redis.get("key"), "QUEUED");
  assert.deepEqual(await redis.exec(), [[null, "changed by another"]]);
});

test("publish and subscribe", deadline, async () => {
  const subscriber = await connectReady();
  assert.equal(await subscriber.subscribe("news", "weather"), 2);
  assert.equal(await subscriber.psubscribe("n?ws"), 3);
  const heard = Promise.all([next(subscriber, "message"), next(subscriber, "pmessage")]);
  assert.equal(await redis.publish("news", "hello"), 2);
  assert.deepEqual(await heard, [["news", "hello"], ["n?ws", "news", "hello"]]);
  assert.equal(await subscriber.unsubscribe("news"), 2);
  assert.equal(await subscriber.punsubscribe("n?ws"), 1);
  assert.equal(await redis.publish("news", "nobody"), 0);
  assert.equal(await subscriber.unsubscribe(), 0);
  assert.equal(await subscriber.get("absent"), null, "an ordinary connection again");
});

test("sharded publish and subscribe", deadline, async () => {
  const subscriber = await connectReady();
  assert.equal(await subscriber.ssubscribe("shard"), 1);
  const heard = next(subscriber, "smessage");
  assert.equal(await redis.spublish("shard", "hello"), 1);
  assert.deepEqual(await heard, ["shard", "hello"]);
});

test("scripts are loaded when the server does not know them", deadline, async () => {
  redis.defineCommand("addTo", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
  assert.equal(await redis.addTo("key", 5), 5);
  await redis.script("FLUSH");
  assert.equal(await redis.addTo("key", 5), 10);
  await redis.script("FLUSH");
  const fresh = connect({ scripts: { increase: { numberOfKeys: 1, lua: "return redis.call('incr', KEYS[1])" } } });
  assert.deepEqual(await fresh.pipeline().increase("key").get("key").exec(), [[null, 11], [null, "11"]]);
  redis.defineCommand("shapes", { numberOfKeys: 0, lua: "return {1, 'two', {3, false}, redis.status_reply('FINE')}" });
  assert.deepEqual(await redis.shapes(), [1, "two", [3, null], "FINE"]);
});

test("blocking commands wait and give up", deadline, async () => {
  const waiting = connect({ connectionName: "waiting" });
  assert.equal(await waiting.brpop("queue", 0.05), null);
  const popped = waiting.brpop("other", "queue", 20);
  await until(async () => (await clientNamed("waiting"))?.flags.includes("b"));
  await redis.lpush("queue", "item");
  assert.deepEqual(await popped, ["queue", "item"]);
  assert.equal(await waiting.bzpopmin("zset", 0.05), null);
  await redis.zadd("zset", 2, "member");
  assert.deepEqual((await waiting.bzpopmin("zset", 20)).map(String), ["zset", "member", "2"]);
});

test("streams of keys", deadline, async () => {
  const pipeline = redis.pipeline();
  for (let number = 0; number < 1000; number += 1) pipeline.set(`key:${number}`, number);
  await pipeline.set("other", 1).exec();
  const found = new Set();
  for await (const keys of redis.scanStream({ match: "key:*", count: 100 })) keys.forEach((key) => found.add(key));
  assert.equal(found.size, 1000);
});

test("a lost connection is made again, with its database, its name and its subscriptions", deadline, async () => {
  const client = connect({ db: 2, connectionName: "phoenix", retryStrategy: () => 10 });
  const subscriber = await connectReady({ connectionName: "listener", retryStrategy: () => 10 });
  await client.set("key", "in database 2");
  await subscriber.subscribe("news");
  for (const name of ["phoenix", "listener"]) {
    const { id } = await clientNamed(name);
    assert.equal(await redis.client("KILL", "ID", id), 1);
    await until(async () => { const again = await clientNamed(name); return again && again.id !== id; });
  }
  assert.equal(await client.get("key"), "in database 2");
  const heard = [];
  subscriber.on("message", (channel, text) => heard.push(`${channel}: ${text}`));
  await until(async () => { await redis.publish("news", "still here"); return heard.length > 0; });
  assert.equal(heard[0], "news: still here");
});

test("a blocked command is sent again after a reconnect", deadline, async () => {
  const waiting = connect({ connectionName: "persistent", retryStrategy: () => 10 });
  const popped = waiting.brpop("queue", 20);
  const isBlocked = async () => (await clientNamed("persistent"))?.flags.includes("b") && clientNamed("persistent");
  await until(isBlocked);
  const { id } = await clientNamed("persistent");
  await redis.client("KILL", "ID", id);
  await until(async () => { const again = await isBlocked(); return again && again.id !== id; });
  await redis.lpush("queue", "item");
  assert.deepEqual(await popped, ["queue", "item"]);
});
