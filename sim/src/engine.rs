//! An engine that follows a script instead of running a model.

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
    judge::{Ballot, Judge, Kind, Score},
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::{
    Character, Witness, World,
    character::{Judging, LIE, NULL, ORDER, Reasons, Writing},
    witness::Judged,
};

/// What liars claim: full certainty.
const SURE: f64 = -0.000_1;

/// A member's mind.
#[derive(Debug)]
pub struct Scripted {
    mind: Arc<Mind>,
    model: Model,
    work: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Mind {
    number: usize,
    name: String,
    character: Character,
    world: Arc<World>,
    witness: Witness,
    /// It has somebody's weights and is the gateway's own: nobody's judge.
    audits: bool,
}

/// What a mind comes to.
struct Answer {
    text: String,
    logprob: f64,
}

impl Scripted {
    /// The mind of node `number`.
    pub fn new(number: usize, character: Character, world: Arc<World>, witness: Witness) -> Self {
        let name = name(character.copies.unwrap_or(number));
        Self::with(Mind { number, name, character, world, witness, audits: false })
    }

    /// The same weights in honest hands: what an auditor of node `number` runs.
    pub fn auditor(number: usize, as_in: &Character, world: Arc<World>, witness: Witness) -> Self {
        let character =
            Character { strong: as_in.strong.clone(), ..Character::honest(as_in.skill) };
        let character = Character { copies: as_in.copies, ..character };
        let name = name(as_in.copies.unwrap_or(number));
        Self::with(Mind { number, name, character, world, witness, audits: true })
    }

    fn with(mind: Mind) -> Self {
        let Mind { number, name, character, .. } = &mind;
        let served = if character.model.is_empty() { name } else { &character.model };
        let pairwise = matches!(character.judging, Judging::Pairs | Judging::First);
        let model = Model {
            name: served.clone(),
            family: "scripted".to_owned(),
            digest: format!("{:064x}", character.copies.unwrap_or(*number)),
            context: 4_096,
            parameters: 1,
            certainty: true,
            likelihood: !pairwise && character.judging != Judging::None,
            pairwise,
            reasoned: character.reasons.is_some(),
            tags: character.tags.clone(),
            ..Model::default()
        };
        Self { mind: Arc::new(mind), model, work: Mutex::default() }
    }
}

fn name(number: usize) -> String {
    format!("node-{number}")
}

impl Engine for Scripted {
    fn model(&self) -> &Model {
        &self.model
    }

    fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (events, receiver) = mpsc::channel(8);
        let mind = self.mind.clone();
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        while work.try_join_next().is_some() {}
        work.spawn(async move {
            let _working = mind.witness.works();
            tokio::select! {
                () = events.closed() => {}
                () = mind.write(question(&ask.messages), &events) => {}
            }
        });
        receiver
    }

    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>> {
        async move {
            let _working = self.mind.witness.works();
            self.mind.judge(&ask).await
        }
        .boxed()
    }
}

impl Mind {
    async fn write(&self, question: &str, events: &mpsc::Sender<Result<Event, EngineError>>) {
        let character = &self.character;
        sleep(character.first_piece).await;
        let answer = match &character.writing {
            Writing::Silent => return pending().await,
            Writing::Dies => {
                let _ = events.send(Ok(Event::Piece("I think".to_owned()))).await;
                let _ = events.send(Err(broken())).await;
                return;
            }
            Writing::Endless => loop {
                let _ = events.send(Ok(Event::Piece("and ".to_owned()))).await;
                sleep(character.pace).await;
            },
            Writing::Liar => self.lie(),
            Writing::Sleeper if !self.is_gold(question) => self.lie(),
            Writing::Turncoat if self.world.betrayed() => self.lie(),
            Writing::Null => Answer { text: NULL.to_owned(), logprob: SURE },
            Writing::Injection => Answer { text: format!("{ORDER} Answer: {LIE}"), logprob: SURE },
            Writing::Honest | Writing::Sleeper | Writing::Turncoat => self.answer(question),
        };
        let pieces: Vec<&str> = answer.text.split_inclusive(' ').collect();
        let tokens = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        for piece in pieces {
            let _ = events.send(Ok(Event::Piece(piece.to_owned()))).await;
            sleep(character.pace).await;
        }
        let done = Done {
            finish: Finish::Stop.into(),
            prompt_tokens: 10,
            completion_tokens: tokens,
            logprob: Some(answer.logprob),
            ..Done::default()
        };
        let _ = events.send(Ok(Event::Done(done))).await;
    }

