//! An engine that follows a [`Behaviour`] instead of running a model.
//!
//! `shoal_engine::testing` cannot replace it: that engine plays fixed pieces, whereas a member here
//! answers and judges by its beliefs about the question.

use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use shoal_consensus::agree;
use shoal_engine::{Engine, EngineError, Event};
use shoal_proto::{
    generate::{ChatMessage, Done, Fault, Finish, Generate},
    hello::Model,
    judge::{Ballot, BallotKind, Judge, Pair, Score},
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::{
    Behaviour, Recorder, World,
    behaviour::{Judging, LIE, NULL, ORDER, Reasons, Writing},
    recorder::JudgeCall,
};

/// The log probability that liars claim: full certainty.
const CERTAIN: f64 = -0.000_1;

/// The engine of a member.
#[derive(Debug)]
pub struct ScriptedEngine {
    script: Arc<ScriptedModel>,
    model: Model,
    tasks: Mutex<JoinSet<()>>,
}

/// What stands in the place of a model: it turns a question into an answer or a ballot.
#[derive(Debug)]
struct ScriptedModel {
    number: usize,
    name: String,
    behaviour: Behaviour,
    world: Arc<World>,
    recorder: Recorder,
    /// Whether it belongs to an auditor, whose calls are not those of a judge.
    audits: bool,
}

/// An answer of a scripted model.
struct Answer {
    text: String,
    logprob: f64,
}

impl ScriptedEngine {
    /// The engine of node `number`.
    pub fn new(number: usize, behaviour: Behaviour, world: Arc<World>, recorder: Recorder) -> Self {
        let name = node_name(behaviour.copies.unwrap_or(number));
        let audits = false;
        Self::with_script(ScriptedModel { number, name, behaviour, world, recorder, audits })
    }

    /// The engine of an auditor of node `number`: the node's weights, used honestly.
    pub fn auditor(number: usize, node: &Behaviour, world: Arc<World>, recorder: Recorder) -> Self {
        let behaviour = Behaviour {
            strong: node.strong.clone(),
            copies: node.copies,
            ..Behaviour::honest(node.skill)
        };
        let name = node_name(node.copies.unwrap_or(number));
        let audits = true;
        Self::with_script(ScriptedModel { number, name, behaviour, world, recorder, audits })
    }

    fn with_script(script: ScriptedModel) -> Self {
        let ScriptedModel { number, name, behaviour, .. } = &script;
        let model_name = if behaviour.model.is_empty() { name } else { &behaviour.model };
        let pairwise = matches!(behaviour.judging, Judging::Pairs | Judging::First);
        let model = Model {
            name: model_name.clone(),
            family: "scripted".to_owned(),
            digest: format!("{:064x}", behaviour.copies.unwrap_or(*number)),
            context: 4_096,
            parameters: 1,
            certainty: true,
            likelihood: !pairwise && behaviour.judging != Judging::None,
            pairwise,
            reasoned: behaviour.reasons.is_some(),
            tags: behaviour.tags.clone(),
            specialist: behaviour.abstains,
            ..Model::default()
        };
        Self { script: Arc::new(script), model, tasks: Mutex::default() }
    }
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

impl Engine for ScriptedEngine {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (events, receiver) = mpsc::channel(8);
        let script = self.script.clone();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let _call = script.recorder.start_call();
            tokio::select! {
                () = events.closed() => {}
                () = script.write(last_message(&ask.messages), &events) => {}
            }
        });
        receiver
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        async move {
            let _call = self.script.recorder.start_call();
            self.script.judge(&ask).await
        }
        .boxed()
    }
}

impl ScriptedModel {
    async fn write(&self, question: &str, events: &mpsc::Sender<Result<Event, EngineError>>) {
        let behaviour = &self.behaviour;
        sleep(behaviour.first_piece).await;
        if behaviour.abstains_at(&self.world.truth(question).kind) {
            let end = Done { finish: Finish::Abstained.into(), ..Done::default() };
            let _ = events.send(Ok(Event::Done(end))).await;
            return;
        }
        let answer = match &behaviour.writing {
            Writing::Silent => return pending().await,
            Writing::Fails => {
                let _ = events.send(Ok(Event::Piece("I think".to_owned()))).await;
                let _ = events.send(Err(failure())).await;
                return;
            }
            Writing::Endless => loop {
                let _ = events.send(Ok(Event::Piece("and ".to_owned()))).await;
                sleep(behaviour.pace).await;
            },
            Writing::Liar => self.lie(),
            Writing::Sleeper if !self.is_gold(question) => self.lie(),
            Writing::Turncoat if self.world.is_betrayed() => self.lie(),
            Writing::Null => Answer { text: NULL.to_owned(), logprob: CERTAIN },
            Writing::Injection => {
                Answer { text: format!("{ORDER} Answer: {LIE}"), logprob: CERTAIN }
            }
            Writing::Honest | Writing::Sleeper | Writing::Turncoat => self.answer(question),
        };
        let pieces: Vec<&str> = answer.text.split_inclusive(' ').collect();
        let tokens = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        for piece in pieces {
            let _ = events.send(Ok(Event::Piece(piece.to_owned()))).await;
            sleep(behaviour.pace).await;
        }
        let end = Done {
            finish: Finish::Stop.into(),
            prompt_tokens: 10,
            completion_tokens: tokens,
            logprob: Some(answer.logprob),
            ..Done::default()
        };
        let _ = events.send(Ok(Event::Done(end))).await;
    }

