//! Passages of invented facts: rows of a table, as sentences.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    capitalize, fill,
    pools::{
        AGES, BOATS, COLORS, DAYS, FOODS, INSTRUMENTS, JOBS, PEOPLE, PETS, PLACES, PRICES,
        SURNAMES, THINGS, TOWNS, WEIGHTS, YEARS,
    },
    sample, wording,
};
use crate::draw::pick;

/// The values that a column can have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Words(&'static [&'static str]),
    /// Whole numbers from the first to the second.
    Numbers(u32, u32),
    /// Times of the day on five minutes.
    Times,
}

/// A question about one column of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inquiry {
    /// The column of the answer.
    pub(super) column: usize,
    pub(super) wordings: &'static [&'static str],
    /// An answer with `{}` for the value.
    pub(super) sentence: &'static str,
}

/// A question about something that the passage does not tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) wording: &'static str,
    /// An answer with `{}` for an invented value.
    pub(super) sentence: &'static str,
    pub(super) guesses: &'static [&'static str],
}

/// A kind of passage. `{0}`, `{1}` ... in its texts stand for the columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    openings: &'static [&'static str],
    columns: &'static [Column],
    lines: &'static [&'static str],
    pub(super) inquiries: &'static [Inquiry],
    pub(super) gaps: &'static [Gap],
}

/// A scene with its values.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) scene: Scene,
    /// One value for each column. No value occurs twice in a column.
    pub(super) rows: Vec<Vec<String>>,
    pub(super) text: String,
}

impl Passage {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let scene = *pick(rng, SCENES);
        let count = rng.random_range(3..=5);
        let columns: Vec<Vec<String>> =
            scene.columns.iter().map(|column| column.values(rng, count)).collect();
        let rows: Vec<Vec<String>> = (0..count)
            .map(|row| columns.iter().filter_map(|column| column.get(row).cloned()).collect())
            .collect();
        let mut sentences = vec![(*pick(rng, scene.openings)).to_owned()];
        for row in &rows {
            sentences.push(capitalize(&fill_row(wording(rng, scene.lines), row)));
        }
        if rng.random_bool(0.5) {
            sentences.push((*pick(rng, ASIDES)).to_owned());
        }
        Self { scene, rows, text: sentences.join(" ") }
    }
}

impl Scene {
    /// Every value that a column can have, as words; empty for numbers and times.
    pub(super) fn pool(&self, column: usize) -> &'static [&'static str] {
        match self.columns.get(column) {
            Some(Column::Words(words)) => words,
            _ => &[],
        }
    }

    pub(super) fn is_numeric(&self, column: usize) -> bool {
        matches!(self.columns.get(column), Some(Column::Numbers(..)))
    }
}

impl Column {
    fn values(self, rng: &mut ChaCha8Rng, count: usize) -> Vec<String> {
        match self {
            Self::Words(words) => {
                sample(rng, words, count).into_iter().map(str::to_owned).collect()
            }
            Self::Numbers(low, high) => {
                let mut numbers: Vec<u32> = (low..=high).collect();
                numbers.shuffle(rng);
                numbers.iter().take(count).map(u32::to_string).collect()
            }
            Self::Times => {
                let mut slots: Vec<u32> = (84..264).collect();
                slots.shuffle(rng);
                let minutes = slots.iter().take(count).map(|slot| slot * 5);
                minutes.map(|minutes| format!("{}:{:02}", minutes / 60, minutes % 60)).collect()
            }
        }
    }
}

pub(super) fn fill_row(template: &str, row: &[String]) -> String {
    let values: Vec<&str> = row.iter().map(String::as_str).collect();
    fill(template, &values)
}

/// Sentences without any fact that a question is about.
const ASIDES: &[&str] = &[
    "It rained for most of the week.",
    "Nobody could remember a busier month.",
    "A notice on the wall says the same.",
    "The list was checked twice.",
    "Visitors are welcome on most afternoons.",
];

