//! Conversations in which the user states facts and later asks for one of them.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Check, GeneralKind, GeneralQuestion, Names, Number, Turn, fill, in_one_style,
    pools::{COLORS, DAYS, FOODS, INSTRUMENTS, JOBS, PEOPLE, PETS, TOWNS},
    sample, wording,
};
use crate::draw::pick;

/// Something that users say about themselves. `{0}` stands for the value.
#[derive(Clone, Copy, Debug)]
struct Topic {
    statement: &'static str,
    questions: &'static [&'static str],
    /// An answer with `{}` for the value.
    sentence: &'static str,
    /// Empty: a number of three or four digits.
    values: &'static [&'static str],
}

const TOPICS: &[Topic] = &[
    Topic {
        statement: "my sister is called {0}",
        questions: &["What is the name of my sister?", "What is my sister called?"],
        sentence: "your sister is called {}.",
        values: PEOPLE,
    },
    Topic {
        statement: "I live in {0}",
        questions: &["Where do I live?", "In which town do I live?"],
        sentence: "you live in {}.",
        values: TOWNS,
    },
    Topic {
        statement: "my locker has the number {0}",
        questions: &["What is the number of my locker?", "Which locker is mine?"],
        sentence: "your locker number is {}.",
        values: &[],
    },
    Topic {
        statement: "my dentist's appointment is on {0}",
        questions: &["On which day do I see the dentist?", "When is my appointment?"],
        sentence: "your appointment is on {}.",
        values: DAYS,
    },
    Topic {
        statement: "my bicycle is {0}",
        questions: &["What colour is my bicycle?", "Which colour does my bicycle have?"],
        sentence: "your bicycle is {}.",
        values: COLORS,
    },
    Topic {
        statement: "I work as a {0}",
        questions: &["What is my job?", "What do I do for a living?"],
        sentence: "you work as a {}.",
        values: JOBS,
    },
    Topic {
        statement: "at home I keep a {0}",
        questions: &["Which animal do I keep?", "What pet do I have?"],
        sentence: "you keep a {}.",
        values: PETS,
    },
    Topic {
        statement: "I am learning to play the {0}",
        questions: &["Which instrument am I learning?", "What instrument do I play?"],
        sentence: "you are learning the {}.",
        values: INSTRUMENTS,
    },
    Topic {
        statement: "what I cook most often is {0}",
        questions: &["What do I cook most often?", "Which dish do I cook most?"],
        sentence: "you cook {} most often.",
        values: FOODS,
    },
    Topic {
        statement: "my hotel room is number {0}",
        questions: &["What is the number of my hotel room?", "Which hotel room do I have?"],
        sentence: "your hotel room is number {}.",
        values: &[],
    },
];

const OPENINGS: &[&str] =
    &["Hello! Please remember that {0}.", "Hi, just so you know: {0}.", "Note that {0}."];
const FURTHER: &[&str] = &["Also, {0}.", "One more thing: {0}.", "And {0}."];
const UPDATES: &[&str] = &["I made a mistake before. Now it is right: {0}.", "A correction: {0}."];
const REPLIES: &[&str] =
    &["Thank you, I will remember that.", "Got it.", "Noted. What else?", "All right, thanks."];
const BETWEEN: &[(&str, &str)] = &[
    ("Thanks for listening.", "You are welcome!"),
    ("How are you today?", "I am doing well, thank you."),
    ("Let us get to my question.", "Sure, go ahead."),
];

pub(super) fn question(rng: &mut ChaCha8Rng) -> GeneralQuestion {
    let mut topics = TOPICS.to_vec();
    topics.shuffle(rng);
    topics.truncate(rng.random_range(3..=4));
    let mut facts: Vec<(Topic, String)> = Vec::new();
    for topic in topics {
        let value = value(rng, &topic, &[]);
        facts.push((topic, value));
    }
    let (topic, first) = pick(rng, &facts).clone();
    let update = rng.random_bool(0.3).then(|| value(rng, &topic, &[&first]));
    let right = update.clone().unwrap_or_else(|| first.clone());
    let mut messages = Vec::new();
    for (index, (fact, value)) in facts.iter().enumerate() {
        let frames = if index == 0 { OPENINGS } else { FURTHER };
        say(rng, &mut messages, frames, &fill(fact.statement, &[value]));
    }
    if let Some(value) = &update {
        say(rng, &mut messages, UPDATES, &fill(topic.statement, &[value]));
    }
    if rng.random() {
        let (remark, reply) = *pick(rng, BETWEEN);
        messages.extend([Turn::user(remark), Turn::assistant(reply)]);
    }
    let request = *pick(rng, topic.questions);
    let hint = *pick(rng, &["", " Answer briefly.", " Give only the answer."]);
    messages.push(Turn::user(format!("{request}{hint}")));
    let mut wrong: Vec<String> = update.iter().map(|_| first.clone()).collect();
    while wrong.len() < 3 {
        let used: Vec<&str> = wrong.iter().chain([&right]).map(String::as_str).collect();
        let next = value(rng, &topic, &used);
        wrong.push(next);
    }
    let check = if topic.values.is_empty() {
        Check::Number(Number::new(&right, ""))
    } else {
        Check::Name(Names::new(&[&right], topic.values.iter().copied(), request))
    };
    let key = format!("recall {:?} {first} {right}", values(&facts));
    let (answer, wrong) = in_one_style(rng, topic.sentence, &right, &wrong);
    GeneralQuestion { kind: GeneralKind::Recall, messages, answer, wrong, check, key }
}

fn values(facts: &[(Topic, String)]) -> Vec<&str> {
    facts.iter().map(|(_, value)| value.as_str()).collect()
}

fn say(rng: &mut ChaCha8Rng, messages: &mut Vec<Turn>, frames: &[&str], statement: &str) {
    messages.push(Turn::user(fill(wording(rng, frames), &[statement])));
    messages.push(Turn::assistant(*pick(rng, REPLIES)));
}

/// A value of the topic that is not in `used`.
fn value(rng: &mut ChaCha8Rng, topic: &Topic, used: &[&str]) -> String {
    loop {
        let value = match sample(rng, topic.values, 1).first() {
            Some(value) => (*value).to_owned(),
            None => rng.random_range(101..=4_999).to_string(),
        };
        if !used.contains(&value.as_str()) {
            return value;
        }
    }
}
