use shoal_proto::tools::{Function, ToolCall, ToolChoice};

use super::*;

mod parity;

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage::new(role, content)
}

fn template(source: &str) -> Template {
    Template::new(source, None, "<s>".to_owned(), "</s>".to_owned()).unwrap()
}

fn render(source: &str, messages: &[ChatMessage]) -> Result<String, Error> {
    template(source).render(messages, None, "")
}

/// Tools with one function.
pub(crate) fn weather(choice: ToolChoice) -> Tools {
    let parameters = r#"{"type": "object", "properties": {"city": {"type": "string"}}}"#;
    Tools {
        functions: vec![Function {
            name: "weather".to_owned(),
            description: "Tells the weather.".to_owned(),
            parameters: parameters.to_owned(),
            strict: false,
        }],
        choice: choice as i32,
        ..Tools::default()
    }
}

#[test]
fn a_conversation_becomes_a_prompt() {
    let prompt =
        render(plain::CHATML, &[message("system", "Be brief."), message("user", "Hello?")])
            .unwrap();
    assert_eq!(
        prompt,
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello?<|im_end|>\n\
         <|im_start|>assistant\n"
    );
}

#[test]
fn a_base_model_is_given_a_transcript() {
    let messages =
        [message("system", "Be brief."), message("user", "Hi"), message("assistant", "Hello.")];
    let prompt = render(plain::TRANSCRIPT, &messages).unwrap();
    assert_eq!(prompt, "<s>Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nAssistant:");
}

fn base_template(choice: &Choice) -> Result<Template, LoadError> {
    Template::from_source(choice, Source::default(), "base.gguf")
}

#[test]
fn a_base_model_is_served_only_when_its_owner_says_how() {
    let error = base_template(&Choice::Own).unwrap_err().to_string();
    assert!(error.contains("base.gguf") && error.contains("--template plain"), "{error}");
    assert_eq!(base_template(&Choice::Plain).unwrap().stops(), ["\nUser:", "\nAssistant:"]);
    assert!(base_template(&Choice::Chatml).unwrap().stops().is_empty());
    let own = base_template(&Choice::Text("{{ messages[0].content }}".to_owned())).unwrap();
    assert_eq!(own.render(&[message("user", "x")], None, "").unwrap(), "x");
}

#[test]
fn marks_are_known_and_python_methods_work() {
    let source = "{{ bos_token }}{% if messages[0].content.startswith('a') %}{{ \
                  messages[-1]['content'].upper() }}{% endif %}{{ eos_token }}";
    assert_eq!(render(source, &[message("user", "abc")]).unwrap(), "<s>ABC</s>");
}

#[test]
fn a_template_can_refuse() {
    let source = "{{ raise_exception('roles must alternate') }}";
    let error = render(source, &[message("user", "x")]).unwrap_err();
    assert!(error.to_string().contains("roles must alternate"));
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let source = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}";
    assert!(render(source, &[message("user", "x")]).is_err());
}

fn render_json(filter: &str) -> String {
    let value = "{'b': [1, 2.5, none, 1e-7, 1e16], 'a': {'c': '<\u{fc}\\'\u{1f41f}>'}, 'e': []}";
    render(&format!("{{{{ {value} | {filter} }}}}"), &[]).unwrap()
}

#[test]
fn json_is_written_as_python_writes_it() {
    let plain = r#"{"b": [1, 2.5, null, 1e-07, 1e+16], "a": {"c": "<ü'🐟>"}, "e": []}"#;
    assert_eq!(render_json("tojson"), plain);
    let ascii = r#"{"a":{"c":"<\u00fc'\ud83d\udc1f>"},"b":[1,2.5,null,1e-07,1e+16],"e":[]}"#;
    let filter = "tojson(ensure_ascii=true, sort_keys=true, separators=[',', ':'])";
    assert_eq!(render_json(filter), ascii);
    let lines = "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}";
    assert_eq!(render("{{ {'a': [1], 'b': {}} | tojson(indent=2) }}", &[]).unwrap(), lines);
}

#[test]
fn values_print_as_in_python() {
    let source = "{{ true }} {{ none }} {{ [1, 'a', {'b': \"it's\"}] }} {{ 2.0 }} {{ nothing }}";
    assert_eq!(render(source, &[]).unwrap(), "True None [1, 'a', {'b': \"it's\"}] 2.0 ");
}