const SCENES: &[Scene] = &[
    Scene {
        name: "house",
        openings: &[
            "The old house on the hill is full of collections.",
            "Everyone in the family collects something.",
            "This is what the guests of the manor have stored there.",
        ],
        columns: &[
            Column::Words(PEOPLE),
            Column::Numbers(3, 98),
            Column::Words(THINGS),
            Column::Words(PLACES),
        ],
        lines: &[
            "{0} keeps {1} {2} in the {3}.",
            "in the {3} there are {1} {2}, and all of them belong to {0}.",
            "{0} owns {1} {2}, which are stored in the {3}.",
        ],
        inquiries: &[
            Inquiry {
                column: 0,
                wordings: &["Who owns the {2}?", "Whose things are in the {3}?"],
                sentence: "they belong to {}.",
            },
            Inquiry {
                column: 1,
                wordings: &["How many {2} are in the {3}?", "How many {2} does {0} have?"],
                sentence: "there are {}.",
            },
            Inquiry {
                column: 2,
                wordings: &["What does {0} collect?", "What is stored in the {3}?"],
                sentence: "the collection consists of {}.",
            },
            Inquiry {
                column: 3,
                wordings: &["Where are the {2} kept?", "Where does {0} keep the {2}?"],
                sentence: "they are in the {}.",
            },
        ],
        gaps: &[
            Gap { wording: "How old is {0}?", sentence: "{0} is {} years old.", guesses: AGES },
            Gap {
                wording: "What is the surname of {0}?",
                sentence: "the surname of {0} is {}.",
                guesses: SURNAMES,
            },
            Gap { wording: "What colour are the {2}?", sentence: "they are {}.", guesses: COLORS },
        ],
    },
    Scene {
        name: "harbour",
        openings: &[
            "These boats leave the harbour tomorrow.",
            "The timetable of the harbour has changed.",
            "A small harbour serves several towns along the coast.",
        ],
        columns: &[
            Column::Words(BOATS),
            Column::Words(TOWNS),
            Column::Times,
            Column::Numbers(61, 98),
        ],
        lines: &[
            "the {0} sails to {1} at {2} with {3} passengers.",
            "at {2} the {0} departs for {1}; it carries {3} passengers.",
            "the boat to {1} is the {0}, which leaves at {2} with {3} passengers.",
        ],
        inquiries: &[
            Inquiry {
                column: 0,
                wordings: &["Which boat goes to {1}?", "Which boat leaves at {2}?"],
                sentence: "it is the {}.",
            },
            Inquiry {
                column: 1,
                wordings: &["Where does the {0} sail to?", "What is the destination of the {0}?"],
                sentence: "it sails to {}.",
            },
            Inquiry {
                column: 2,
                wordings: &["When does the {0} leave?", "At what time does the boat to {1} leave?"],
                sentence: "it leaves at {}.",
            },
            Inquiry {
                column: 3,
                wordings: &["How many passengers does the {0} carry?"],
                sentence: "it carries {} passengers.",
            },
        ],
        gaps: &[
            Gap {
                wording: "Who is the captain of the {0}?",
                sentence: "the captain is {}.",
                guesses: PEOPLE,
            },
            Gap {
                wording: "How much is a ticket to {1}?",
                sentence: "a ticket costs {}.",
                guesses: PRICES,
            },
            Gap {
                wording: "In which year was the {0} built?",
                sentence: "it was built in {}.",
                guesses: YEARS,
            },
        ],
    },
    Scene {
        name: "neighbours",
        openings: &[
            "The new neighbours introduced themselves at the party.",
            "A newspaper wrote about four friends and their families.",
            "The members of the club come from many towns.",
        ],
        columns: &[
            Column::Words(PEOPLE),
            Column::Words(JOBS),
            Column::Words(TOWNS),
            Column::Words(PETS),
        ],
        lines: &[
            "{0} works as a {1} in {2} and has a {3}.",
            "the {1} from {2} is {0}, who lives with a {3}.",
            "{0} has a {3}, comes from {2} and is a {1}.",
        ],
        inquiries: &[
            Inquiry {
                column: 0,
                wordings: &["Who is the {1}?", "Who comes from {2}?", "Who has a {3}?"],
                sentence: "it is {}.",
            },
            Inquiry {
                column: 1,
                wordings: &[
                    "What is the job of {0}?",
                    "What does the owner of the {3} do for work?",
                ],
                sentence: "the job is {}.",
            },
            Inquiry {
                column: 2,
                wordings: &["Which town does {0} come from?", "Where does the {1} come from?"],
                sentence: "the town is {}.",
            },
            Inquiry {
                column: 3,
                wordings: &["Which animal does {0} have?", "What pet does the {1} have?"],
                sentence: "the animal is a {}.",
            },
        ],
        gaps: &[
            Gap {
                wording: "What is the favourite food of {0}?",
                sentence: "{0} likes {} best.",
                guesses: FOODS,
            },
            Gap { wording: "How old is {0}?", sentence: "{0} is {} years old.", guesses: AGES },
            Gap {
                wording: "In which year was {0} born?",
                sentence: "{0} was born in {}.",
                guesses: YEARS,
            },
        ],
    },
    Scene {
        name: "warehouse",
        openings: &[
            "The warehouse has a box for every order.",
            "Before the move everything was packed into boxes.",
            "A clerk wrote down where everything is.",
        ],
        columns: &[
            Column::Words(COLORS),
            Column::Numbers(21, 98),
            Column::Words(THINGS),
            Column::Numbers(2, 19),
        ],
        lines: &[
            "the {0} box holds {1} {2} and stands on shelf {3}.",
            "on shelf {3} stands the {0} box with {1} {2}.",
            "{1} {2} are in the {0} box, which is on shelf {3}.",
        ],
        inquiries: &[
            Inquiry {
                column: 0,
                wordings: &["Which box holds the {2}?", "What colour is the box on shelf {3}?"],
                sentence: "it is the {} box.",
            },
            Inquiry {
                column: 1,
                wordings: &["How many {2} are there?", "How many {2} does the {0} box hold?"],
                sentence: "there are {}.",
            },
            Inquiry {
                column: 2,
                wordings: &["What is in the {0} box?", "What is in the box on shelf {3}?"],
                sentence: "the box holds {}.",
            },
            Inquiry {
                column: 3,
                wordings: &["On which shelf is the {0} box?", "On which shelf are the {2}?"],
                sentence: "it is shelf {}.",
            },
        ],
        gaps: &[
            Gap {
                wording: "How heavy is the {0} box?",
                sentence: "it weighs {}.",
                guesses: WEIGHTS,
            },
            Gap { wording: "Who packed the {0} box?", sentence: "{} packed it.", guesses: PEOPLE },
            Gap {
                wording: "To which town will the {2} be sent?",
                sentence: "they will be sent to {}.",
                guesses: TOWNS,
            },
        ],
    },
    Scene {
        name: "concert",
        openings: &[
            "The music school plans a week of concerts.",
            "Several students play in the town hall this week.",
            "The posters for the concerts are printed.",
        ],
        columns: &[
            Column::Words(PEOPLE),
            Column::Words(INSTRUMENTS),
            Column::Words(DAYS),
            Column::Numbers(12, 95),
        ],
        lines: &[
            "{0} plays the {1} on {2} for {3} minutes.",
            "on {2} you can hear {0} on the {1}; the concert lasts {3} minutes.",
            "the {1} is played by {0}, for {3} minutes on {2}.",
        ],
        inquiries: &[
            Inquiry {
                column: 0,
                wordings: &["Who plays the {1}?", "Who plays on {2}?"],
                sentence: "the musician is {}.",
            },
            Inquiry {
                column: 1,
                wordings: &[
                    "Which instrument does {0} play?",
                    "Which instrument is played on {2}?",
                ],
                sentence: "it is the {}.",
            },
            Inquiry {
                column: 2,
                wordings: &["On which day does {0} play?", "On which day can one hear the {1}?"],
                sentence: "the day is {}.",
            },
            Inquiry {
                column: 3,
                wordings: &[
                    "How many minutes does {0} play?",
                    "How many minutes is the {1} played?",
                ],
                sentence: "it lasts {} minutes.",
            },
        ],
        gaps: &[
            Gap {
                wording: "How much is a ticket for the concert of {0}?",
                sentence: "a ticket costs {}.",
                guesses: PRICES,
            },
            Gap {
                wording: "Who is the teacher of {0}?",
                sentence: "the teacher is {}.",
                guesses: SURNAMES,
            },
            Gap { wording: "Which town is {0} from?", sentence: "{0} is from {}.", guesses: TOWNS },
        ],
    },
];
