//! Templates for models without one.

/// ChatML. It has no control tokens of Llama or others; to a model without them its own are plain text.
pub(super) const CHATML: &str = "\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n' -}}";

/// A transcript of the conversation, because a base model continues texts.
pub(super) const TRANSCRIPT: &str = "\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{{- message.content + '\\n\\n' -}}
{%- else -%}
{{- message.role | capitalize + ': ' + message.content + '\\n\\n' -}}
{%- endif -%}
{%- endfor -%}
{{- 'Assistant:' -}}";

/// The next turn of the transcript starts with one of these.
pub(super) const STOPS: &[&str] = &["\nUser:", "\nAssistant:"];
