//! One request to an endpoint, with the fields that it takes.

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    fault::CallError,
    fields::{Adaptation, FieldPolicy},
    transport::{FIRST_BYTE, Transport},
};

pub(super) const CHAT: &str = "/chat/completions";
pub(super) const COMPLETIONS: &str = "/completions";
pub(super) const EMBEDDINGS: &str = "/embeddings";

/// A question for one token.
pub(super) fn greeting(model: &str) -> Value {
    json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Hi" }],
        "max_tokens": 1,
    })
}

/// The JSON that answers `body`, with the fields that the endpoint takes.
pub(super) async fn ask(
    transport: &Transport,
    policy: &FieldPolicy,
    path: &'static str,
    body: Value,
) -> Result<Value, CallError> {
    let mut request: Adaptation<'_> = policy.adapt(path, body);
    let attempts = async {
        loop {
            match transport.post(path, &request.body).await {
                Ok(answer) => break Ok(answer),
                Err(error) if request.change(&error) => {}
                Err(error) => break Err(error),
            }
        }
    };
    let result = timeout(FIRST_BYTE, attempts).await.unwrap_or(Err(CallError::Silent));
    if result.is_ok() {
        request.accept();
    }
    result
}
