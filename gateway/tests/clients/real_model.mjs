// A real small language model through a gateway, asked by openai-node and by Vercel's `ai`.
//
// SHOAL_BASE_URL  where the API is, with /v1 at the end
// SHOAL_MODEL     the member that is asked by name (default: smollm2-135m)

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';

const baseURL = process.env.SHOAL_BASE_URL;
const model = process.env.SHOAL_MODEL ?? 'smollm2-135m';
// What a model of this size knows for certain; greedy, so that it says the same each time.
const content = 'What is the capital of France? Answer with one word.';

async function* withOpenai() {
  const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0, timeout: 120_000 });
  const asked = { model, messages: [{ role: 'user', content }], temperature: 0, max_tokens: 40 };
  yield (await client.chat.completions.create(asked)).choices[0].message.content;
  let text = '';
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
    text += chunk.choices[0]?.delta?.content ?? '';
  }
  yield text;
}

async function* withVercel() {
  const shoal = createOpenAICompatible({ name: 'shoal', baseURL, apiKey: 'none' });
  const asked = { model: shoal(model), prompt: content, temperature: 0, maxOutputTokens: 40, maxRetries: 0 };
  yield (await generateText(asked)).text;
  let text = '';
  for await (const part of streamText(asked).textStream) text += part;
  yield text;
}

for (const [name, answers] of Object.entries({ openai: withOpenai(), vercel: withVercel() })) {
  console.log(`${name} with ${model} at ${baseURL}`);
  for await (const answer of answers) {
    console.log(`      ${answer}`);
    assert.ok(answer.includes('Paris'), `Paris is not in ${JSON.stringify(answer)}`);
  }
}
