use proptest::prelude::*;
use serde_json::json;
use shoal_proto::tools::{Function, ToolChoice};

use super::*;

fn function(name: &str) -> Function {
    Function { name: name.to_owned(), ..Function::default() }
}

fn tools(parallel: bool) -> Tools {
    Tools {
        functions: vec![function("weather"), function("now")],
        choice: ToolChoice::Auto as i32,
        parallel,
        ..Tools::default()
    }
}

/// Text, and calls as name and arguments.
type Parse = (String, Vec<(String, String)>);

fn read_with(parser: &mut CallParser, pieces: &[&str]) -> String {
    pieces.iter().map(|piece| parser.push(piece)).collect()
}

fn read(dialect: Dialect, pieces: &[&str]) -> Parse {
    let mut parser = CallParser::new(dialect, &tools(true));
    let mut text = read_with(&mut parser, pieces);
    let (rest, calls) = parser.finish();
    text.push_str(&rest);
    (text, calls.into_iter().map(|call| (call.name, call.arguments)).collect())
}

fn graz() -> (String, String) {
    ("weather".to_owned(), r#"{"city":"Graz"}"#.to_owned())
}

fn now() -> (String, String) {
    ("now".to_owned(), "{}".to_owned())
}

#[test]
fn each_dialect_is_understood() {
    let hermes = "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \
                  \"Graz\"}}\n</tool_call>\n<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>\n";
    assert_eq!(read(Dialect::Hermes, &[hermes]), ("Let me see.".to_owned(), vec![graz(), now()]));
    // A stop text may have cut the closing tag off.
    let open = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n";
    assert_eq!(read(Dialect::Hermes, &[open]), (String::new(), vec![now()]));

    let llama =
        r#"{"name": "weather", "parameters": {"city": "Graz"}}; {"name": "now", "parameters": {}}"#;
    assert_eq!(read(Dialect::Llama, &[llama]), (String::new(), vec![graz(), now()]));
    let with_tag = format!("<|python_tag|>{llama}");
    assert_eq!(read(Dialect::Llama, &[&with_tag]), (String::new(), vec![graz(), now()]));

    let nemo = r#"[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Graz"}, "id": "abcDEF123"}, {"name": "now", "arguments": {}}]"#;
    assert_eq!(read(Dialect::Mistral, &[nemo]), (String::new(), vec![graz(), now()]));
    let small =
        r#"Hm.[TOOL_CALLS]weather[CALL_ID]abcDEF123[ARGS]{"city": "Graz"}[TOOL_CALLS]now[ARGS]{}"#;
    assert_eq!(read(Dialect::MistralArgs, &[small]), ("Hm.".to_owned(), vec![graz(), now()]));
}

#[test]
fn calls_have_identifiers_theirs_or_ours() {
    let nemo = r#"[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "abcDEF123"}, {"name": "now", "arguments": {}}]"#;
    let mut parser = CallParser::new(Dialect::Mistral, &tools(true));
    parser.push(nemo);
    let ids: Vec<&str> = parser.calls().iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids[0], "abcDEF123");
    assert!(ids[1].starts_with("call_") && ids[1].len() == 29, "{}", ids[1]);
}

#[test]
fn what_is_no_call_is_text_and_never_lost() {
    for (dialect, text) in [
        (Dialect::Hermes, "a <tool_call> b"),
        (Dialect::Hermes, "<tool_call>{\"name\": \"unknown\", \"arguments\": {}}</tool_call>"),
        (Dialect::Hermes, "<tool_call>{\"name\": \"now\", \"arguments\": {}} and then"),
        (Dialect::Hermes, "<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>"),
        (Dialect::Hermes, "<tool_call>{\"name\": \"now\", \"argum"),
        (Dialect::Hermes, "  <tool_call"),
        (Dialect::Llama, "{\"a\": 1} is JSON"),
        (Dialect::Llama, "Use {\"name\": \"now\", \"parameters\": {}}"),
        (Dialect::Llama, "{\"name\": \"now\"}"),
        (Dialect::Llama, "; {\"name\": \"now\", \"parameters\": {}}"),
        (Dialect::Mistral, "[TOOL_CALLS] nothing to call!"),
        (Dialect::Mistral, "[TOOL_CALLS][1]"),
        (Dialect::MistralArgs, "[TOOL_CALLS]unknown[ARGS]{}"),
    ] {
        assert_eq!(read(dialect, &[text]), (text.to_owned(), Vec::new()), "{dialect:?}");
    }
}

