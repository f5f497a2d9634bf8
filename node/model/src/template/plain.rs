//! Templates for models that bring none.

/// Llama's and others' marks do not exist in it; what stands for them is plain text to a model
/// that does not know it.
pub(super) const CHATML: &str = "\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n' -}}";

/// A base model goes on with a text: so it is given the text of a conversation.
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

/// Where the transcript's other side would speak again.
pub(super) const STOPS: &[&str] = &["\nUser:", "\nAssistant:"];
