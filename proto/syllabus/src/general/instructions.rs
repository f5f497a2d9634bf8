//! Instructions that a program can verify.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Check, GeneralKind, GeneralQuestion, Rule, Turn, capitalize, fill,
    pools::{JOBS, PEOPLE, TOWNS},
    sample, wording,
};
use crate::{draw::pick, words::LIST};

/// An instruction with its rules, a text that keeps to them and texts that do not.
struct Instruction {
    text: String,
    rules: Vec<Rule>,
    answer: String,
    wrong: Vec<String>,
}

pub(super) fn question(rng: &mut ChaCha8Rng) -> GeneralQuestion {
    let instruction = match rng.random_range(0..9) {
        0 => word_count(rng),
        1 => lower_case(rng),
        2 => avoided_letter(rng),
        3 => json(rng),
        4 => order(rng),
        5 => first_and_last(rng),
        6 => repetition(rng),
        7 => bullets(rng),
        _ => upper_case(rng),
    };
    let Instruction { text, rules, answer, wrong } = instruction;
    GeneralQuestion {
        kind: GeneralKind::Instructions,
        messages: vec![Turn::user(text)],
        answer,
        wrong,
        key: format!("instruction {rules:?}"),
        check: Check::Rules(rules),
    }
}

/// Sentences about anything. `{0}` is the topic, `{1}` and `{2}` are other words.
const SENTENCES: &[&str] = &[
    "the {0} stands between the {1} and the {2}",
    "many people like the {0} more than the {1} or the {2}",
    "the small {0} was found near the {1} and the {2}",
    "my neighbor painted the {0} and sold the {1} with the {2}",
    "every {0} needs the {1} and sometimes the {2}",
    "she looked at the {0} while he carried the {1} to the {2}",
];

fn sentence(rng: &mut ChaCha8Rng, topic: &str) -> String {
    let words: Vec<&str> = LIST.iter().copied().filter(|word| *word != topic).collect();
    let words = sample(rng, &words, 2);
    let [second, third] = words.as_slice() else { return topic.to_owned() };
    fill(wording(rng, SENTENCES), &[topic, second, third])
}

fn word_count(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "Write exactly {1} words that include the word \"{0}\". Write nothing else.",
        "Answer with a text of exactly {1} words. One of them must be \"{0}\".",
        "Use exactly {1} words, no more and no less, and use the word \"{0}\".",
    ];
    let topic = wording(rng, LIST);
    let count = rng.random_range(4..=9);
    let mut words = Vec::new();
    while words.len() < count + 2 {
        words.extend(sentence(rng, topic).split_whitespace().map(str::to_owned));
    }
    // The topic comes among the first seven words of a sentence.
    if let Some(at) = words.iter().position(|word| word == topic).filter(|at| *at > 0) {
        words.swap(0, at);
    }
    let [answer, wrong @ ..] = [count, count + 2, count - 1, count + 1]
        .map(|count| words.get(..count).unwrap_or_default().join(" "));
    Instruction {
        text: fill(wording(rng, FRAMES), &[topic, &count.to_string()]),
        rules: vec![Rule::Words(count), Rule::Contains(topic.to_owned())],
        answer,
        wrong: wrong.into(),
    }
}

fn lower_case(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "Write one sentence with the word \"{0}\". Use lower case letters only.",
        "Write a sentence that mentions \"{0}\", all in lower case. Do not use capital letters.",
        "Without any capital letter, write one sentence that contains the word \"{0}\".",
    ];
    let topic = wording(rng, LIST);
    let right = sentence(rng, topic) + ".";
    let without_topic = right.replace(topic, "thing");
    Instruction {
        text: fill(wording(rng, FRAMES), &[topic]),
        rules: vec![Rule::LowerCase, Rule::Contains(topic.to_owned()), Rule::WordsMin(4)],
        wrong: vec![capitalize(&right), without_topic, right.to_uppercase()],
        answer: right,
    }
}

fn upper_case(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "Write one sentence with the word \"{0}\" in capital letters only.",
        "SHOUT: write a sentence about \"{0}\" entirely in upper case, with that word in it.",
    ];
    let topic = wording(rng, LIST);
    let right = sentence(rng, topic) + ".";
    Instruction {
        text: fill(wording(rng, FRAMES), &[topic]),
        rules: vec![Rule::UpperCase, Rule::Contains(topic.to_owned()), Rule::WordsMin(4)],
        answer: right.to_uppercase(),
        wrong: vec![capitalize(&right), right.replace(topic, &topic.to_uppercase())],
    }
}

fn avoided_letter(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "Write a sentence with the word \"{0}\" that does not contain the letter \"{1}\".",
        "Use the word \"{0}\" in a sentence, but avoid the letter \"{1}\" completely.",
    ];
    const LETTERS: &[char] = &['b', 'c', 'd', 'f', 'g', 'k', 'm', 'p', 'u', 'v', 'w', 'y'];
    loop {
        let topic = wording(rng, LIST);
        let right = sentence(rng, topic);
        let free: Vec<char> = LETTERS.iter().copied().filter(|c| !right.contains(*c)).collect();
        if free.is_empty() {
            continue;
        }
        let letter = *pick(rng, &free);
        let word = LIST.iter().find(|word| word.contains(letter) && **word != topic);
        let Some(word) = word else { continue };
        return Instruction {
            text: fill(wording(rng, FRAMES), &[topic, &letter.to_string()]),
            rules: vec![Rule::Avoids(letter), Rule::Contains(topic.to_owned()), Rule::WordsMin(4)],
            wrong: vec![
                capitalize(&format!("{right} with the {word}.")),
                capitalize(&format!("{}.", right.replace(topic, "thing"))),
            ],
            answer: capitalize(&format!("{right}.")),
        };
    }
}

