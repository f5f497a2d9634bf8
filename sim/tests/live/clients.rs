//! The official clients, against the bundled swarm.

use std::{path::Path, process::Command};

use async_openai::{
    Client,
    config::OpenAIConfig,
    types::chat::{
        ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use futures_util::StreamExt as _;

use crate::swarm::LiveSwarm;
use crate::tools;

const MODELS: [&str; 5] =
    ["shoal-sum", "shoal-times", "shoal-order", "shoal-calendar", "shoal-story"];

/// The packages that each script needs from PyPI. Each has an environment of its own, because their pins
/// differ.
const PYTHON: [(&[&str], &str); 7] = [
    (&["openai"], "openai_python.py"),
    (&["openai"], "openai_python_engine.py"),
    (&["anthropic"], "anthropic_python.py"),
    (&["langchain-openai"], "langchain_openai_chat.py"),
    (&["litellm"], "litellm_sdk.py"),
    (&["pydantic-ai-slim[openai]"], "pydantic_ai_agent.py"),
    (&["instructor"], "instructor_openai.py"),
];
const NPM: &[&str] = &["openai", "ai", "@ai-sdk/openai-compatible", "zod"];
const JAVASCRIPT: [&str; 3] = ["openai_node.mjs", "openai_node_engine.mjs", "vercel_ai.mjs"];

#[tokio::test]
async fn every_client_works_with_only_its_base_url_changed() {
    let swarm = LiveSwarm::start(&MODELS);
    async_openai_gets_the_answer(&swarm).await;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/tests/clients");
    let mut failures = Vec::new();
    for (packages, script) in PYTHON {
        let name = script.trim_end_matches(".py");
        if let Some(python) = tools::python(name, packages) {
            failures.extend(run(Command::new(python).arg(scripts.join(script)), &swarm));
        }
    }
    if let Some(modules) = tools::npm("clients", NPM) {
        for script in JAVASCRIPT {
            // Node looks for packages beside the script.
            let copy = modules.join(script);
            std::fs::copy(scripts.join(script), &copy).unwrap();
            failures.extend(run(Command::new("node").arg(copy), &swarm));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The scripts of [`PYTHON`] whose environments `real_model.py` runs in, and what it calls them.
const SDKS: [(&str, &str); 6] = [
    ("openai_python", "openai"),
    ("anthropic_python", "anthropic"),
    ("langchain_openai_chat", "langchain"),
    ("litellm_sdk", "litellm"),
    ("pydantic_ai_agent", "pydantic_ai"),
    ("instructor_openai", "instructor"),
];

#[tokio::test]
async fn a_real_small_model_chats_sensibly_in_every_client() {
    if std::env::var_os("SHOAL_TEST_CLIENTS").is_none() {
        eprintln!("left out: fetches SmolLM2-135M (100 MB); SHOAL_TEST_CLIENTS=1 runs it");
        return;
    }
    let swarm = LiveSwarm::start(&["shoal-sum", "smollm2-135m"]);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/tests/clients");
    let mut failures = Vec::new();
    for (environment, sdk) in SDKS {
        let packages = PYTHON.iter().find(|(_, script)| script.starts_with(environment)).unwrap().0;
        let python = tools::python(environment, packages).unwrap();
        failures
            .extend(run(Command::new(python).arg(scripts.join("real_model.py")).arg(sdk), &swarm));
    }
    let copy = tools::npm("clients", NPM).unwrap().join("real_model.mjs");
    std::fs::copy(scripts.join("real_model.mjs"), &copy).unwrap();
    failures.extend(run(Command::new("node").arg(copy), &swarm));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let client = Client::with_config(config(&swarm));
    let message = "What is the capital of France? Answer with one word.";
    let request =
        CreateChatCompletionRequest { temperature: Some(0.0), ..request("smollm2-135m", message) };
    let answer = client.chat().create(request).await.unwrap();
    let text = answer.choices[0].message.content.clone().unwrap();
    assert!(text.contains("Paris"), "{text}");
}

async fn async_openai_gets_the_answer(swarm: &LiveSwarm) {
    let client = Client::with_config(config(swarm));
    let models = client.models().list().await.unwrap();
    for model in MODELS.iter().chain(&["shoal"]) {
        assert!(models.data.iter().any(|listed| listed.id == *model), "{model} is not listed");
    }
    let answer = client.chat().create(question("shoal")).await.unwrap();
    let text = answer.choices[0].message.content.clone().unwrap();
    assert!(text.contains("432"), "{text}");
    assert!(answer.usage.unwrap().completion_tokens > 0);

    for model in ["shoal", "shoal-sum"] {
        // With the feature `byot`, which the node turns on, the method does not set this itself.
        let request = CreateChatCompletionRequest { stream: Some(true), ..question(model) };
        let mut stream = client.chat().create_stream(request).await.unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.unwrap();
            text.extend(chunk.choices.first().and_then(|choice| choice.delta.content.clone()));
        }
        assert!(text.contains("432"), "{model}: {text}");
    }
}

fn config(swarm: &LiveSwarm) -> OpenAIConfig {
    OpenAIConfig::new().with_api_base(format!("{}/v1", swarm.base)).with_api_key("none")
}

fn question(model: &str) -> CreateChatCompletionRequest {
    request(model, "What is 47 + 385?")
}

fn request(model: &str, message: &str) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default().content(message).build().unwrap();
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([message.into()])
        .build()
        .unwrap()
}

/// Runs a client's script, which ends with 0 when all its checks pass; otherwise returns its output.
fn run(script: &mut Command, swarm: &LiveSwarm) -> Option<String> {
    let output = script
        .env("SHOAL_BASE_URL", format!("{}/v1", swarm.base))
        .env("SHOAL_EXPECT", "432")
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{out}");
    (!output.status.success()).then(|| format!("{script:?}\n{out}\n{err}"))
}
