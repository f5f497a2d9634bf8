//! One model as several members: each has its own system message, temperature and seed, and all share
//! the weights, the batch and the KV cache.
//!
//! As judges they are one: a judge's question has no persona's system message, so that equal weights
//! give equal ballots.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use shoal_proto::{
    embed::{Embed, Embedded},
    generate::{ChatMessage, Generate},
    hello::Model,
    judge::{Ballot, Judge},
};
use tokio::sync::mpsc;

use super::{Engine, EngineError, Event};

/// What makes one member of a model differ from another.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persona {
    /// Its name in the swarm, and its folder in the node's data.
    pub name: String,
    /// A system message that starts every conversation; none when empty.
    #[serde(default)]
    pub system: String,
    /// Used when the ask has no temperature.
    pub temperature: Option<f32>,
    /// Added to the ask's seed, so that personas answer the same ask differently.
    pub seed: Option<i64>,
    /// What it is good at; when empty, the tags of the node's model.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl Persona {
    /// Adds the system message, temperature and seed to the ask.
    fn apply(&self, ask: &mut Generate) {
        if !self.system.is_empty() {
            match ask.messages.first_mut().filter(|first| first.role == "system") {
                // Most chat templates take one system message only.
                Some(first) => first.content = format!("{}\n\n{}", self.system, first.content),
                None => ask.messages.insert(0, ChatMessage::new("system", self.system.clone())),
            }
        }
        if self.temperature.is_none() && self.seed.is_none() {
            return;
        }
        let sampling = ask.sampling.get_or_insert_default();
        sampling.temperature = sampling.temperature.or(self.temperature);
        if let Some(seed) = self.seed {
            sampling.seed = Some(sampling.seed.unwrap_or(0).wrapping_add(seed));
        }
    }
}

/// An engine that answers as one persona.
pub struct PersonaEngine {
    engine: Arc<dyn Engine>,
    persona: Persona,
    model: Model,
}

impl std::fmt::Debug for PersonaEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersonaEngine").field("name", &self.model.name).finish_non_exhaustive()
    }
}

impl PersonaEngine {
    /// `engine` under another name and system message. Another node that has only the conversation
    /// cannot recompute text that was written under a system message, so such a persona claims no
    /// certainty.
    pub fn new(engine: Arc<dyn Engine>, persona: Persona) -> Self {
        let model = engine.model().clone();
        let certainty = model.certainty && persona.system.is_empty();
        let has_tags = !persona.tags.is_empty();
        let tags = if has_tags { persona.tags.clone() } else { model.tags.clone() };
        let model = Model { name: persona.name.clone(), tags, certainty, ..model };
        Self { engine, persona, model }
    }
}

impl Engine for PersonaEngine {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, mut ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        self.persona.apply(&mut ask);
        self.engine.generate(ask)
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        self.engine.judge(ask)
    }

    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embedded, EngineError>> {
        self.engine.embed(ask)
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        self.engine.ready()
    }
}

#[cfg(test)]
mod tests {
    use shoal_proto::generate::Sampling;

    use super::*;
    use crate::testing::{Play, Script};

    fn persona() -> Persona {
        Persona {
            name: "careful".to_owned(),
            system: "Check twice.".to_owned(),
            temperature: Some(0.7),
            seed: Some(5),
            tags: Vec::new(),
        }
    }

    fn engine_ask(
        persona: Persona,
        messages: Vec<ChatMessage>,
        sampling: Option<Sampling>,
    ) -> Generate {
        let script = Script::new(Play::Says(&["4"]));
        let engine = PersonaEngine::new(Arc::new(script.clone()), persona);
        let _answer = engine.generate(Generate { messages, sampling, ..Generate::default() });
        script.asks().remove(0)
    }

    fn question() -> ChatMessage {
        ChatMessage::new("user", "2+2?")
    }

    fn able() -> Arc<Script> {
        Arc::new(Script::new(Play::Says(&["4"])))
    }

    #[tokio::test]
    async fn a_persona_stands_before_the_conversation_and_its_askers_rules() {
        let alone = engine_ask(persona(), vec![question()], None);
        assert_eq!(alone.messages, [ChatMessage::new("system", "Check twice."), question()]);
        let combination =
            engine_ask(persona(), vec![ChatMessage::new("system", "Be brief."), question()], None);
        assert_eq!(combination.messages.len(), 2);
        assert_eq!(combination.messages[0].content, "Check twice.\n\nBe brief.");
        let plain = engine_ask(
            Persona { name: "x".to_owned(), ..Persona::default() },
            vec![question()],
            None,
        );
        assert_eq!((plain.messages, plain.sampling), (vec![question()], None));
    }

    #[tokio::test]
    async fn an_asks_temperature_counts_and_its_seed_is_another_for_each_persona() {
        let own = engine_ask(persona(), vec![question()], None).sampling.unwrap();
        assert_eq!((own.temperature, own.seed), (Some(0.7), Some(5)));
        let wish = Sampling { temperature: Some(0.0), seed: Some(i64::MAX), ..Sampling::default() };
        let ask = engine_ask(persona(), vec![question()], Some(wish)).sampling.unwrap();
        assert_eq!((ask.temperature, ask.seed), (Some(0.0), Some(i64::MIN + 4)));
    }

    #[tokio::test]
    async fn what_nobody_can_recompute_is_not_claimed() {
        let strict = PersonaEngine::new(able(), persona());
        assert!(!strict.model().certainty && strict.model().likelihood);
        assert_eq!(strict.model().name, "careful");
        let free = PersonaEngine::new(able(), Persona { system: String::new(), ..persona() });
        assert!(free.model().certainty);
        assert_eq!(free.model().tags, able().model().tags);
        let coder = Persona { tags: vec!["code".to_owned()], ..persona() };
        assert_eq!(PersonaEngine::new(able(), coder).model().tags, ["code"]);
    }
}
