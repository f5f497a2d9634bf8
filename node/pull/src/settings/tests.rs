use super::*;

/// Settings of a user whose environment is this.
fn read(variables: &[(&str, &str)], home: &Path) -> Result<Settings, PullError> {
    let default = ("PIP_CONFIG_FILE", "/dev/null");
    Settings::read(
        &|name| {
            let mut variables = variables.iter().chain([&default]);
            variables.find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        },
        Some(home),
    )
}

#[test]
fn everything_has_a_place_without_being_told() {
    let home = tempfile::tempdir().unwrap();
    let settings = read(&[], home.path()).unwrap();
    assert_eq!(settings.models, home.path().join(".cache/shoal/models"));
    assert_eq!(settings.hub.cache, home.path().join(".cache/huggingface/hub"));
    assert_eq!(settings.hub.endpoint.as_str(), "https://huggingface.co/");
    assert_eq!(settings.indexes.len(), 1);
    assert_eq!(settings.indexes[0].as_str(), "https://pypi.org/simple/");
    assert!(settings.hub.token.expose().is_none() && !settings.hub.offline);
}

#[test]
fn the_variables_of_the_hub_mean_what_they_mean_to_python() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("token"), "hf_kept\n").unwrap();
    let hf_home = home.path().to_str().unwrap();
    let set = [
        ("HF_HOME", hf_home),
        ("HF_ENDPOINT", "https://hub.example/hf"),
        ("HF_HUB_OFFLINE", "true"),
        ("SHOAL_MODELS", "/models"),
    ];
    let settings = read(&set, Path::new("/nowhere")).unwrap();
    assert_eq!(settings.models, Path::new("/models"));
    assert_eq!(settings.hub.cache, home.path().join("hub"));
    assert_eq!(settings.hub.endpoint.as_str(), "https://hub.example/hf/");
    assert_eq!(settings.hub.token, Secret::new("hf_kept"));
    assert!(settings.hub.offline);
    let settings = read(&[("HF_HOME", hf_home), ("HF_TOKEN", "hf_told")], Path::new("/")).unwrap();
    assert_eq!(settings.hub.token, Secret::new("hf_told"));
    let cache = read(&[("HF_HUB_CACHE", "/cache")], Path::new("/")).unwrap().hub.cache;
    assert_eq!(cache, Path::new("/cache"));
}

#[test]
fn pips_file_is_read_and_its_variables_come_first() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pip.conf");
    let text = "# ours\n[global]\ntimeout = 60\nindex-url = https://u:p@mirror.example/simple/\n\
                extra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n\
                cert: /ca.pem\n[install]\nindex-url = https://not.this/\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let settings = read(&[("PIP_CONFIG_FILE", file)], home.path()).unwrap();
    let indexes: Vec<_> = settings.indexes.iter().map(Url::as_str).collect();
    let urls = [
        "https://u:p@mirror.example/simple/",
        "https://one.example/simple/",
        "https://two.example/simple/",
    ];
    assert_eq!(indexes, urls);
    assert_eq!(settings.certificates, Some(PathBuf::from("/ca.pem")));
    let set = [("PIP_CONFIG_FILE", file), ("PIP_INDEX_URL", "http://127.0.0.1:1/simple")];
    let settings = read(&set, home.path()).unwrap();
    assert_eq!(settings.indexes[0].as_str(), "http://127.0.0.1:1/simple/");
}

#[test]
fn a_wrong_address_is_named_with_its_setting() {
    let error = read(&[("HF_ENDPOINT", "hub.example")], Path::new("/")).unwrap_err().to_string();
    assert!(error.starts_with("HF_ENDPOINT: \"hub.example\": "), "{error}");
    let error = read(&[("PIP_INDEX_URL", "file:///x")], Path::new("/")).unwrap_err().to_string();
    assert!(error.contains("does not begin with http"), "{error}");
}

#[test]
fn without_a_home_the_way_out_is_named() {
    let error = Settings::read(&|_| None, None).unwrap_err().to_string();
    assert_eq!(error, "SHOAL_MODELS: no home folder to keep models in: set it to a folder");
}