#[test]
fn braces_inside_of_strings_end_nothing() {
    let arguments = json!({ "city": "}\"]</tool_call>{\\" });
    let text =
        format!("<tool_call>{{\"name\": \"weather\", \"arguments\": {arguments}}}</tool_call>");
    let calls = vec![("weather".to_owned(), arguments.to_string())];
    assert_eq!(read(Dialect::Hermes, &[&text]), (String::new(), calls));
}

#[test]
fn one_call_is_enough_where_one_is_allowed() {
    let call = "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>";
    let mut parser = CallParser::new(Dialect::Hermes, &tools(false));
    assert_eq!(read_with(&mut parser, &[call, call, "text"]), "");
    assert!(parser.is_over());
    assert_eq!(parser.finish().1.len(), 1);
}

#[test]
fn text_that_cannot_become_a_call_is_not_held_back() {
    let mut parser = CallParser::new(Dialect::Hermes, &tools(true));
    assert_eq!(parser.push("a<tool"), "a");
    assert_eq!(parser.push("box> b "), "<toolbox> b");
    assert_eq!(parser.push("c"), " c");
}

#[test]
fn templates_tell_the_dialect() {
    for (template, dialect) in [
        ("{{ tools }}<tool_call>", Some(Dialect::Hermes)),
        (r#"{{ tools }} {"name": x, "parameters": y}"#, Some(Dialect::Llama)),
        (r#"{{ tools }} '"parameters": '"#, Some(Dialect::Llama)),
        ("{{ tools }}[TOOL_CALLS][ARGS]", Some(Dialect::MistralArgs)),
        ("[TOOL_CALLS] {{ tools }}", Some(Dialect::Mistral)),
        ("{{ messages }}", None),
    ] {
        assert_eq!(Dialect::from_template(template), dialect, "{template}");
    }
}

/// Whole calls, parts of calls, and text, in a row.
fn parts(dialect: Dialect) -> impl Strategy<Value = Vec<String>> {
    let opener = dialect.opener();
    let fragments = [
        opener,
        "</tool_call>",
        " ",
        "\n",
        ";",
        "; ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "\\",
        "a",
        "\u{e4}",
        "now",
        "[ARGS]",
        "[CALL_ID]",
        "weather",
        "<tool",
        "{\"name\": \"now\", \"arguments\": {}}",
        "{\"name\": \"now\", \"parameters\": {\"a\": [1]}}",
        "{\"name\": \"x\", \"arguments\": {}}",
        "[{\"name\": \"now\", \"arguments\": {\"b\": \"}\"}}]",
    ];
    let fragments: Vec<String> = fragments.into_iter().map(str::to_owned).collect();
    proptest::collection::vec(proptest::sample::select(fragments), 0..14)
}

proptest! {
    #[test]
    fn pieces_cut_anywhere_give_the_same_text_and_calls(
        (dialect, parts) in proptest::sample::select(vec![
            Dialect::Hermes, Dialect::Llama, Dialect::Mistral, Dialect::MistralArgs,
        ]).prop_flat_map(|dialect| (Just(dialect), parts(dialect))),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let whole = parts.concat();
        let borders: Vec<usize> = whole.char_indices().map(|(at, _)| at).chain([whole.len()]).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&borders)).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&str> = cuts.windows(2).map(|cut| &whole[cut[0]..cut[1]]).collect();
        prop_assert_eq!(read(dialect, &pieces), read(dialect, &[&whole]));
        let letters: Vec<&str> = borders.windows(2).map(|cut| &whole[cut[0]..cut[1]]).collect();
        let (text, calls) = read(dialect, &letters);
        prop_assert_eq!((text.clone(), calls.clone()), read(dialect, &[&whole]));
        // Without a call, everything is text.
        if calls.is_empty() {
            prop_assert_eq!(text, whole);
        }
    }
}
