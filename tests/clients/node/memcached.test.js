'use strict';

const assert = require('node:assert');
const test = require('node:test');
const { promisify } = require('node:util');
const Memcached = require('memcached');

const client = new Memcached(`127.0.0.1:${process.env.PORT}`, { retries: 0, timeout: 20000, maxValue: 64 * 1024 * 1024 });
const call = (name) => promisify(client[name].bind(client));

test.after(() => client.end());

test('values of all kinds', async () => {
  for (const value of ['text', 'ünïcode €', 5, true, { a: [1, 2] }, Buffer.from([0, 255, 13, 10])]) {
    assert.strictEqual(await call('set')('k', value, 100), true);
    assert.deepStrictEqual(await call('get')('k'), value);
  }
  const large = 'x'.repeat(20 * 1024 * 1024);
  assert.strictEqual(await call('set')('large', large, 100), true);
  assert.strictEqual(await call('get')('large'), large);
});

test('conditions', async () => {
  await call('flush')();
  assert.strictEqual(await call('get')('k'), undefined);
  assert.strictEqual(await call('add')('k', 1, 100), true);
  await assert.rejects(call('add')('k', 2, 100), /not stored/i);
  assert.strictEqual(await call('replace')('k', '2', 100), true);
  assert.strictEqual(await call('append')('k', '3'), true);
  assert.strictEqual(await call('prepend')('k', '1'), true);
  const { k, cas } = await call('gets')('k');
  assert.strictEqual(k, '123');
  assert.strictEqual(await call('cas')('k', 'new', cas, 100), true);
  assert.strictEqual(await call('cas')('k', 'newer', cas, 100), false);
});

test('counters, touch and deletion', async () => {
  await call('set')('n', 10, 100);
  assert.strictEqual(await call('incr')('n', 5), 15);
  assert.strictEqual(await call('decr')('n', 100), 0);
  assert.strictEqual(await call('incr')('missing', 1), false);
  assert.strictEqual(await call('touch')('n', 50), true);
  assert.strictEqual(await call('del')('n'), true);
  assert.strictEqual(await call('del')('n'), false);
});

test('many keys', async () => {
  const keys = Array.from({ length: 500 }, (_, i) => `key:${i}`);
  await Promise.all(keys.map((key, i) => call('set')(key, i, 100)));
  const found = await call('getMulti')(keys);
  assert.strictEqual(Object.keys(found).length, 500);
  assert.strictEqual(found['key:499'], 499);
});

test('statistics and version', async () => {
  const [version] = await call('version')();
  assert.match(version.version, /^1\.6/);
  const [stats] = await call('stats')();
  assert.ok(stats.curr_items > 0);
});
