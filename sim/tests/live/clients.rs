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

use crate::{swarm::LiveSwarm, tools};

const MODELS: [&str; 5] =
    ["shoal-sum", "shoal-times", "shoal-order", "shoal-calendar", "shoal-story"];

/// What each script needs from PyPI: an environment for each, for their pins differ.
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
    let mut failed = Vec::new();
    for (packages, script) in PYTHON {
        let name = script.trim_end_matches(".py");
        if let Some(python) = tools::python(name, packages) {
            failed.extend(run(Command::new(python).arg(scripts.join(script)), &swarm));
        }
    }
    if let Some(modules) = tools::npm("clients", NPM) {
        for script in JAVASCRIPT {
            // Node looks for packages beside the script.
            let copy = modules.join(script);
            std::fs::copy(scripts.join(script), &copy).unwrap();
            failed.extend(run(Command::new("node").arg(copy), &swarm));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

async fn async_openai_gets_the_answer(swarm: &LiveSwarm) {
    let config =
        OpenAIConfig::new().with_api_base(format!("{}/v1", swarm.base)).with_api_key("none");
    let client = Client::with_config(config);
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
        let asked = CreateChatCompletionRequest { stream: Some(true), ..question(model) };
        let mut stream = client.chat().create_stream(asked).await.unwrap();
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.unwrap();
            text.extend(chunk.choices.first().and_then(|choice| choice.delta.content.clone()));
        }
        assert!(text.contains("432"), "{model}: {text}");
    }
}

fn question(model: &str) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content("What is 47 + 385?")
        .build()
        .unwrap();
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([message.into()])
        .build()
        .unwrap()
}

/// A client script ends with 0 when all its checks hold; else what it said.
fn run(script: &mut Command, swarm: &LiveSwarm) -> Option<String> {
    let done = script
        .env("SHOAL_BASE_URL", format!("{}/v1", swarm.base))
        .env("SHOAL_EXPECT", "432")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    eprintln!("{out}");
    (!done.status.success()).then(|| format!("{script:?}\n{out}\n{err}"))
}