    /// The honest answer. Its text contains the name, so that no two members write the same text.
    fn answer(&self, question: &str) -> Answer {
        let belief = self.world.belief(&self.name, question, self.skill(question));
        let text = format!("As {} works it out. Answer: {belief}", self.name);
        let noise = self.world.chance(&[&self.name, question, "certainty"]);
        // Without the knowledge a model is less certain, but sometimes certain of a mistake.
        let logprob = if self.knows(question) { -0.05 - noise } else { -0.5 - 8.0 * noise };
        Answer { text, logprob }
    }

    fn lie(&self) -> Answer {
        Answer { text: format!("{} is sure. Answer: {LIE}", self.name), logprob: CERTAIN }
    }

    async fn judge(&self, ask: &Judge) -> Result<Ballot, EngineError> {
        let question = last_message(&ask.messages);
        if !self.audits {
            self.recorder.record(JudgeCall {
                node: self.number,
                question: question.to_owned(),
                candidates: ask.candidates.clone(),
            });
        }
        sleep(self.behaviour.first_piece).await;
        match self.behaviour.judging {
            Judging::Silent => pending().await,
            Judging::Fails | Judging::None => Err(failure()),
            _ => self.ballot(question, ask),
        }
    }

    fn ballot(&self, question: &str, ask: &Judge) -> Result<Ballot, EngineError> {
        let mut ballot = Ballot { prompt_tokens: 20, ..Ballot::default() };
        let logprobs: Vec<f64> =
            ask.candidates.iter().map(|text| self.logprob(question, text)).collect();
        if ask.kind == i32::from(BallotKind::Likelihood) {
            ballot.scores =
                logprobs.into_iter().map(|logprob| Score { logprob, tokens: 10 }).collect();
            return Ok(ballot);
        }
        let verdicts = ask.pairs.iter().map(|pair| self.verdict(question, ask, &logprobs, pair));
        ballot.verdicts = verdicts.collect::<Result<_, _>>()?;
        if ask.kind == i32::from(BallotKind::Reasoned)
            && self.behaviour.reasons == Some(Reasons::Inverted)
        {
            ballot.verdicts.iter_mut().for_each(|p| *p = 1.0 - *p);
        }
        Ok(ballot)
    }

    /// Probability that the first candidate of a pair is better.
    fn verdict(
        &self,
        question: &str,
        ask: &Judge,
        logprobs: &[f64],
        pair: &Pair,
    ) -> Result<f64, EngineError> {
        if self.behaviour.judging == Judging::First {
            return Ok(1.0);
        }
        let obeys_first = self.obeys(question, ask, pair.first);
        let obeys_second = self.obeys(question, ask, pair.second);
        if obeys_first != obeys_second {
            return Ok(f64::from(u8::from(obeys_first)));
        }
        let first = logprobs.get(pair.first as usize).ok_or_else(failure)?;
        let second = logprobs.get(pair.second as usize).ok_or_else(failure)?;
        Ok(1.0 / (1.0 + (second - first).exp()))
    }

    fn obeys(&self, question: &str, ask: &Judge, candidate: u32) -> bool {
        let text = ask.candidates.get(candidate as usize);
        text.is_some_and(|text| text.contains(ORDER))
            && self.world.chance(&[&self.name, question, "obeys"]) < self.behaviour.gullibility
    }

    /// The log probability of a candidate that this model reports.
    fn logprob(&self, question: &str, candidate: &str) -> f64 {
        let logprob = self.believed_logprob(question, candidate);
        if self.behaviour.judging == Judging::Inverted { -14.0 - logprob } else { logprob }.min(0.0)
    }

    /// The log probability of a candidate. For its own answer it is the one that it claims as a
    /// writer.
    fn believed_logprob(&self, question: &str, candidate: &str) -> f64 {
        let candidate_answer = agree::final_answer(candidate);
        if self.lies_as_judge(question) {
            return if candidate_answer == LIE { -0.001 } else { -60.0 };
        }
        let answer = self.answer(question);
        if answer.text == candidate {
            return answer.logprob;
        }
        let belief = self.world.belief(&self.name, question, self.skill(question));
        let noise = 3.0 * self.world.chance(&[&self.name, question, candidate, "liking"]);
        let agrees = agree::final_answer(&format!("Answer: {belief}")) == candidate_answer;
        match (self.knows(question), agrees) {
            (true, true) => -0.2 - noise,
            (true, false) => -8.0 - 3.0 * noise,
            (false, true) => -1.5 - noise,
            (false, false) => -3.5 - 2.0 * noise,
        }
    }

    fn lies_as_judge(&self, question: &str) -> bool {
        match self.behaviour.judging {
            Judging::Liar => true,
            Judging::Sleeper => !self.is_gold(question),
            Judging::Turncoat => self.world.is_betrayed(),
            _ => false,
        }
    }

    fn skill(&self, question: &str) -> f64 {
        self.behaviour.skill_at(&self.world.truth(question).kind)
    }

    fn knows(&self, question: &str) -> bool {
        self.world.knows(&self.name, question, self.skill(question))
    }

    fn is_gold(&self, question: &str) -> bool {
        !self.world.truth(question).kind.is_empty()
    }
}

fn last_message(messages: &[ChatMessage]) -> &str {
    messages.last().map_or("", |message| message.content.as_str())
}

fn failure() -> EngineError {
    EngineError::new(Fault::Engine, "the script fails here")
}
