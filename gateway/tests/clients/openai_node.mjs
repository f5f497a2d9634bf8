// The official JavaScript SDK against a gateway. One line per check; exit code 1 when one fails.
//
// SHOAL_BASE_URL  where the API is, with /v1 at the end
// SHOAL_EXPECT    what the answer to "What is 47 + 385?" must contain (default: 432)

import assert from 'node:assert/strict';
import OpenAI from 'openai';

const baseURL = process.env.SHOAL_BASE_URL;
const expected = process.env.SHOAL_EXPECT ?? '432';
const messages = [{ role: 'user', content: 'What is 47 + 385?' }];
const question = { model: 'shoal', messages };
// No retries: a check must see the first answer, not the third.
const client = new OpenAI({ baseURL, apiKey: 'none', timeout: 120_000, maxRetries: 0 });

const contains = (text, part) => assert.ok(text.includes(part), `${part} is not in ${JSON.stringify(text)}`);
const failure = (kind, promise) =>
  promise.then(
    () => assert.fail(`no ${kind.name}`),
    (error) => {
      assert.ok(error instanceof kind, `${error?.constructor?.name}: ${error}`);
      return error;
    },
  );

const checks = {
  async 'lists models'() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    contains(names, 'shoal');
  },

  async 'retrieves a model by name'() {
    for await (const model of client.models.list()) {
      assert.equal((await client.models.retrieve(model.id)).id, model.id);
    }
  },

  async 'answers at once'() {
    const answer = await client.chat.completions.create(question);
    contains(answer.choices[0].message.content, expected);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.equal(answer.model, 'shoal');
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
    assert.equal(total_tokens, prompt_tokens + completion_tokens);
    assert.ok(completion_tokens > 0);
    assert.match(answer._request_id, /^req_/);
  },

  async 'names the round in a header'() {
    const { response } = await client.chat.completions.create(question).withResponse();
    const round = await client.get(`/rounds/${response.headers.get('x-shoal-round')}`);
    contains(round.candidates[round.winner].text, expected);
  },

  async 'answers in a stream'() {
    const stream = await client.chat.completions.create({
      ...question,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const told = chunks.filter((chunk) => chunk.choices.length > 0);
    assert.equal(told[0].choices[0].delta.role, 'assistant');
    contains(told.map((chunk) => chunk.choices[0].delta.content ?? '').join(''), expected);
    assert.equal(told.at(-1).choices[0].finish_reason, 'stop');
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  },

  async 'accumulates a stream with the helper'() {
    const stream = client.chat.completions.stream(question);
    contains(await stream.finalContent(), expected);
  },

  async 'takes the conversation back as it was given'() {
    const answer = await client.chat.completions.create(question);
    const again = await client.chat.completions.create({
      ...question,
      messages: [...messages, answer.choices[0].message, ...messages],
    });
    assert.ok(again.choices[0].message.content);
  },

  async 'an unknown model is not found'() {
    for (const stream of [false, true]) {
      const asked = client.chat.completions.create({ ...question, model: 'nobody', stream });
      const error = await failure(OpenAI.NotFoundError, asked);
      assert.equal(error.code, 'model_not_found');
      assert.equal(error.type, 'invalid_request_error');
      assert.match(error.requestID, /^req_/);
    }
  },

  async 'an unknown model cannot be retrieved'() {
    const error = await failure(OpenAI.NotFoundError, client.models.retrieve('org/nobody'));
    assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
  },

  async 'a bad temperature is a bad request'() {
    const asked = client.chat.completions.create({ ...question, temperature: 99 });
    const error = await failure(OpenAI.BadRequestError, asked);
    assert.deepEqual([error.code, error.param], ['decimal_above_max_value', 'temperature']);
  },

  async 'a body too large is refused'() {
    const huge = [{ role: 'user', content: 'x'.repeat(30 << 20) }];
    const asked = client.chat.completions.create({ ...question, messages: huge });
    const error = await failure(OpenAI.APIError, asked);
    assert.equal(error.status, 413);
  },

  async 'a stream can be left'() {
    const stream = await client.chat.completions.create({ ...question, stream: true });
    for await (const _ of stream) break;
    const aborted = new AbortController();
    const asked = client.chat.completions.create(question, { signal: aborted.signal });
    aborted.abort();
    await failure(OpenAI.APIUserAbortError, asked);
    await checks['answers at once']();
  },
};

console.log(`openai-node at ${baseURL}`);
let failed = 0;
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
