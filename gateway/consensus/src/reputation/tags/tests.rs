//! Which asks a tag fits.

use shoal_syllabus::{self, Family, Split};

use super::*;

fn fits(tag: &str, ask: &str) -> bool {
    Claims::of(&[tag.to_owned()], &Features::of(ask)).share() > 0.0
}

#[test]
fn a_known_tag_fits_by_its_words() {
    assert!(fits("math", "What is 47 + 385?"));
    assert!(fits("code", "Write a Python function that adds two numbers."));
    assert!(fits("calendar", "Which weekday comes 40 days after Friday?"));
    assert!(!fits("calendar", "What is 47 + 385?"));
    assert!(!fits("code", "How many apples are left?"));
}

#[test]
fn any_other_tag_fits_where_all_its_own_words_occur() {
    assert!(fits("tax-law", "Which tax applies under Portuguese law?"));
    assert!(!fits("tax-law", "What is the law of large numbers?"));
    assert!(fits("haskell", "Explain monads in Haskell."));
    for nothing in ["", " ", "-", "--"] {
        assert!(!fits(nothing, "What - is -- it?"), "{nothing:?}");
    }
}

#[test]
fn a_tag_is_one_however_it_is_written_and_many_say_no_more_than_one() {
    let ask = Features::of("What is 47 + 385?");
    let of = |tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Claims::of(&tags, &ask)
    };
    assert_eq!(of(&["math", "Math ", "MATH"]), of(&["math"]));
    assert_eq!(place("Word Problems"), place("word-problems"));
    let total = |claims: Claims| claims.each().map(|(_, feature)| feature).sum::<f64>();
    let many = of(&["math", "addition", "arithmetic", "maths"]);
    assert_eq!(many.each().count(), 4);
    assert!((total(many) - total(of(&["math"]))).abs() < 1e-12);
}

#[test]
fn what_gold_shows_leaves_little_of_what_a_tag_says() {
    let ask = Features::of("What is 47 + 385?");
    let left = |seen| Claims::of(&["math".to_owned()], &ask).beside(seen, 2.0).share();
    assert!((left(0.0) - 1.0).abs() < 1e-12);
    assert!((left(2.0) - 0.25).abs() < 1e-12 && left(6.0) < 0.07);
    assert_eq!(Claims::of(&["math".to_owned()], &ask).beside(0.0, 0.0).share(), 0.0);
}

#[test]
fn tags_are_kept_apart_from_words() {
    let highest = KNOWN.iter().flat_map(|one| one.words).map(|gram| bucket(gram)).max();
    let lowest = KNOWN.iter().map(|one| place(one.tag)).min();
    assert!(highest < lowest);
}

#[test]
fn every_known_tag_is_listed_before_what_contains_it_and_documented() {
    let protocol = include_str!("../../../../../PROTOCOL.md");
    let config = include_str!("../../../../../config/node.toml");
    for (at, Known { tag, of, .. }) in KNOWN.iter().enumerate() {
        assert!(of.iter().all(|part| KNOWN[..at].iter().any(|one| one.tag == *part)), "{tag}");
        assert!(protocol.contains(&format!("`{tag}`")), "PROTOCOL.md does not name {tag}");
        assert!(config.contains(tag), "config/node.toml does not name {tag}");
        assert_eq!(name(tag), *tag);
        assert!(Features::of(&KNOWN[at].words.join(" . ")).len() >= KNOWN[at].words.len());
    }
}

#[test]
fn the_tags_of_the_bundled_specialists_fit_their_kinds() {
    for family in Family::ALL {
        let asked = shoal_syllabus::questions(&[family], Split::Train, 1).take(200);
        let fitting = asked.filter(|question| fits(family.tag(), &question.text)).count();
        assert!(fitting >= 150, "{} fits {fitting} of 200", family.tag());
    }
}
