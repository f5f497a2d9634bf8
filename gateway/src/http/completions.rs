//! `POST /v1/completions`: the older door.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use shoal_proto::generate::Finish;

use super::{
    App, chat,
    error::ApiError,
    opening,
    running::Running,
    told::{self, Events, Tell, Telling},
};
use shoal_api::completions::wire::{Choice, Completion, Head, rest};
use shoal_api::completions::{CompletionRequest, NAMES};
use shoal_api::{
    chat::wire::{Usage, fingerprint as openai_fingerprint},
    id,
};
use shoal_consensus::{Candidate, Outcome};
use shoal_store::unix_now;

/// Prompts of one request that are asked at a time: others want to be served meanwhile.
const PROMPTS_AT_A_TIME: usize = 4;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (asked, meter) = opening::open::<CompletionRequest>(&app, &request, payload).await?;
    // Several prompts are several rounds; consent to keep is for the one that was read.
    let agreed = if asked.prompts.len() == 1 { app.keeper.agreed(&asked.chat) } else { None };
    let model = asked.chat.model.clone();
    let telling = Telling { app, model: model.clone(), meter, agreed, names: NAMES };
    let head = Head { id: format!("cmpl-{}", id::hex()), created: unix_now(), model };
    if asked.chat.stream {
        let asks: Vec<_> = asked.prompts.iter().map(|prompt| asked.ask(prompt)).collect();
        told::stream(telling, Teller::new(head, asked), asks).await
    } else {
        whole(telling, head, &asked).await
    }
}

/// One JSON object when every prompt is answered.
async fn whole(
    mut telling: Telling,
    head: Head,
    asked: &CompletionRequest,
) -> Result<HttpResponse, ApiError> {
    let outcomes = match outcomes(&mut telling, asked).await {
        Ok(outcomes) => outcomes,
        Err(error) => return Err(telling.meter.refuses(error)),
    };
    let mut usage = Usage::default();
    let mut choices = Vec::new();
    let mut fingerprint = String::new();
    for (at, (prompt, outcome)) in asked.prompts.iter().zip(&outcomes).enumerate() {
        let chosen = chosen(asked, outcome);
        usage.add(&over(&chosen));
        for (choice, candidate) in chosen.iter().enumerate() {
            if fingerprint.is_empty() {
                fingerprint = openai_fingerprint(&candidate.model);
            }
            let echoed = if asked.echo { prompt.text.as_str() } else { "" };
            let logprobs = asked.logprobs.is_some();
            let index = at * asked.chat.ask.choices + choice;
            choices.push(Choice::whole(index, echoed, candidate, logprobs));
        }
    }
    telling.meter.counts(usage.prompt_tokens, usage.completion_tokens);
    let mut response = HttpResponse::Ok();
    if let [outcome] = outcomes.as_slice() {
        response.insert_header((chat::ROUND, outcome.round.0.as_str()));
    }
    Ok(response.json(Completion::of(&head, choices, &fingerprint, Some(Some(usage)))))
}

/// Of every prompt, in order.
async fn outcomes(
    telling: &mut Telling,
    asked: &CompletionRequest,
) -> Result<Vec<Box<Outcome>>, ApiError> {
    if let [prompt] = asked.prompts.as_slice() {
        return Ok(vec![telling.whole(asked.ask(prompt)).await?]);
    }
    let app = &telling.app;
    let asks: Vec<_> = asked.prompts.iter().map(|prompt| asked.ask(prompt)).collect();
    let answers = asks.into_iter().map(|ask| async {
        Running::start(app, ask, false).end().await.map_err(|e| e.renamed(NAMES))
    });
    let answers: Vec<_> = answers.collect();
    let outcomes: Vec<Box<Outcome>> =
        stream::iter(answers).buffered(PROMPTS_AT_A_TIME).try_collect().await?;
    outcomes.iter().for_each(|outcome| app.transcripts.keep(&telling.model, outcome));
    Ok(outcomes)
}

