//! The settings file, its defaults and its errors.

use std::fs;

use super::*;

/// Reads settings from text, as from a file.
fn read(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    fs::write(&path, text).expect("written");
    Config::read(&path)
}

#[test]
fn the_documented_file_shows_every_key_at_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/gateway.toml");
    let text = fs::read_to_string(&path).expect("config/gateway.toml is there");
    let file: toml::Table = text.parse().expect("it parses");
    let defaults = toml::Table::try_from(Config::default()).expect("defaults are a table");
    assert_eq!(file, defaults);
    assert_eq!(Config::read(&path).expect("it is accepted"), Config::default());
    assert!(Config::default().check().is_ok());
}

#[test]
fn no_file_and_an_empty_file_are_the_defaults() {
    assert_eq!(read("").expect("accepted"), Config::default());
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let error = read("[http]\n\nport = 80\n").expect_err("refused").to_string();
    assert!(error.contains("gateway.toml, line 3") && error.contains("port"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_its_place() {
    for text in ["[ask]\nwriters = -1", "[http]\nlisten = \"somewhere\"", "[log]\nformat = \"xml\""]
    {
        let error = read(text).expect_err("refused").to_string();
        assert!(error.contains("line 2"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::read(Path::new("/nowhere/x.toml")).expect_err("refused").to_string();
    assert!(error.contains("/nowhere/x.toml"), "{error}");
}

#[test]
fn the_token_of_auditors_is_never_shown() {
    let config = read("[swarm.audit]\ntoken = \"herring\"").expect("accepted");
    let output = format!("{config:?} {}", toml::to_string(&config).expect("a table"));
    assert!(!output.contains("herring") && output.contains("(set)"), "{output}");
}

#[test]
fn a_token_of_auditors_that_can_be_guessed_is_known_to_be_weak() {
    let is_guessable = |token: &str| {
        let config = read(&format!("[swarm.audit]\ntoken = \"{token}\"")).expect("accepted");
        config.swarm.audit.is_guessable()
    };
    assert!(is_guessable("herring"));
    assert!(!is_guessable("9f86d081884c7d659a2feaa0c55ad015") && !is_guessable(""), "none is none");
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let cases = [
        ("[ask]\nwriters = 20", "ask.writers"),
        ("[ask]\njudges = 99", "ask.judges"),
        ("[ask]\ndeadline_ms = 1", "ask.deadline_ms"),
        ("[http]\nworkers = 0", "http.workers"),
        ("[quic]\nlinks_max = 1", "quic.links_max"),
    ];
    for (text, key) in cases {
        let error = read(text).expect("parses").check().expect_err("refused").to_string();
        assert!(error.contains(key), "{error}");
    }
}
