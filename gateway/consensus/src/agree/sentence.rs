//! What a short sentence says beyond its question: `Paris.`, `It is Paris.` and `The capital of France is
//! Paris.` answer "What is the capital of France?" alike.
//!
//! A sentence that restates the question is its words of the question, then what it adds, or the other way
//! round. Two sentences that add the same words in the same order are one answer, if one uses no word of the
//! question that the other lacks: `Ann is clearly taller` and `Tom is clearly taller` are two answers to "Who
//! is taller, Ann or Tom?". In doubt, sentences are different: a wrong difference costs a comparison by the
//! judges, a wrong equality the answer.

use std::collections::BTreeSet;

/// Words of a question that is restated. A long one holds the answer itself, as a passage to read does.
const QUESTION_WORDS_MAX: usize = 32;

/// Words of a sentence that only states an answer.
const SENTENCE_WORDS_MAX: usize = 24;

/// Letters that two words of one stem begin with: `painted` and `paint`.
const STEM: usize = 4;

/// Words that carry no answer of their own.
const EMPTY: &[&str] = &[
    "a", "an", "the", "is", "are", "was", "were", "be", "been", "being", "do", "does", "did",
    "has", "have", "had", "it", "its", "this", "that", "these", "those", "which", "who", "whom",
    "whose", "what", "there", "you", "your", "i", "would", "can", "called", "named", "name",
    "known", "said", "of", "in", "at", "by", "as", "for",
];

/// The words of a question that a sentence may restate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question(BTreeSet<String>);

impl Question {
    /// The words of `text`; none of a long one.
    pub(crate) fn new(text: &str) -> Self {
        let words: Vec<String> =
            text.split_whitespace().take(QUESTION_WORDS_MAX + 1).map(word).collect();
        if words.len() > QUESTION_WORDS_MAX {
            return Self::default();
        }
        Self(words.into_iter().filter(|word| carries(word)).collect())
    }

    /// Whether it has this word, or one of the same stem.
    fn has(&self, word: &str) -> bool {
        let stem = stem(word);
        self.0.contains(word)
            || stem.is_some_and(|stem| self.0.iter().any(|word| word.starts_with(stem)))
    }
}

/// A sentence that answers a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// What it adds to the question, in normal form.
    pub(super) gist: String,
    /// The words of the question that it uses.
    pub(super) restated: BTreeSet<String>,
}

impl Statement {
    /// The statement of a text; None of a text that is more than one short sentence, has digits or signs of
    /// code, adds nothing to the question, or adds words in two places.
    pub(super) fn new(text: &str, question: &Question) -> Option<Self> {
        let sentence = text.trim().trim_end_matches(['.', '!', '"', '*', '`']);
        if question.0.is_empty() || !sentence.chars().all(is_of_prose) {
            return None;
        }
        let mut words: Vec<String> = Vec::new();
        let mut sentence_ended = false;
        for part in sentence.split_whitespace() {
            if words.len() == SENTENCE_WORDS_MAX || sentence_ended {
                return None;
            }
            sentence_ended = part.trim_end_matches(['"', '*', '`']).ends_with(['.', '!', '?']);
            words.push(word(part));
        }
        let words: Vec<String> = words.into_iter().filter(|word| carries(word)).collect();
        let is_added: Vec<bool> = words.iter().map(|word| !question.has(word)).collect();
        let changes = is_added.windows(2).filter(|pair| pair.first() != pair.last()).count();
        if changes > 1 || (changes == 0 && !is_added.contains(&true)) {
            return None;
        }
        let (added, restated): (Vec<_>, Vec<_>) =
            words.into_iter().zip(is_added).partition(|(_, is_added)| *is_added);
        let added: Vec<String> = added.into_iter().map(|(word, _)| word).collect();
        Some(Self {
            gist: added.join(" "),
            restated: restated.into_iter().map(|(word, _)| word).collect(),
        })
    }

    /// Whether the two use words of the question that do not contradict each other.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.restated.is_subset(&other.restated) || other.restated.is_subset(&self.restated)
    }
}

