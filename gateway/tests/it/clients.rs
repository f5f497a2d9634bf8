//! The official clients, each against a gateway with scripted members.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use futures_util::StreamExt as _;

use shoal_proto::Secret;

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::gateway::{Gateway, eventually, node};

const ANSWER: &str = "47 + 385 = 432\nAnswer: 432";

async fn gateway() -> Gateway {
    Gateway::start([node("org/digits").says(ANSWER), node("words").says(ANSWER)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_python_works_with_only_its_base_url_changed() {
    let Some(python) = python() else { return };
    let gateway = gateway().await;
    passes(Command::new(python).arg(scripts().join("openai_python.py")), &gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_node_works_with_only_its_base_url_changed() {
    let Some(modules) = node_modules() else { return };
    let gateway = gateway().await;
    // Node looks for packages beside the script.
    let script = modules.join("openai_node.mjs");
    fs::copy(scripts().join("openai_node.mjs"), &script).unwrap();
    passes(Command::new("node").arg(script), &gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_python_tries_again_what_may_work_a_moment_later() {
    let Some(python) = python() else { return };
    Box::pin(refuses(Command::new(python).arg(scripts().join("openai_python_retries.py")))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_node_tries_again_what_may_work_a_moment_later() {
    let Some(modules) = node_modules() else { return };
    let script = modules.join("openai_node_retries.mjs");
    fs::copy(scripts().join("openai_node_retries.mjs"), &script).unwrap();
    Box::pin(refuses(Command::new("node").arg(script))).await;
}

/// Runs a script against gateways that refuse requests, each for another reason.
async fn refuses(script: &mut Command) {
    let busy = Gateway::with([node("a").says(ANSWER)], |config| config.http.requests_max = 1);
    let empty = Gateway::start([]);
    let key_gateway = Gateway::with([node("a").says(ANSWER)], |config| {
        config.http.keys = vec![Secret::new("sk-the-only-key")];
    });
    // An answer costs 12.
    let limit_gateway = Gateway::with([node("a").says(ANSWER)], |config| {
        config.http.tokens_per_minute = 4;
    });
    let (busy, empty, key_gateway, limit_gateway) =
        tokio::join!(busy, empty, key_gateway, limit_gateway);
    let places =
        [("BUSY", &busy), ("EMPTY", &empty), ("LOCKED", &key_gateway), ("LIMITED", &limit_gateway)];
    for (place, gateway) in places {
        script.env(format!("SHOAL_{place}"), format!("http://{}/v1", gateway.address()));
    }
    // Takes the only place and never sends its body.
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    let mut slow_client = TcpStream::connect(busy.address()).await.unwrap();
    slow_client.write_all(head.as_bytes()).await.unwrap();
    eventually(async || {
        let models_reply = busy.get("/v1/models").await;
        models_reply.header("x-ratelimit-remaining-requests") == Some("0")
    })
    .await;
    let gives_way = async {
        let refusal =
            r#"shoal_requests_total{model="other",status="unavailable",stream="false"} 1"#;
        busy.until_counted(refusal).await;
        drop(slow_client);
    };
    let ((), ()) = tokio::join!(passes(script, &busy), gives_way);
}

#[tokio::test]
async fn async_openai_reads_every_answer_stream_and_error() {
    let gateway = gateway().await;
    let base = format!("http://{}/v1", gateway.address());
    let client = Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key("none"));
    let models = client.models().list().await.unwrap().data;
    let names = models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["shoal", "shoal-fast", "shoal-deep", "org/digits", "words"]);

    let answer = client.chat().create(question("shoal", 0.0)).await.unwrap();
    assert_eq!(answer.choices[0].message.content.as_deref(), Some(ANSWER));
    assert!(answer.usage.unwrap().completion_tokens > 0);

    for model in ["shoal", "words"] {
        // With the feature `byot`, which the node turns on, the method does not set this itself.
        let stream_request =
            CreateChatCompletionRequest { stream: Some(true), ..question(model, 0.0) };
        let mut stream = client.chat().create_stream(stream_request).await.unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.unwrap();
            text.extend(chunk.choices.first().and_then(|choice| choice.delta.content.clone()));
        }
        assert_eq!(text, ANSWER, "{model}");
    }

    for (request, code) in [
        (question("nobody", 0.0), "model_not_found"),
        (question("shoal", 99.0), "decimal_above_max_value"),
    ] {
        let error = client.chat().create(request).await.unwrap_err();
        let OpenAIError::ApiError(error) = error else { panic!("{error:?}") };
        assert!(format!("{error:?}").contains(code), "{error:?}");
    }
}

fn question(model: &str, temperature: f32) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content("What is 47 + 385?")
        .build()
        .unwrap();
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .temperature(temperature)
        .messages([message.into()])
        .build()
        .unwrap()
}

/// A client script ends with 0 when all its checks hold.
async fn passes(script: &mut Command, gateway: &Gateway) {
    script.env("SHOAL_BASE_URL", format!("http://{}/v1", gateway.address()));
    script.env("SHOAL_EXPECT", "432").env("NO_PROXY", "*");
    let child = script.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let result = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
    println!("{out}");
    assert!(result.status.success(), "{out}\n{err}");
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A Python with the SDK; without one, prints the reason and returns `None`.
fn python() -> Option<PathBuf> {
    let place = place("python");
    let python = place.join("bin/python");
    ensure_installed(&place, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        run(Command::new(&python).args(["-m", "pip", "install", "-q", "openai"]))
    })
    .then_some(python)
}

/// A folder whose `node_modules` has the SDK; without one, prints the reason and returns `None`.
fn node_modules() -> Option<PathBuf> {
    let place = place("node");
    let install = || {
        let mut npm = Command::new("npm");
        run(npm
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&place)
            .arg("openai"))
    };
    ensure_installed(&place, install).then_some(place)
}

/// The folder of the clients, in cargo's target folder: it is reused by later runs.
fn place(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_shoal-gateway")).ancestors().nth(2).unwrap();
    target.join("clients").join(name)
}

/// Installs once. A marker file shows that the installation is complete; a lock keeps two test runs
/// from installing at the same time.
fn ensure_installed(place: &Path, install: impl FnOnce() -> Result<(), String>) -> bool {
    fs::create_dir_all(place).unwrap();
    let lock = File::create(place.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let whole = place.join(".installed");
    if whole.exists() {
        return true;
    }
    match install().and_then(|()| fs::write(&whole, "").map_err(|error| error.to_string())) {
        Ok(()) => true,
        Err(why) => {
            let is_required = std::env::var_os("SHOAL_TEST_CLIENTS").is_some();
            assert!(!is_required, "could not install the client into {}: {why}", place.display());
            eprintln!("skipped: could not install the client into {}: {why}", place.display());
            false
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", stderr.trim().lines().last().unwrap_or_default()))
}
