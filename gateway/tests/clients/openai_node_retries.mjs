// The official JavaScript SDK against gateways that refuse: which error it throws, and what it sends
// again.
//
// SHOAL_BUSY     a gateway whose only place is taken until it has refused somebody
// SHOAL_EMPTY    a gateway without members
// SHOAL_LOCKED   a gateway with keys
// SHOAL_LIMITED  a gateway with less tokens a minute than one answer costs

import assert from 'node:assert/strict';
import OpenAI from 'openai';

const expected = process.env.SHOAL_EXPECT ?? '432';
const question = { model: 'shoal', messages: [{ role: 'user', content: 'What is 47 + 385?' }] };

/** A client that counts what it sends. */
function counted(place) {
  const retries = [];
  const counting = (url, init) => {
    retries.push(new Headers(init.headers).get('x-stainless-retry-count'));
    return fetch(url, init);
  };
  const client = new OpenAI({ baseURL: process.env[place], apiKey: 'sk-no-such-key', fetch: counting });
  return { asks: (more) => client.chat.completions.create({ ...question, ...more }), retries };
}

const failure = (kind, promise) =>
  promise.then(
    () => assert.fail(`no ${kind.name}`),
    (error) => {
      assert.ok(error instanceof kind, `${error?.constructor?.name}: ${error}`);
      return error;
    },
  );

const checks = {
  async 'a busy gateway is asked again after the wait that it named'() {
    const { asks, retries } = counted('SHOAL_BUSY');
    const answer = await asks();
    assert.ok(answer.choices[0].message.content.includes(expected));
    assert.deepEqual(retries, ['0', '1']);
  },

  async 'a swarm without members is an internal server error after three tries'() {
    for (const stream of [false, true]) {
      const { asks, retries } = counted('SHOAL_EMPTY');
      const error = await failure(OpenAI.InternalServerError, asks({ stream }));
      assert.deepEqual([error.status, error.code, error.type], [503, 'no_member', 'server_error']);
      assert.deepEqual(retries, ['0', '1', '2']);
    }
  },

  async 'a wrong key is an authentication error and not sent again'() {
    const { asks, retries } = counted('SHOAL_LOCKED');
    const error = await failure(OpenAI.AuthenticationError, asks());
    assert.deepEqual([error.status, error.code], [401, 'invalid_api_key']);
    assert.match(error.requestID, /^req_/);
    assert.equal(retries.length, 1);
  },

  async 'a limit that holds for long is a rate limit error and not sent again'() {
    const { asks, retries } = counted('SHOAL_LIMITED');
    assert.ok((await asks()).choices[0].message.content.includes(expected));
    const error = await failure(OpenAI.RateLimitError, asks());
    assert.deepEqual([error.status, error.code, error.type], [429, 'rate_limit_exceeded', 'tokens']);
    assert.equal(retries.length, 2);
  },
};

let failed = 0;
console.log('openai-node, refused');
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n${error?.stack ?? error}`);
  }
}
process.exit(failed ? 1 : 0);
