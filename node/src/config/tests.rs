use super::*;

/// The file that documents every key.
const SAMPLE: &str = include_str!("../../../config/node.toml");

fn with_gateway(config: Config) -> Config {
    Config { gateway: vec!["127.0.0.1:8443".to_owned()], ..config }
}

fn folder(config: Config) -> Config {
    with_gateway(Config { model: Some("models/small".to_owned()), ..config })
}

fn complaint(config: Config) -> String {
    config.check().unwrap_err().to_string()
}

#[test]
fn the_documented_file_is_the_default() {
    assert_eq!(Config::parse(SAMPLE).unwrap(), Config::default());
}

#[test]
fn every_key_is_documented_with_a_reason() {
    // Debug names each field once, at the start of a line.
    let debug = format!("{:#?}", Config::default());
    let keys = debug.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(':'));
    for (key, _) in keys.filter(|(key, _)| !key.starts_with(' ')) {
        let at = SAMPLE.find(&format!("\n{key} = ")).unwrap_or_else(|| panic!("{key} is missing"));
        assert!(SAMPLE[..at].lines().last().unwrap().starts_with('#'), "{key} has no reason");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let (line, why) = Config::parse("slots = 2\nslot = 3\n").unwrap_err();
    assert_eq!(line, 2);
    assert!(why.contains("`slot`"), "{why}");
}

#[test]
fn a_wrong_type_is_named_with_its_line() {
    let (line, why) = Config::parse("\n\nslots = \"two\"\n").unwrap_err();
    assert_eq!(line, 3);
    assert!(why.contains("string \"two\""), "{why}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::read(Path::new("/nowhere/node.toml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /nowhere/node.toml: "), "{error}");
}

#[test]
fn a_node_serves_exactly_one_model() {
    let config =
        folder(Config { upstream: Some("http://localhost".to_owned()), ..Config::default() });
    assert!(complaint(config).contains("both a model and an upstream"));
    assert!(complaint(with_gateway(Config::default())).contains("no model"));
}

#[test]
fn wrong_values_are_named() {
    let bad_id = folder(Config { gateway_id: Some("abc".to_owned()), ..Config::default() });
    assert!(complaint(bad_id).starts_with("gateway_id: a node id is 64 hex digits"));
    for (tags, why) in [
        (vec!["two words".to_owned()], "tags: \"two words\" is not 1 to 32 letters"),
        (vec![String::new()], "tags: \"\" is not 1 to 32 letters"),
        (vec!["t".repeat(33)], "is not 1 to 32 letters"),
        (vec!["math".to_owned(); 17], "tags: 17 of them, at most 16 are told"),
    ] {
        let text = complaint(folder(Config { tags: tags.clone(), ..Config::default() }));
        assert!(text.contains(why), "{text}");
        let persona = Persona { name: "a".to_owned(), tags, ..Persona::default() };
        let text = complaint(folder(Config { persona: vec![persona], ..Config::default() }));
        assert!(text.starts_with("persona \"a\": tags: "), "{text}");
    }
    let bad_metrics = folder(Config { metrics: Some("9000".to_owned()), ..Config::default() });
    assert!(complaint(bad_metrics).starts_with("metrics: "));
    assert_eq!(complaint(folder(Config { slots: 0, ..Config::default() })), "slots is at least 1");
    for address in ["host", ":1", "host:", "host:0", "host:70000"] {
        let config = Config { gateway: vec![address.to_owned()], ..folder(Config::default()) };
        assert_eq!(complaint(config), format!("gateway {address:?} is not HOST:PORT"));
    }
}

#[test]
fn an_upstream_needs_the_models_name_there() {
    let config =
        with_gateway(Config { upstream: Some("http://localhost".to_owned()), ..Config::default() });
    assert!(complaint(config).contains("--upstream-model"));
}

#[test]
fn a_key_variable_that_is_not_set_is_named() {
    let config = with_gateway(Config {
        upstream: Some("http://localhost".to_owned()),
        upstream_model: Some("m".to_owned()),
        upstream_key_env: Some("SHOAL_NOBODY_SETS_THIS".to_owned()),
        ..Config::default()
    });
    assert!(complaint(config).contains("SHOAL_NOBODY_SETS_THIS"));
}

#[test]
fn each_model_has_a_data_directory_of_its_own() {
    assert!(data_of("bundled:shoal-sum").ends_with("shoal/node-shoal-sum"));
    assert!(data_of("some/where/else").ends_with("shoal/node-else"));
}

#[test]
fn personas_have_names_of_their_own() {
    let two = "[[persona]]\nname = \"a\"\ntemperature = 0.5\n[[persona]]\nname = \"b\"\nsystem = \"Be brief.\"\n";
    let [a, b] = <[Persona; 2]>::try_from(personas(two).unwrap()).unwrap();
    assert_eq!((a.temperature, a.seed, b.system.as_str()), (Some(0.5), None, "Be brief."));
    for (text, complaint) in [
        ("[[persona]]\nname = \"\"", "1 to 96 letters"),
        ("[[persona]]\nname = \"a b\"", "1 to 96 letters"),
        ("[[persona]]\nname = \"..\"", "1 to 96 letters"),
        ("[[persona]]\nname = \"a\"\n[[persona]]\nname = \"a\"", "two of this name"),
        ("[[persona]]\nname = \"a\"\ntemperature = 3.0", "temperature is 0 to 2"),
        ("name = \"x\"\n[[persona]]\nname = \"a\"", "both a name and personas"),
    ] {
        let error = personas(text).unwrap_err().to_string();
        assert!(error.contains(complaint), "{text}: {error}");
    }
    let (_, why) = Config::parse("[[persona]]\nname = \"a\"\nrules = \"x\"").unwrap_err();
    assert!(why.contains("`rules`"), "{why}");
}

fn personas(text: &str) -> Result<Vec<Persona>, ConfigError> {
    let config = Config::parse(text).unwrap();
    folder(config).check().map(|settings| settings.personas)
}

fn data_of(model: &str) -> PathBuf {
    let config = with_gateway(Config { model: Some(model.to_owned()), ..Config::default() });
    config.check().unwrap().data
}