#[test]
fn dates_are_written_as_asked() {
    let year = render("{{ strftime_now('%d %b %Y') }}", &[]).unwrap();
    assert_eq!(year.split(' ').count(), 3, "{year}");
    assert!(render("{{ strftime_now('%Q %') }}", &[]).is_err());
}

#[test]
fn variables_reach_the_template_but_replace_nothing() {
    let template = template("{{ enable_thinking }}{{ messages[0].content }}");
    let messages = [message("user", "x")];
    let variables = r#"{"enable_thinking": false, "messages": []}"#;
    assert_eq!(template.render(&messages, None, variables).unwrap(), "Falsex");
    assert!(template.render(&messages, None, "[]").is_err());
}

#[test]
fn functions_calls_and_results_stand_as_openai_writes_them() {
    let source = "{{ tools | tojson }}{% for message in messages %}{{ '\\n' }}{{ message | tojson }}\
                  {% endfor %}";
    let call = ToolCall {
        id: "call_1".to_owned(),
        name: "weather".to_owned(),
        arguments: r#"{"city": "Graz"}"#.to_owned(),
    };
    let call_message = ChatMessage { tool_calls: vec![call], ..message("assistant", "") };
    let result = ChatMessage { tool_call_id: "call_1".to_owned(), ..message("tool", "rain") };
    let prompt = template(source)
        .render(&[call_message, result], Some(&weather(ToolChoice::Auto)), "")
        .unwrap();
    assert_eq!(
        prompt,
        r#"[{"type": "function", "function": {"name": "weather", "description": "Tells the weather.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
{"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Graz"}}}]}
{"role": "tool", "content": "rain", "tool_call_id": "call_1"}"#
    );
}

#[test]
fn a_template_that_knows_no_functions_is_helped() {
    let call = ToolCall {
        id: "call_1".to_owned(),
        name: "weather".to_owned(),
        arguments: r#"{"city":"Graz"}"#.to_owned(),
    };
    let call_message =
        ChatMessage { tool_calls: vec![call], ..message("assistant", "Let me see.") };
    let messages =
        [message("user", "Rain?"), call_message, message("tool", "no"), message("tool", "yes")];
    let prompt =
        template(plain::CHATML).render(&messages, Some(&weather(ToolChoice::Auto)), "").unwrap();
    assert!(prompt.starts_with("<|im_start|>system\n# Tools"), "{prompt}");
    assert!(prompt.contains(r#""name": "weather", "description": "Tells the weather.""#));
    let turns = "<|im_start|>user\nRain?<|im_end|>\n<|im_start|>assistant\nLet me see.\n<tool_call>\n\
                 {\"name\": \"weather\", \"arguments\": {\"city\":\"Graz\"}}\n</tool_call><|im_end|>\n\
                 <|im_start|>user\n<tool_response>\nno\n</tool_response>\n<tool_response>\nyes\n\
                 </tool_response><|im_end|>\n<|im_start|>assistant\n";
    assert!(prompt.ends_with(turns), "{prompt}");
}

#[test]
fn functions_that_may_not_be_called_are_not_shown() {
    let tools = weather(ToolChoice::None);
    let prompt = template(plain::CHATML).render(&[message("user", "x")], Some(&tools), "").unwrap();
    assert!(!prompt.contains("weather"));
}

#[test]
fn what_the_system_says_is_never_lost() {
    let refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not \
                   supported') }}{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content }};\
                   {% endfor %}";
    let ignores = "{% for m in messages %}{% if m.role == 'user' %}user:{{ m.content }};{% endif %}\
                   {% endfor %}";
    for source in [refuses, ignores] {
        let prompt = render(source, &[message("system", "S"), message("user", "U")]).unwrap();
        assert_eq!(prompt, "user:S\n\nU;");
        // The role's newer name is the same.
        let prompt = render(source, &[message("developer", "S"), message("user", "U")]).unwrap();
        assert_eq!(prompt, "user:S\n\nU;");
    }
}

#[test]
fn a_template_that_wants_short_identifiers_gets_them() {
    let source = "{% for m in messages %}{% if m.tool_call_id | length != 9 %}{{ \
                  raise_exception('9!') }}{% endif %}{{ m.tool_call_id }} {% endfor %}{# tools #}";
    let ids = ["call_1", "abcABC123", "call_1"]
        .map(|id| ChatMessage { tool_call_id: id.to_owned(), ..message("tool", "x") });
    let prompt = render(source, &ids).unwrap();
    let ids: Vec<&str> = prompt.split_whitespace().collect();
    assert_eq!((ids[0], ids[1]), (ids[2], "abcABC123"));
}
