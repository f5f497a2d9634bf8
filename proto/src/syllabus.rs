//! The public list of question kinds (its owner fills it in).
