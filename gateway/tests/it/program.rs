//! The program: one clear line when it cannot start, and a clean end when it is stopped.

use std::{
    ffi::OsStr,
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// The gateway on free ports with its data folder in `data`.
pub(crate) fn program(data: &Path) -> Command {
    program_at("127.0.0.1:0", data)
}

/// The gateway at an address of its API.
fn program_at(http: &str, data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-gateway"));
    for variable in [
        "SHOAL_HTTP",
        "SHOAL_QUIC",
        "SHOAL_DATA",
        "SHOAL_CONFIG",
        "SHOAL_LOG",
        "SHOAL_OPEN",
        "SHOAL_API_KEYS",
        "SHOAL_AUDIT_TOKEN",
    ] {
        command.env_remove(variable);
    }
    command.args(["--http", http, "--quic", "127.0.0.1:0", "--data"]).arg(data);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The error line when it refuses to start.
fn refusal(output: &Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.trim().lines().count(), 1, "{message}");
    message
}

/// The child's exit code once it has ended; kills it and fails after half a minute.
fn exit_code(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if start.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for the file with the gateway's addresses.
pub(crate) fn wait_for_addresses(data: &Path) -> serde_json::Value {
    let start = Instant::now();
    loop {
        if let Ok(bytes) = fs::read(data.join("addresses.json")) {
            return serde_json::from_slice(&bytes).unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(30), "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_taken_port_is_one_line_with_the_address_and_the_way_out() {
    let data = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let cases: [(&str, &str, SocketAddr); 2] = [
        ("--http", "SHOAL_HTTP", tcp.local_addr().unwrap()),
        ("--quic", "SHOAL_QUIC", udp.local_addr().unwrap()),
    ];
    for (flag, variable, address) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-gateway"));
        command.env_remove("SHOAL_CONFIG").arg("--data").arg(data.path());
        let free_flag = if flag == "--http" { "--quic" } else { "--http" };
        command.args([flag, &address.to_string(), free_flag, "127.0.0.1:0"]);
        let message = refusal(&command.output().unwrap());
        assert!(message.contains(&address.to_string()) && message.contains(variable), "{message}");
    }
}

#[test]
fn settings_that_are_wrong_are_one_line_with_the_file_and_the_key() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("my.toml");
    for (text, key) in [("[http]\nport = 80", "port"), ("[ask]\nwriters = 99", "ask.writers")] {
        fs::write(&file, text).unwrap();
        let message = refusal(&program(data.path()).arg("--config").arg(&file).output().unwrap());
        assert!(message.contains(key), "{message}");
    }
    let message =
        refusal(&program(data.path()).args(["--config", "/nowhere/x.toml"]).output().unwrap());
    assert!(message.contains("/nowhere/x.toml"), "{message}");
}

#[test]
fn a_setting_that_protects_never_falls_back_to_open() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("my.toml");
    fs::write(&file, "[http]\nkeys = [\"sk-of-the-file\"]\n[swarm.audit]\ntoken = \"of the file\"")
        .unwrap();
    for (variable, value) in [
        ("SHOAL_API_KEYS", ""),
        ("SHOAL_API_KEYS", " "),
        ("SHOAL_API_KEYS", " , "),
        ("SHOAL_API_KEYS", "sk-one,,sk-two"),
        ("SHOAL_API_KEYS", "sk-one,k\u{e9}y"),
        ("SHOAL_AUDIT_TOKEN", ""),
        ("SHOAL_OPEN", ""),
    ] {
        let mut command = program(data.path());
        command.arg("--config").arg(&file).env(variable, value);
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{variable}={value:?}");
        let message = String::from_utf8_lossy(&output.stderr);
        let setting = if value.trim().is_empty() { variable } else { "http.keys" };
        let names_it = message.contains(setting) || message.contains("--open");
        assert!(names_it && !message.contains("sk-one"), "{variable}={value:?}: {message}");
    }
    let invalid = OsStr::from_bytes(b"sk-\xff");
    let mut command = program(data.path());
    let message = refusal(&command.env("SHOAL_API_KEYS", invalid).output().unwrap());
    assert!(message.contains("SHOAL_API_KEYS"), "{message}");
}

#[test]
fn what_holds_words_of_clients_is_readable_by_its_owner_only() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("shoal.sqlite"), "").unwrap();
    fs::set_permissions(data.path().join("shoal.sqlite"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let mut child = program(data.path()).spawn().unwrap();
    wait_for_addresses(data.path());
    let mut count = 0;
    for file in fs::read_dir(data.path()).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("shoal.sqlite") || name.ends_with(".key") {
            assert_eq!(file.metadata().unwrap().mode() & 0o077, 0, "{name}");
            count += 1;
        }
    }
    assert!(count >= 3, "{count} files");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn requests_that_cannot_be_read_write_no_log() {
    let data = tempfile::tempdir().unwrap();
    let mut child = program(data.path()).env_remove("RUST_LOG").spawn().unwrap();
    let http = wait_for_addresses(data.path())["http"].as_str().unwrap().to_owned();
    for _ in 0..20 {
        let mut socket = std::net::TcpStream::connect(&http).unwrap();
        std::io::Write::write_all(&mut socket, b"\0\r\n\r\n").unwrap();
        let mut reply = Vec::new();
        let _ = std::io::Read::read_to_end(&mut socket, &mut reply);
    }
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(exit_code(&mut child), Some(0));
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(!log.contains("ERROR") && log.lines().count() < 10, "{log}");
}

#[test]
fn an_address_that_others_can_reach_needs_keys_or_a_word() {
    let data = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let message = refusal(&program_at(address, data.path()).output().unwrap());
        assert!(message.contains("http.open") && message.contains("SHOAL_API_KEYS"), "{message}");
    }
    for (name, value, warns) in [("SHOAL_OPEN", "true", true), ("SHOAL_API_KEYS", "sk-one", false)]
    {
        let mut command = program_at("0.0.0.0:0", data.path());
        let mut child = command.env(name, value).spawn().unwrap();
        wait_for_addresses(data.path());
        let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(exit_code(&mut child), Some(0), "{name}");
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert_eq!(log.contains("anybody who reaches this address"), warns, "{name}: {log}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_is_one_line() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "").unwrap();
    let message = refusal(&program(&file.join("folder")).output().unwrap());
    assert!(message.contains("SHOAL_DATA"), "{message}");
}

#[test]
fn it_ends_with_zero_when_it_is_told_to() {
    let data = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let mut child = program(data.path()).spawn().unwrap();
        wait_for_addresses(data.path());
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(exit_code(&mut child), Some(0), "{signal}");
        assert!(!data.path().join("addresses.json").exists());
    }
}

#[tokio::test]
async fn the_revision_that_it_is_told_of_stands_in_its_metrics() {
    let data = tempfile::tempdir().unwrap();
    let mut command = program(data.path());
    command.env("SHOAL_REVISION", "abc1234").arg("--until-stdin-closes").stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let http = wait_for_addresses(data.path())["http"].as_str().unwrap().to_owned();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metrics = client.get(format!("http://{http}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    drop(child.stdin.take());
    assert_eq!(exit_code(&mut child), Some(0));
    // A revision that was set at build time comes first.
    let revision = option_env!("SHOAL_REVISION").unwrap_or("abc1234");
    let line = metrics.lines().find(|line| line.starts_with("shoal_build_info{"));
    assert!(line.unwrap().contains(&format!("revision=\"{revision}\"")), "{line:?}");
}

#[test]
fn it_ends_with_its_parent_when_asked_to_and_keeps_its_key() {
    let data = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut command = program(data.path());
        let mut child = command.arg("--until-stdin-closes").stdin(Stdio::piped()).spawn().unwrap();
        ids.push(wait_for_addresses(data.path())["id"].clone());
        drop(child.stdin.take());
        assert_eq!(exit_code(&mut child), Some(0));
    }
    assert_eq!(ids[0], ids[1]);
}
