// Vercel's `ai` with @ai-sdk/openai-compatible against a gateway. One line per check; exit code 1
// when one fails.
//
// SHOAL_BASE_URL  where the API is, with /v1 at the end
// SHOAL_EXPECT    what the answer to "What is 47 + 385?" must contain (default: 432)

import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateObject, generateText, streamText, tool } from 'ai';
import { z } from 'zod';

const baseURL = process.env.SHOAL_BASE_URL;
const expected = process.env.SHOAL_EXPECT ?? '432';
const prompt = 'What is 47 + 385?';
const shoal = createOpenAICompatible({
  name: 'shoal',
  baseURL,
  apiKey: 'none',
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const question = { model: shoal('shoal'), prompt, maxRetries: 0 };
const Verdict = z.object({ right: z.boolean(), digit: z.number().int().min(0).max(9) });

const contains = (text, part) => assert.ok(text.includes(part), `${part} is not in ${JSON.stringify(text)}`);

const checks = {
  async 'answers at once'() {
    const answer = await generateText(question);
    contains(answer.text, expected);
    assert.equal(answer.finishReason, 'stop');
    assert.ok(answer.usage.outputTokens > 0);
  },

  async 'answers in a stream'() {
    const answer = streamText(question);
    let text = '';
    for await (const piece of answer.textStream) text += piece;
    contains(text, expected);
    assert.equal(await answer.finishReason, 'stop');
    assert.ok((await answer.usage).outputTokens > 0);
  },

  async 'a stream can be left'() {
    const left = new AbortController();
    const answer = streamText({ ...question, abortSignal: left.signal });
    left.abort();
    for await (const _ of answer.textStream);
    await checks['answers at once']();
  },

  async 'keeps to a schema'() {
    const { object } = await generateObject({ ...question, schema: Verdict });
    Verdict.parse(object);
  },

  async 'calls a function that it must call'() {
    const note = tool({ description: 'Notes it.', inputSchema: Verdict });
    const asked = { ...question, tools: { note }, toolChoice: { type: 'tool', toolName: 'note' } };
    const { toolCalls } = await generateText(asked);
    assert.deepEqual(toolCalls.map((call) => call.toolName), ['note']);
    Verdict.parse(toolCalls[0].input);
    const streamed = streamText(asked);
    Verdict.parse((await streamed.toolCalls)[0].input);
  },

  async 'an unknown model is not found'() {
    const error = await generateText({ ...question, model: shoal('nobody') }).catch((error) => error);
    assert.ok(APICallError.isInstance(error), String(error));
    assert.equal(error.statusCode, 404);
  },
};

console.log(`vercel ai at ${baseURL}`);
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
