// The official JavaScript SDK against a gateway whose members are real models: what needs an
// engine. One line per check; exit code 1 when one fails.
//
// SHOAL_BASE_URL  where the API is, with /v1 at the end
// SHOAL_EXPECT    what the answer to "What is 47 + 385?" must contain (default: 432)

import assert from 'node:assert/strict';
import OpenAI from 'openai';

const baseURL = process.env.SHOAL_BASE_URL;
const expected = process.env.SHOAL_EXPECT ?? '432';
const prompt = 'What is 47 + 385?';
const question = { model: 'shoal', messages: [{ role: 'user', content: prompt }] };
const client = new OpenAI({ baseURL, apiKey: 'none', timeout: 120_000, maxRetries: 0 });

const schema = {
  type: 'object',
  properties: { right: { type: 'boolean' }, digit: { type: 'integer', minimum: 0, maximum: 9 } },
  required: ['right', 'digit'],
  additionalProperties: false,
};
const tools = [{ type: 'function', function: { name: 'note', parameters: schema, strict: true } }];
const tool_choice = { type: 'function', function: { name: 'note' } };

const contains = (text, part) => assert.ok(text.includes(part), `${part} is not in ${JSON.stringify(text)}`);
const fits = (value) => {
  assert.deepEqual(Object.keys(value).sort(), ['digit', 'right']);
  assert.equal(typeof value.right, 'boolean');
  assert.ok(Number.isInteger(value.digit) && value.digit >= 0 && value.digit <= 9);
};

const checks = {
  async 'keeps to a schema, streamed and not'() {
    const response_format = { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema } };
    const answer = await client.chat.completions.create({ ...question, response_format });
    fits(JSON.parse(answer.choices[0].message.content));
    const stream = client.chat.completions.stream({ ...question, response_format });
    fits(JSON.parse(await stream.finalContent()));
  },

  async 'calls a function that it must call, streamed and not'() {
    const asked = { ...question, tools, tool_choice };
    const answer = await client.chat.completions.create(asked);
    fits(JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments));
    const stream = client.chat.completions.stream(asked);
    const call = (await stream.finalMessage()).tool_calls[0];
    assert.equal(call.function.name, 'note');
    fits(JSON.parse(call.function.arguments));
  },

  async 'gives several answers'() {
    const answer = await client.chat.completions.create({ ...question, n: 2 });
    assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
    contains(answer.choices[0].message.content, expected);
  },

  async 'responds, at once and in events'() {
    const answer = await client.responses.create({ model: 'shoal', input: prompt });
    contains(answer.output_text, expected);
    const kinds = [];
    for await (const event of await client.responses.create({ model: 'shoal', input: prompt, stream: true })) {
      kinds.push(event.type);
    }
    assert.equal(kinds[0], 'response.created');
    assert.equal(kinds.at(-1), 'response.completed');
  },

  async 'embeds'() {
    const found = await client.embeddings.create({ model: 'shoal-story', input: ['sea', 'the sea'] });
    for (const { embedding } of found.data) {
      assert.ok(Math.abs(embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-3);
    }
  },
};

console.log(`openai-node, engine, at ${baseURL}`);
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
