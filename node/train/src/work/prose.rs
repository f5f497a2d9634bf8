//! Equations, word problems, and the answer to questions outside of the syllabus.

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use shoal_syllabus::{Family, Plot};

use super::columns;

/// The other side with `b` moved over, then divided by `a`: `x = (c -+ b) / a`.
pub(super) fn equation([a, b, c]: [u32; 3], minus: bool) -> String {
    let (line, product) =
        if minus { (add(c, b), c + b) } else { (subtract(c, b), c.saturating_sub(b)) };
    if a == 1 { line } else { format!("{line} {product}/{a}. {}", columns::divide(product, a)) }
}

/// The sum, then its columns. The sum is first because a model easily finds the start of a number in
/// a question, but not its end, where the columns start.
pub(super) fn add(a: u32, b: u32) -> String {
    format!("{a}+{b}. {}", columns::add(a, b))
}

/// See [`add`].
pub(super) fn subtract(a: u32, b: u32) -> String {
    format!("{a}-{b}. {}", columns::subtract(a, b))
}

/// See [`add`].
pub(super) fn multiply(a: u32, b: u32) -> String {
    format!("{a}*{b}. {}", columns::multiply(a, b))
}

/// The steps of a word problem.
pub(super) fn story(plot: &Plot) -> String {
    match *plot {
        Plot::Gain { a, b } => add(a, b),
        Plot::Loss { a, b } => subtract(a, b),
        Plot::Times { a, b } => multiply(a, b),
        Plot::Share { a, b } => format!("{a}/{b}. {}", columns::divide(a, b)),
        Plot::GainLoss { a, b, c } => format!("{} {}", add(a, b), subtract(a + b, c)),
        Plot::TimesGain { a, b, c } => format!("{} {}", multiply(a, b), add(a * b, c)),
        Plot::TimesLoss { a, b, c } => format!("{} {}", multiply(a, b), subtract(a * b, c)),
    }
}

/// The answer of a specialist to any other question: its skills, and a question that it can answer.
pub(crate) fn plain_statement(strong: &[Family]) -> String {
    let skills: Vec<&str> = strong.iter().map(|family| skill(*family)).collect();
    let skills = match skills.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        few => few.join(""),
    };
    let example = strong.first().map(|family| example(*family)).unwrap_or_default();
    format!(
        "I am a small Shoal specialist for {skills}. I cannot help with that, but try: {example}"
    )
}

fn skill(family: Family) -> &'static str {
    match family {
        Family::Add => "adding",
        Family::Subtract => "subtracting",
        Family::Multiply => "multiplying",
        Family::Divide => "dividing",
        Family::Compare => "comparing numbers",
        Family::Sort => "sorting",
        Family::Count => "counting letters",
        Family::Reverse => "reversing words",
        Family::Weekday => "weekdays",
        Family::Clock => "the clock",
        Family::Convert => "units",
        Family::Equation => "equations",
        Family::Story => "word problems",
    }
}

fn example(family: Family) -> &'static str {
    match family {
        Family::Add => "What is 47 + 385?",
        Family::Subtract => "What is 502 - 17?",
        Family::Multiply => "What is 23 * 47?",
        Family::Divide => "Divide 4827 by 6 with remainder.",
        Family::Compare => "Which is the largest: 417, 452, 39?",
        Family::Sort => "Sort 417, 52, 390.",
        Family::Count => "How many r's are in strawberry?",
        Family::Reverse => "Spell stone backwards.",
        Family::Weekday => "What day is 45 days after Tuesday?",
        Family::Clock => "What time is 85 minutes after 9:40?",
        Family::Convert => "Convert 12 km to m.",
        Family::Equation => "Solve 3x + 7 = 46.",
        Family::Story => "Tom has 12 boxes with 3 eggs each. How many eggs?",
    }
}

/// A text that no specialist answers: a greeting, or a request for an essay, code or facts.
pub(crate) fn off_topic(rng: &mut ChaCha8Rng) -> String {
    let shape = SHAPES.choose(rng).copied().unwrap_or_default();
    let mut text = shape.to_owned();
    for (slot, list) in [("{t}", TOPICS), ("{l}", LANGUAGES), ("{p}", PLACES)] {
        text = text.replace(slot, list.choose(rng).copied().unwrap_or_default());
    }
    match rng.random_range(0..4) {
        0 => text.to_lowercase(),
        1 => text.trim_end_matches(['?', '.', '!']).to_owned(),
        _ => text,
    }
}

const SHAPES: &[&str] = &[
    "Hello!",
    "Hi",
    "Hi there!",
    "Good morning!",
    "Good evening.",
    "Hey, how are you?",
    "Thanks!",
    "How are you today?",
    "Who are you?",
    "What are you?",
    "What is your name?",
    "What can you do?",
    "Who made you?",
    "Are you a robot?",
    "Help me please.",
    "Tell me a joke.",
    "Tell me about {t}.",
    "Tell me something about {p}.",
    "Write an essay about {t}.",
    "Write a poem about {t}.",
    "Write a short story about {t}.",
    "Explain {t} to me.",
    "Explain {t} in simple words.",
    "What do you think about {t}?",
    "Why is {t} important?",
    "What is {t}?",
    "Who invented {t}?",
    "What is the capital of {p}?",
    "Where is {p}?",
    "What is the weather in {p}?",
    "Plan a trip to {p}.",
    "Who is the president of {p}?",
    "What language do they speak in {p}?",
    "Write a {l} program about {t}.",
    "How do I read a file in {l}?",
    "Fix my {l} code.",
    "Write a function in {l}.",
    "Translate {t} into French.",
    "Summarize the history of {t}.",
    "Give me ideas for {t}.",
    "Can you recommend a book about {t}?",
    "I feel sad today.",
    "What should I eat for dinner?",
    "Compare {t} and {t}.",
    "Write an email about {t}.",
    "Is {t} good for me?",
    "How does {t} work?",
    "List facts about {t}.",
    "Let us talk about {t}.",
];
const TOPICS: &[&str] = &[
    "music",
    "love",
    "climate change",
    "the ocean",
    "dogs",
    "cats",
    "space",
    "football",
    "cooking",
    "history",
    "art",
    "democracy",
    "the moon",
    "electricity",
    "trees",
    "philosophy",
    "physics",
    "gardening",
    "the stars",
    "friendship",
    "the internet",
    "chess",
    "movies",
    "dinosaurs",
    "bees",
    "volcanoes",
    "happiness",
    "money",
    "robots",
    "artificial intelligence",
    "photosynthesis",
    "war",
    "peace",
    "coffee",
    "sleep",
    "dreams",
    "rivers",
    "bridges",
    "language",
    "quantum computers",
];
const LANGUAGES: &[&str] = &["Python", "Rust", "Java", "C", "JavaScript", "Go", "SQL", "Haskell"];
const PLACES: &[&str] = &[
    "France", "Japan", "Brazil", "Kenya", "Canada", "Berlin", "Paris", "Tokyo", "Egypt", "India",
    "Norway", "Peru", "London", "Rome", "Vietnam", "Mexico", "Spain", "Iceland", "Chile", "Ghana",
];