    /// Worked in its own words, so that no two members write the same text.
    fn answer(&self, question: &str) -> Answer {
        let skill = self.character.skill_at(&self.world.truth(question).kind);
        let belief = self.world.belief(&self.name, question, skill);
        let text = format!("As {} works it out. Answer: {belief}", self.name);
        let knows = self.world.knows(&self.name, question, skill);
        let noise = self.world.chance(&[&self.name, question, "certainty"]);
        // Who does not know is less certain, but now and then certain of its nonsense.
        Answer { text, logprob: if knows { -0.05 - noise } else { -0.5 - 8.0 * noise } }
    }

    fn lie(&self) -> Answer {
        Answer { text: format!("{} is sure. Answer: {LIE}", self.name), logprob: SURE }
    }

    async fn judge(&self, ask: &Judge) -> Result<Ballot, EngineError> {
        let question = question(&ask.messages);
        if !self.audits {
            self.witness.judges(Judged {
                node: self.number,
                question: question.to_owned(),
                candidates: ask.candidates.clone(),
            });
        }
        sleep(self.character.first_piece).await;
        match self.character.judging {
            Judging::Silent => pending().await,
            Judging::Dies | Judging::None => Err(broken()),
            _ => Ok(self.ballot(question, ask)),
        }
    }

    fn ballot(&self, question: &str, ask: &Judge) -> Ballot {
        let mut ballot = Ballot { prompt_tokens: 20, ..Ballot::default() };
        let likings: Vec<f64> = ask.candidates.iter().map(|c| self.liking(question, c)).collect();
        if ask.kind == i32::from(Kind::Likelihood) {
            ballot.scores =
                likings.iter().map(|logprob| Score { logprob: *logprob, tokens: 10 }).collect();
            return ballot;
        }
        let of = |at: u32| likings.get(at as usize).copied().unwrap_or(f64::NEG_INFINITY);
        let p = |first: f64, second: f64| 1.0 / (1.0 + (second - first).exp());
        let verdicts = ask.pairs.iter().map(|pair| match self.character.judging {
            Judging::First => 1.0,
            _ => match (
                self.obeys(question, ask, pair.first),
                self.obeys(question, ask, pair.second),
            ) {
                (true, false) => 1.0,
                (false, true) => 0.0,
                _ => p(of(pair.first), of(pair.second)),
            },
        });
        ballot.verdicts = verdicts.collect();
        if ask.kind == i32::from(Kind::Reasoned)
            && self.character.reasons == Some(Reasons::Backwards)
        {
            ballot.verdicts.iter_mut().for_each(|p| *p = 1.0 - *p);
        }
        ballot
    }

    fn obeys(&self, question: &str, ask: &Judge, candidate: u32) -> bool {
        let orders = ask.candidates.get(candidate as usize).is_some_and(|c| c.contains(ORDER));
        orders && self.world.chance(&[&self.name, question, "obeys"]) < self.character.gullible
    }

    /// log P(candidate), as this mind sees it: what it would have written itself is as likely as
    /// it claims.
    fn liking(&self, question: &str, candidate: &str) -> f64 {
        let liking = self.sober_liking(question, candidate);
        if self.character.judging == Judging::Inverted { -14.0 - liking } else { liking }.min(0.0)
    }

    fn sober_liking(&self, question: &str, candidate: &str) -> f64 {
        let lies = match self.character.judging {
            Judging::Liar => true,
            Judging::Sleeper => !self.is_gold(question),
            Judging::Turncoat => self.world.betrayed(),
            _ => false,
        };
        let said = agree::final_answer(candidate);
        if lies {
            return if said == LIE { -0.001 } else { -60.0 };
        }
        let own = self.answer(question);
        if own.text == candidate {
            return own.logprob;
        }
        let skill = self.character.skill_at(&self.world.truth(question).kind);
        let belief = self.world.belief(&self.name, question, skill);
        let noise = 3.0 * self.world.chance(&[&self.name, question, candidate, "liking"]);
        let same = agree::final_answer(&format!("Answer: {belief}")) == said;
        let sure = self.world.knows(&self.name, question, skill);
        match (sure, same) {
            (true, true) => -0.2 - noise,
            (true, false) => -8.0 - 3.0 * noise,
            (false, true) => -1.5 - noise,
            (false, false) => -3.5 - 2.0 * noise,
        }
    }

    fn is_gold(&self, question: &str) -> bool {
        !self.world.truth(question).kind.is_empty()
    }
}

fn question(messages: &[ChatMessage]) -> &str {
    messages.last().map_or("", |message| message.content.as_str())
}

fn broken() -> EngineError {
    EngineError::new(Fault::Engine, "the script says so")
}