/// The answers that are told, as they are told.
fn chosen<'a>(asked: &CompletionRequest, outcome: &'a Outcome) -> Vec<Cow<'a, Candidate>> {
    let told = |candidate: &'a Candidate| match asked.silent {
        false => Cow::Borrowed(candidate),
        true => Cow::Owned(Candidate {
            text: String::new(),
            tokens: Vec::new(),
            completion_tokens: 0,
            finish: Finish::Length,
            ..candidate.clone()
        }),
    };
    outcome.choices(asked.chat.ask.choices).into_iter().map(told).collect()
}

fn over(chosen: &[Cow<'_, Candidate>]) -> Usage {
    Usage::over(&chosen.iter().map(AsRef::as_ref).collect::<Vec<_>>())
}

/// Completions as events: one chunk like a whole answer each.
struct Teller {
    head: Head,
    asked: CompletionRequest,
    /// Prompts that are answered.
    answered: usize,
    /// Bytes told of each answer to this prompt.
    told: Vec<usize>,
    usage: Usage,
    fingerprint: String,
}

impl Teller {
    fn new(head: Head, asked: CompletionRequest) -> Self {
        let told = vec![0; asked.chat.ask.choices];
        let fingerprint = openai_fingerprint(&head.model);
        Self { head, asked, answered: 0, told, usage: Usage::default(), fingerprint }
    }

    fn index(&self, choice: usize) -> usize {
        self.answered * self.asked.chat.ask.choices + choice
    }

    fn chunk(&self, choice: Choice, events: &mut Events) {
        let usage = self.asked.chat.include_usage.then_some(None);
        let chunk = Completion::of(&self.head, vec![choice], &self.fingerprint, usage);
        events.push(None, &chunk);
    }

    /// The prompt, where it is wanted, before the first piece of an answer.
    fn open(&self, choice: usize, events: &mut Events) {
        let begun = self.told.get(choice).is_none_or(|told| *told > 0);
        let prompt = self.asked.prompts.get(self.answered).filter(|_| self.asked.echo && !begun);
        if let Some(prompt) = prompt.filter(|prompt| !prompt.text.is_empty()) {
            self.chunk(Choice::piece(self.index(choice), &prompt.text, None), events);
        }
    }
}

impl Tell for Teller {
    fn begins(&mut self, _: &mut Events) {}

    fn piece(&mut self, choice: usize, text: &str, events: &mut Events) {
        if self.asked.silent {
            return;
        }
        self.open(choice, events);
        self.chunk(Choice::piece(self.index(choice), text, None), events);
        if let Some(told) = self.told.get_mut(choice) {
            *told += text.len();
        }
    }

    fn ends(&mut self, outcome: &Outcome, last: bool, events: &mut Events) -> Option<Usage> {
        let chosen = chosen(&self.asked, outcome);
        self.fingerprint = openai_fingerprint(&chosen.first()?.model);
        for (choice, candidate) in chosen.iter().enumerate() {
            self.open(choice, events);
            let told = self.told.get(choice).copied().unwrap_or(0);
            let logprobs = self.asked.logprobs.is_some();
            for (text, tokens) in rest(candidate, told, logprobs) {
                self.chunk(Choice::piece(self.index(choice), text, tokens), events);
            }
            self.chunk(Choice::end(self.index(choice), candidate), events);
        }
        let usage = over(&chosen);
        self.usage.add(&usage);
        self.answered += 1;
        self.told.iter_mut().for_each(|told| *told = 0);
        if last {
            if self.asked.chat.include_usage {
                let usage = Some(Some(self.usage));
                events
                    .push(None, &Completion::of(&self.head, Vec::new(), &self.fingerprint, usage));
            }
            events.done();
        }
        Some(usage)
    }

    fn fails(&mut self, error: &ApiError, events: &mut Events) {
        events.push(None, &error.body());
    }
}
