//! Questions with known answers, drawn from a seed, for examinations, training and evaluation.
//!
//! The trainer draws from [`Split::Train`], the gateway's entrance examination from
//! [`Split::Gold`], and the evaluation from [`Split::Test`]. A problem belongs to exactly one split
//! in any wording, so no model is examined in what it was trained on. The list is public.
//!
//! The public names:
//! - [`questions`] draws [`Question`]s of a [`Family`] and a [`Split`], each about a [`Problem`].
//! - [`general_questions`] draws [`GeneralQuestion`]s, for models that claim to answer anything.
//! - [`grade`] and [`final_answer`] check a model's text; [`accepts`] also takes the answer in a sentence.
//!
//! ```
//! use shoal_syllabus::{Family, Split, grade, questions};
//!
//! let question = questions(&[Family::Add], Split::Test, 7).next().unwrap();
//! assert!(grade(&question, &format!("... Answer: {}", question.answer)));
//! assert!(!grade(&question, "Answer: I would rather not say"));
//! ```

mod family;
mod problem;
mod split;
mod words;
mod draw;
mod phrase;
mod question;
mod statement;
pub mod general;
mod accept;
#[cfg(test)]
mod tests;

pub use accept::{Exercise, accepts};
pub use family::Family;
pub use general::{GeneralKind, GeneralQuestion, GeneralQuestions, general_questions};
pub use problem::{DAYS, Measure, Plot, Problem};
pub use question::{Question, Questions, final_answer, grade, questions};
pub use split::Split;
