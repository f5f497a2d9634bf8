//! How often words occur in questions of any kind: what a question of an unknown kind looks like.

/// Words by their share of ordinary English questions, in thousandths, rounded up to these steps. Signs
/// and numbers (`#`) are words too.
const COMMON: [(f64, &str); 6] = [
    (60.0, "? the"),
    (35.0, ". , what is of"),
    (20.0, "a to in and"),
    (10.0, "how which are for : ' #"),
    (
        5.0,
        "many does do who when where why was be on with from by at it that i my me you can or if an \
         have this - \" ( )",
    ),
    (
        2.0,
        "much did were as its these your he she they we could would will has not one two three there \
         please give tell write name find answer question word words number text first last all each \
         some other than after before between does most more same so no yes let us up out about",
    ),
];

/// The share of every other word: one of some ten thousand.
const RARE: f64 = 1e-4;

/// P(word) in a question of an unknown kind.
pub(super) fn share(word: &str) -> f64 {
    let common = COMMON.iter().find(|(_, words)| words.split(' ').any(|common| common == word));
    common.map_or(RARE, |(thousandths, _)| thousandths / 1e3)
}
