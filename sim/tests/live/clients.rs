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

#[tokio::test]
async fn the_official_clients_get_the_answer_streamed_and_not() {
    let swarm = LiveSwarm::start(&MODELS);
    async_openai_gets_the_answer(&swarm).await;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/tests/clients");
    if let Some(python) = tools::python("openai", &["openai"]) {
        passes(Command::new(python).arg(scripts.join("openai_python.py")), &swarm);
    }
    if let Some(modules) = tools::npm("openai", &["openai"]) {
        let script = modules.join("openai_node.mjs");
        std::fs::copy(scripts.join("openai_node.mjs"), &script).unwrap();
        passes(Command::new("node").arg(script), &swarm);
    }
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

/// A client script ends with 0 when all its checks hold.
fn passes(script: &mut Command, swarm: &LiveSwarm) {
    let done = script
        .env("SHOAL_BASE_URL", format!("{}/v1", swarm.base))
        .env("SHOAL_EXPECT", "432")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{script:?}\n{out}\n{err}");
}