/// Letters, spaces and the signs of plain sentences and of emphasis.
fn is_of_prose(sign: char) -> bool {
    sign.is_alphabetic()
        || sign.is_whitespace()
        || ".,;:!?'\"*_`-\u{2019}\u{201c}\u{201d}\u{2013}".contains(sign)
}

/// A word in lower case without the signs around it, and without the `'s` of a possessive.
fn word(part: &str) -> String {
    let bare = part.trim_matches(|sign: char| !sign.is_alphanumeric()).to_lowercase();
    let bare = bare.replace('\u{2019}', "'");
    bare.strip_suffix("'s").map_or_else(|| bare.clone(), str::to_owned)
}

fn carries(word: &str) -> bool {
    !word.is_empty() && !EMPTY.contains(&word)
}

/// The letters that inflections of a word have in common; None of a short word.
fn stem(word: &str) -> Option<&str> {
    word.char_indices().nth(STEM - 1).and_then(|(at, last)| word.get(..at + last.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::super::pools_to;

    const CAPITAL: &str = "What is the capital of France?";

    #[test]
    fn an_answer_and_a_sentence_that_states_it_are_alike() {
        for (question, texts) in [
            (
                CAPITAL,
                ["Paris", "The capital of France is Paris.", "It's **Paris**.", "Answer: Paris"]
                    .as_slice(),
            ),
            (
                "In which country is the city of Kyoto?",
                &["Kyoto is located in Japan.", "The city of Kyoto is located in Japan!"],
            ),
            (
                "Which organ pumps blood through the body?",
                &[
                    "The heart is the organ that pumps blood through the body.",
                    "The heart.",
                    "The organ that pumps blood through the body is the heart.",
                ],
            ),
            (
                "Who painted the Mona Lisa?",
                &[
                    "Leonardo da Vinci",
                    "The Mona Lisa was painted by Leonardo da Vinci.",
                    "Answer: Leonardo da Vinci",
                ],
            ),
            (
                "How do you say good morning in German?",
                &["\"Good morning\" in German is \"Guten Morgen\".", "Guten Morgen"],
            ),
        ] {
            assert_eq!(pools_to(question, texts), vec![0; texts.len()], "{question}");
        }
    }

    #[test]
    fn different_answers_stay_apart_however_alike_their_words_are() {
        for (question, texts) in [
            (
                CAPITAL,
                ["Paris", "Lyon", "It is not Paris.", "Paris or Lyon", "Paris. Or is it?"]
                    .as_slice(),
            ),
            (
                "Who is taller, Ann or Tom?",
                &[
                    "Ann is taller than Tom.",
                    "Tom is taller than Ann.",
                    "Ann is clearly taller",
                    "Tom is clearly taller",
                ],
            ),
            (
                "Does Ana live in Rome or in Oslo?",
                &[
                    "Ana lives in Rome",
                    "Ana lives in Oslo",
                    "Surely Ana lives in Rome",
                    "Surely Ana lives in Oslo",
                ],
            ),
            (
                "Which is first, red or blue?",
                &["first red then", "red first then", "first blue then"],
            ),
            ("Reverse a string in Python.", &["`s[::-1]`", "`s[:-1]`", "s::-1"]),
            ("Where does the train go?", &["from Rome to Oslo", "from Oslo to Rome"]),
            ("", &["It is Paris.", "Paris"]),
        ] {
            let apart: Vec<usize> = (0..texts.len()).collect();
            assert_eq!(pools_to(question, texts), apart, "{question}");
        }
    }

    #[test]
    fn a_passage_is_no_question_that_a_sentence_restates() {
        let passage = format!(
            "{} Where does Ana live?",
            "Ana lives in Rome and Bob lives in Oslo. ".repeat(8)
        );
        assert_eq!(
            pools_to(&passage, &["Ana lives in lovely Rome", "Bob lives in lovely Oslo"]),
            [0, 1]
        );
    }
}
