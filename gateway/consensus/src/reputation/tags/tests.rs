//! Which asks a tag fits.

use shoal_syllabus::{self, Family, Split};

use super::*;

fn fits(tag: &str, ask: &str) -> bool {
    Claims::new(&[tag.to_owned()], &Features::extract(ask)).share() > 0.0
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
    for tag in ["", " ", "-", "--"] {
        assert!(!fits(tag, "What - is -- it?"), "{tag:?}");
    }
}

#[test]
fn a_tag_is_one_however_it_is_written_and_many_say_no_more_than_one() {
    assert_eq!(claims(&["math", "Math ", "MATH"]), claims(&["math"]));
    assert_eq!(tag_bucket("Word Problems"), tag_bucket("word-problems"));
    let many = claims(&["math", "addition", "arithmetic", "maths"]);
    assert_eq!(many.features().count(), 4);
    let [many, single] = [many, claims(&["math"])]
        .map(|claims| claims.features().map(|(_, feature)| feature).sum::<f64>());
    assert!((many - single).abs() < 1e-12);
}

/// The claims of these tags for an arithmetic ask.
fn claims(tags: &[&str]) -> Claims {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Claims::new(&tags, &Features::extract("What is 47 + 385?"))
}

#[test]
fn what_gold_shows_leaves_little_of_what_a_tag_says() {
    let shares = [0.0, 2.0, 6.0].map(|count| claims(&["math"]).beside(count, 2.0).share());
    assert!((shares[0] - 1.0).abs() < 1e-12);
    assert!((shares[1] - 0.25).abs() < 1e-12 && shares[2] < 0.07);
    assert_eq!(claims(&["math"]).beside(0.0, 0.0).share(), 0.0);
}

#[test]
fn tags_are_kept_apart_from_words() {
    let highest = VOCABULARY.iter().flat_map(TagWords::terms).map(bucket).max();
    let lowest = VOCABULARY.iter().map(|entry| tag_bucket(entry.tag)).min();
    assert!(highest < lowest);
}

#[test]
fn every_known_tag_is_listed_before_what_contains_it_and_documented() {
    let protocol = include_str!("../../../../../PROTOCOL.md");
    let config = include_str!("../../../../../config/node.toml");
    for (at, TagWords { tag, parts, .. }) in VOCABULARY.iter().enumerate() {
        assert!(
            parts.iter().all(|part| VOCABULARY[..at].iter().any(|entry| entry.tag == *part)),
            "{tag}"
        );
        assert!(protocol.contains(&format!("`{tag}`")), "PROTOCOL.md does not name {tag}");
        assert!(config.contains(tag), "config/node.toml does not name {tag}");
        assert_eq!(name(tag), *tag);
        assert!(
            Features::extract(&VOCABULARY[at].terms.replace(", ", " . ")).len()
                >= VOCABULARY[at].terms().count()
        );
    }
}

#[test]
fn the_tags_of_the_bundled_specialists_fit_their_kinds() {
    for family in Family::ALL {
        let questions = shoal_syllabus::questions(&[family], Split::Train, 1).take(200);
        let count = questions.filter(|question| fits(family.tag(), &question.text)).count();
        assert!(count >= 150, "{} fits {count} of 200", family.tag());
    }
}
