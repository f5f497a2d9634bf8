//! Whole turns as coding agents send them: Claude Code over `/v1/messages`, Codex over `/v1/responses`.

use reqwest::Method;
use serde_json::{Value, json};
use shoal_proto::generate::ChatMessage;

use crate::{
    gateway::{Gateway, Reply, node},
    messages::event_body,
};

/// The bodies of all events with a name.
fn events(reply: &Reply) -> Vec<Value> {
    let text = reply.text();
    let blocks = text.trim_end().split("\n\n");
    blocks.filter(|block| block.starts_with("event:")).map(event_body).collect()
}

fn roles(messages: &[ChatMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.role.as_str()).collect()
}

/// A file that an agent wants to read.
const FILE: &str = r#"{"file_path": "/tmp/notes.txt"}"#;

fn claude_code(messages: &Value) -> Value {
    json!({
        "model": "coder",
        "max_tokens": 32000,
        "stream": true,
        "temperature": 1,
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "metadata": {"user_id": "{\"device_id\":\"d\",\"session_id\":\"s\"}"},
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli;"},
            {"type": "text", "text": "You edit code.", "cache_control": {"type": "ephemeral", "scope": "global"}},
        ],
        "tools": [{
            "name": "Read",
            "description": "Reads a file.",
            "input_schema": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "properties": {"file_path": {"type": "string"}},
                "required": ["file_path"],
                "additionalProperties": false,
            },
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
            "eager_input_streaming": true,
        }],
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        "messages": messages,
    })
}

async fn send_claude_code(gateway: &Gateway, messages: &Value) -> Reply {
    let request = gateway
        .build(Method::POST, "/v1/messages?beta=true")
        .header("x-api-key", "none")
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14")
        .header("user-agent", "claude-cli/2.1 (external, cli)")
        .json(&claude_code(messages));
    let reply = gateway.send(request).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

#[tokio::test]
async fn claude_code_reads_a_file() {
    let gateway = Gateway::start([node("coder").calls(&[("Read", FILE)])]).await;
    let mut messages = json!([{"role": "user", "content": [
        {"type": "text", "text": "<system-reminder>Be careful.</system-reminder>"},
        {"type": "text", "text": "Read the notes.", "cache_control": {"type": "ephemeral"}},
    ]}]);
    let reply = send_claude_code(&gateway, &messages).await;
    let first = events(&reply);
    let call = first.iter().map(|event| &event["content_block"]).find(|b| b["type"] == "tool_use");
    let call = call.expect("a call").clone();
    let pieces = first.iter().filter_map(|event| event["delta"]["partial_json"].as_str());
    assert_eq!(call["name"], "Read");
    let input: Value = serde_json::from_str(&pieces.collect::<String>()).unwrap();
    assert_eq!(input, serde_json::from_str::<Value>(FILE).unwrap());

    // What it answered comes back with thinking that another server has signed, and the result in blocks.
    let turn = [
        json!({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "abc"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": call["id"], "name": "Read", "input": input},
        ]}),
        json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call["id"], "is_error": false, "content": [
                {"type": "text", "text": "1\tmilk"}, {"type": "text", "text": "2\tbread"},
            ], "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "<system-reminder>Go on.</system-reminder>"},
        ]}),
    ];
    messages.as_array_mut().unwrap().extend(turn);
    send_claude_code(&gateway, &messages).await;
    let messages = gateway.generate_asks().pop().unwrap().messages;
    assert_eq!(roles(&messages), ["system", "user", "assistant", "tool", "user"]);
    assert!(
        messages[0].content.contains("You edit code.") && messages[1].content.contains("the notes")
    );
    assert_eq!(messages[2].tool_calls[0].name, "Read");
    assert!(messages[3].content.contains("milk") && messages[3].content.contains("bread"));
    assert!(messages[4].content.contains("Go on."));
}

fn codex(input: &Value) -> Value {
    json!({
        "model": "coder",
        "instructions": "You are Codex.",
        "input": input,
        "tools": [
            {"type": "function", "name": "exec_command", "description": "Runs a command.", "strict": false,
                "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}},
            {"type": "custom", "name": "apply_patch", "description": "Patches files.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
            {"type": "web_search", "external_web_access": false},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": true,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": false,
        "stream": true,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "01a0",
        "text": {"verbosity": "medium"},
        "client_metadata": {"originator": "codex_cli"},
    })
}

#[tokio::test]
async fn codex_runs_a_command() {
    let command = r#"{"cmd": "ls"}"#;
    let gateway = Gateway::start([node("coder").calls(&[("exec_command", command)])]).await;
    let mut input = json!([
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files."}]},
    ]);
    let reply = gateway.post("/v1/responses", &codex(&input)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let end = events(&reply).pop().expect("an end");
    assert_eq!(end["type"], "response.completed");
    let call = end["response"]["output"][0].clone();
    assert_eq!((&call["type"], &call["arguments"]), (&json!("function_call"), &json!(command)));

    // It sends everything back, with items of its own that no member can use.
    input.as_array_mut().unwrap().extend([
        json!({"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}),
        call.clone(),
        json!({"type": "function_call_output", "call_id": call["call_id"], "output": "notes.txt"}),
        json!({"type": "custom_tool_call", "call_id": "p1", "name": "apply_patch", "input": "*** Begin Patch"}),
        json!({"type": "custom_tool_call_output", "call_id": "p1", "output": "Done!"}),
        json!({"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}),
        json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Thanks."}]}),
    ]);
    let reply = gateway.post("/v1/responses", &codex(&input)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let messages = gateway.generate_asks().pop().unwrap().messages;
    let all = ["system", "developer", "user", "assistant", "tool", "assistant", "tool", "user"];
    assert_eq!(roles(&messages), all);
    assert_eq!(
        (messages[4].content.as_str(), messages[6].content.as_str()),
        ("notes.txt", "Done!")
    );
}