fn json(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "{0} is {1} years old, lives in {2} and works as a {3}. Write this as a JSON object with the \
         keys \"name\", \"age\" (a number), \"town\" and \"job\". Give only the JSON.",
        "Make a JSON object with the keys \"name\", \"age\", \"town\" and \"job\" from this text and \
         reply with nothing else: {0}, a {3} from {2}, is {1}. The age is a number.",
    ];
    let [name, town, job] = [PEOPLE, TOWNS, JOBS].map(|list| wording(rng, list));
    let age = rng.random_range(19..=88).to_string();
    let fields = [("name", name), ("age", &age), ("town", town), ("job", job)];
    let fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let right = format!(
        "{{\"name\": \"{name}\", \"age\": {age}, \"town\": \"{town}\", \"job\": \"{job}\"}}"
    );
    Instruction {
        text: fill(wording(rng, FRAMES), &[name, &age, town, job]),
        rules: vec![Rule::Json(fields.into())],
        wrong: vec![
            right.replace(&format!("\"job\": \"{job}\""), &format!("\"town\": \"{job}\"")),
            right.replace('"', ""),
            right.replace(", \"job\"", ", \"work\""),
        ],
        answer: right,
    }
}

fn order(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "List these words in {0} order, separated by commas, and write nothing else: {1}",
        "Put the words into {0} order. Reply with the list only: {1}",
    ];
    let mut words = sample(rng, LIST, 4);
    let shuffle = words.join(", ");
    words.sort_unstable();
    let is_reverse = rng.random_bool(0.35);
    let mut near_order = words.clone();
    if is_reverse {
        words.reverse();
        near_order.swap(0, 1);
    } else {
        near_order.swap(2, 3);
    }
    let name = if is_reverse { "reverse alphabetical" } else { "alphabetical" };
    let mut backwards = words.clone();
    backwards.reverse();
    let list: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Instruction {
        text: fill(wording(rng, FRAMES), &[name, &shuffle]),
        rules: vec![Rule::List(list)],
        answer: words.join(", "),
        wrong: vec![
            near_order.join(", "),
            backwards.join(", "),
            words.get(1..).unwrap_or_default().join(", "),
        ],
    }
}

fn first_and_last(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "Write a sentence that begins with the word \"{0}\" and ends with the word \"{1}\".",
        "The first word of your answer must be \"{0}\", the last word \"{1}\". Write one sentence.",
    ];
    const FIRST: &[&str] = &["Yesterday", "Sometimes", "Nobody", "Every", "Our", "Tomorrow"];
    const MIDDLES: &[&str] = &[
        "{0} friend of ours walked to the old {1}",
        "{0} person in town talked about the {1}",
        "{0} visitor wanted to see the famous {1}",
    ];
    let (first, last) = (wording(rng, FIRST), wording(rng, LIST));
    let right = fill(wording(rng, MIDDLES), &[first, last]);
    Instruction {
        text: fill(wording(rng, FRAMES), &[first, last]),
        rules: vec![
            Rule::StartsWith(first.to_owned()),
            Rule::EndsWith(last.to_owned()),
            Rule::WordsMin(4),
        ],
        wrong: vec![
            format!("{right} again."),
            format!("The {right}."),
            right.replace(first, "One") + ".",
        ],
        answer: right + ".",
    }
}

fn repetition(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "Write the word \"{0}\" exactly {1} times, separated by spaces.",
        "Repeat the word \"{0}\" {1} times and write nothing else.",
    ];
    let word = wording(rng, LIST);
    let count = rng.random_range(3..=8);
    let [answer, wrong @ ..] =
        [count, count + 1, count - 1, 1].map(|count| vec![word; count].join(" "));
    Instruction {
        text: fill(wording(rng, FRAMES), &[word, &count.to_string()]),
        rules: vec![Rule::List(vec![word.to_owned(); count])],
        answer,
        wrong: wrong.into(),
    }
}

fn bullets(rng: &mut ChaCha8Rng) -> Instruction {
    const FRAMES: &[&str] = &[
        "Make a list of exactly {1} things that one could see in a {0}. Each line must begin with \
         \"- \". Write no other lines.",
        "Reply with exactly {1} lines, each of which starts with \"- \" and names a thing that could \
         be in a {0}.",
    ];
    const ROOMS: &[&str] =
        &["kitchen", "garden", "school", "market", "harbor", "library", "castle"];
    let room = wording(rng, ROOMS);
    let count = rng.random_range(2..=6);
    let mut things = sample(rng, LIST, count + 1);
    things.shuffle(rng);
    let lists = [(count, "- "), (count + 1, "- "), (count, ""), (count - 1, "- ")];
    let [answer, wrong @ ..] = lists.map(|(count, mark)| {
        let lines: Vec<String> =
            things.iter().take(count).map(|thing| format!("{mark}{thing}")).collect();
        lines.join("\n")
    });
    Instruction {
        text: fill(wording(rng, FRAMES), &[room, &count.to_string()]),
        rules: vec![Rule::Bullets(count)],
        answer,
        wrong: wrong.into(),
    }
}
