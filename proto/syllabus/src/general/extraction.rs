//! Values to find in a text, and texts to transform.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Check, GeneralKind, GeneralQuestion, Names, Number, Sequence, Turn, fill, in_one_style,
    pools::{PEOPLE, SURNAMES, THINGS, TOWNS},
    sample, wording,
};
use crate::{draw::pick, words::LIST};

/// A task with its answers, before they are put into a style.
struct Task {
    text: String,
    right: String,
    wrong: Vec<String>,
    check: Check,
    sentence: &'static str,
}

pub(super) fn question(rng: &mut ChaCha8Rng) -> GeneralQuestion {
    let task = match rng.random_range(0..8) {
        0 => email(rng),
        1 => date(rng),
        2 => price(rng),
        3 => buyer(rng),
        4 => upper_case(rng),
        5 => replacement(rng),
        6 => name_order(rng),
        _ => initials(rng),
    };
    let Task { text, right, wrong, check, sentence } = task;
    let (answer, wrong) = in_one_style(rng, sentence, &right, &wrong);
    let key = format!("extraction {text}");
    let messages = vec![Turn::user(text)];
    GeneralQuestion { kind: GeneralKind::Extraction, messages, answer, wrong, check, key }
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn email(rng: &mut ChaCha8Rng) -> Task {
    const TEXTS: &[&str] = &[
        "For orders please write to {0} ({3}). Invoices are handled by {1}, {4}. In urgent cases, \
         {2} answers at {5}.",
        "Team list: {0} <{3}>, {1} <{4}>, {2} <{5}>.",
        "{0} has moved to another office; the new address is {3}. {1} can still be reached at {4}, \
         and {2} at {5}.",
    ];
    const FRAMES: &[&str] = &[
        "What is the e-mail address of {1}?\n\n{0}",
        "Find the e-mail address of {1} in this text and reply with it only:\n{0}",
        "{0}\n\nWhich e-mail address belongs to {1}?",
    ];
    const HOSTS: &[&str] = &["kelp.example", "post.example", "mailbox.test", "harbor.example"];
    let people = sample(rng, PEOPLE, 3);
    let addresses: Vec<String> = people
        .iter()
        .map(|name| {
            let number = rng.random_range(2..=99);
            format!("{}{number}@{}", name.to_lowercase(), pick(rng, HOSTS))
        })
        .collect();
    let values: Vec<&str> = people.iter().copied().chain(addresses.iter().map(|a| &**a)).collect();
    let text = fill(wording(rng, TEXTS), &values);
    let target = rng.random_range(0..people.len());
    let right = addresses.get(target).cloned().unwrap_or_default();
    let wrong: Vec<String> =
        addresses.iter().filter(|address| **address != right).cloned().collect();
    let name = people.get(target).copied().unwrap_or_default();
    Task {
        check: Check::Name(Names::new(&[&right], wrong.iter().map(String::as_str), "")),
        text: fill(wording(rng, FRAMES), &[&text, name]),
        right,
        wrong,
        sentence: "the address is {}.",
    }
}

const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A date in the ways that models write it; the first is the usual one.
fn date_forms(day: u32, month: &str, year: u32) -> Vec<String> {
    let ending = match day {
        1 | 21 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    };
    let number = MONTHS.iter().position(|name| *name == month).unwrap_or(0) + 1;
    vec![
        format!("{day} {month} {year}"),
        format!("{month} {day}, {year}"),
        format!("{day}{ending} {month} {year}"),
        format!("{month} {day}{ending}, {year}"),
        format!("{day}{ending} of {month} {year}"),
        format!("{year}-{number:02}-{day:02}"),
        format!("{day} {month}"),
        format!("{month} {day}"),
        format!("{month} {day}{ending}"),
        format!("{day}{ending} of {month}"),
    ]
}

fn date(rng: &mut ChaCha8Rng) -> Task {
    const TEXTS: &[&str] = &[
        "The {0} fair opens on {1}. Stands can be booked until {2}, and the results are published on \
         {3}.",
        "Registration for the race in {0} ends on {2}. The race itself, the opening of the year, is \
         on {1}; the results come on {3}.",
    ];
    const EVENTS: &[&str] =
        &["the opening", "the end of the registration or booking", "the results"];
    const FRAMES: &[&str] = &[
        "{0}\n\nWhat is the date of {1}?",
        "Give only the date of {1}.\n\n{0}",
        "On which date: {1}?\nText: {0}",
    ];
    let town = *pick(rng, TOWNS);
    let year = rng.random_range(2027..=2039);
    let months = sample(rng, MONTHS, 3);
    let mut dates = Vec::new();
    for month in months {
        dates.push(date_forms(rng.random_range(4..=28), month, year));
    }
    let mut values = vec![town];
    values.extend(dates.iter().filter_map(|forms| forms.first().map(String::as_str)));
    let target = rng.random_range(0..dates.len());
    let right = dates.get(target).cloned().unwrap_or_default();
    let forms: Vec<&str> = right.iter().map(String::as_str).collect();
    let rest: Vec<&Vec<String>> = dates.iter().filter(|forms| **forms != right).collect();
    let rivals = rest.iter().flat_map(|forms| forms.iter().map(String::as_str));
    let text = fill(wording(rng, TEXTS), &values);
    Task {
        check: Check::Name(Names::new(&forms, rivals, "")),
        text: fill(wording(rng, FRAMES), &[&text, EVENTS.get(target).copied().unwrap_or_default()]),
        wrong: rest.iter().filter_map(|forms| forms.first().cloned()).collect(),
        right: right.first().cloned().unwrap_or_default(),
        sentence: "the date is {}.",
    }
}

/// An order of three things with different prices.
fn order(rng: &mut ChaCha8Rng) -> (Vec<&'static str>, Vec<String>, String) {
    let things = sample(rng, THINGS, 3);
    let mut prices: Vec<u32> = (4..60).collect();
    prices.shuffle(rng);
    let cents = *pick(rng, &["25", "40", "50", "75", "95"]);
    let prices: Vec<String> =
        prices.iter().take(3).map(|price| format!("${price}.{cents}")).collect();
    let lines = things.iter().zip(&prices).map(|(thing, price)| {
        let count = rng.random_range(2..=9);
        format!("{count} {thing} at {price} each")
    });
    let lines: Vec<String> = lines.collect();
    (things, prices, lines.join("; "))
}

fn price(rng: &mut ChaCha8Rng) -> Task {
    const FRAMES: &[&str] = &[
        "Invoice {2}: {0}.\n\nWhat is the price of one of the {1}?",
        "What do the {1} cost apiece? Reply with the price only.\n\nOrder {2}: {0}.",
    ];
    let (things, prices, lines) = order(rng);
    let target = rng.random_range(0..things.len());
    let right = prices.get(target).cloned().unwrap_or_default();
    let number = rng.random_range(10_000..=99_999).to_string();
    let thing = things.get(target).copied().unwrap_or_default();
    Task {
        check: Check::Number(Number::new(&right, "")),
        text: fill(wording(rng, FRAMES), &[&lines, thing, &number]),
        wrong: prices.iter().filter(|price| **price != right).cloned().collect(),
        right,
        sentence: "the price is {}.",
    }
}

fn buyer(rng: &mut ChaCha8Rng) -> Task {
    const FRAMES: &[&str] = &[
        "{0}\n\nWho sent the message? Give the full name.",
        "Extract the full name of the sender:\n{0}",
    ];
    const TEXTS: &[&str] = &[
        "From: {0}\nTo: {1}\nCopy: {2}\nThe {3} have arrived. Thank you!",
        "Dear {1},\nplease tell {2} that the {3} are still missing.\nBest regards\n{0}",
    ];
    let people = sample(rng, PEOPLE, 3);
    let surnames = sample(rng, SURNAMES, 3);
    let names: Vec<String> =
        people.iter().zip(&surnames).map(|(first, last)| format!("{first} {last}")).collect();
    let thing = *pick(rng, THINGS);
    let values: Vec<&str> = names.iter().map(String::as_str).chain([thing]).collect();
    let text = fill(wording(rng, TEXTS), &values);
    let wrong: Vec<String> = names.iter().skip(1).cloned().collect();
    let right = names.into_iter().next().unwrap_or_default();
    Task {
        check: Check::Name(Names::new(&[&right], wrong.iter().map(String::as_str), "")),
        text: fill(wording(rng, FRAMES), &[&text]),
        right,
        wrong,
        sentence: "the sender is {}.",
    }
}

/// A sentence of a few words.
fn phrase(rng: &mut ChaCha8Rng) -> (Vec<&'static str>, String) {
    const FRAMES: &[&str] = &[
        "the {0} is near the {1} and the {2}",
        "no {0} has a {1} like the {2}",
        "buy {0}, {1} and {2}",
    ];
    let words = sample(rng, LIST, 3);
    let text = fill(wording(rng, FRAMES), &words);
    (words, text)
}

fn upper_case(rng: &mut ChaCha8Rng) -> Task {
    const FRAMES: &[&str] = &[
        "Write this text in capital letters: {0}",
        "Convert to upper case and reply with the result only:\n{0}",
    ];
    let (words, text) = phrase(rng);
    let right = text.to_uppercase();
    let [first, second, ..] = words.as_slice() else { return initials(rng) };
    Task {
        text: fill(wording(rng, FRAMES), &[&text]),
        wrong: vec![
            text.clone(),
            right.replace(&first.to_uppercase(), first),
            right.replace(&second.to_uppercase(), &first.to_uppercase()),
        ],
        check: Check::Exact(right.clone()),
        right,
        sentence: "the result is: {}",
    }
}

fn replacement(rng: &mut ChaCha8Rng) -> Task {
    const FRAMES: &[&str] = &[
        "Replace the word \"{1}\" with \"{2}\" in this text and reply with the new text only: {0}",
        "In the following text, write \"{2}\" instead of \"{1}\". Give only the result.\n{0}",
    ];
    let (words, text) = phrase(rng);
    let [first, second, third] = words.as_slice() else { return initials(rng) };
    let new_words: Vec<&str> = LIST.iter().copied().filter(|word| !text.contains(word)).collect();
    let new = *pick(rng, &new_words);
    let right = text.replace(&format!(" {second}"), &format!(" {new}"));
    Task {
        text: fill(wording(rng, FRAMES), &[&text, second, new]),
        wrong: vec![
            text.clone(),
            text.replace(&format!(" {third}"), &format!(" {new}")),
            strings(&[first, new]).join(" "),
        ],
        check: Check::Exact(right.clone()),
        right,
        sentence: "the new text is: {}",
    }
}

fn name_order(rng: &mut ChaCha8Rng) -> Task {
    const FRAMES: &[&str] = &[
        "Sort these names alphabetically: {0}",
        "Put the names into alphabetical order, separated by commas: {0}",
    ];
    let mut people = sample(rng, PEOPLE, 4);
    let list = people.join(", ");
    people.sort_unstable();
    let right = people.join(", ");
    people.swap(1, 2);
    let near_right = people.join(", ");
    people.swap(0, 3);
    Task {
        text: fill(wording(rng, FRAMES), &[&list]),
        check: Check::Sequence(Sequence::words(&right, &list)),
        wrong: vec![near_right, people.join(", ")],
        right,
        sentence: "the order is {}.",
    }
}

fn initials(rng: &mut ChaCha8Rng) -> Task {
    const FRAMES: &[&str] = &[
        "What are the initials of {0}?",
        "Give the initials (three letters) of this name: {0}",
        "{0} signs with three initials. Which letters are they?",
    ];
    let names = [sample(rng, PEOPLE, 2), sample(rng, SURNAMES, 1)].concat();
    let letters: Vec<String> = names.iter().map(|name| name.chars().take(1).collect()).collect();
    let right = letters.concat();
    let forms = [letters.concat(), letters.join("."), letters.join(" ")];
    let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
    let mut rotation = letters.clone();
    rotation.rotate_left(1);
    let short = letters.get(..2).unwrap_or_default().concat();
    let wrong: Vec<String> = [rotation.concat(), short, letters.concat() + "N"]
        .into_iter()
        .filter(|text| *text != right)
        .collect();
    Task {
        text: fill(wording(rng, FRAMES), &[&names.join(" ")]),
        check: Check::Name(Names::new(&forms, wrong.iter().map(String::as_str), "")),
        right,
        wrong,
        sentence: "the initials are {}.",
    }
}
