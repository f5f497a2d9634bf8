//! What the source of this workspace keeps to, where the compiler, Cargo and clippy cannot hold it.
//! The rules stand in ARCHITECTURE.md.

use std::{collections::BTreeSet, fs, path::Path};

use shoal_tidy::{Crate, File, Workspace, cycles, docs, names, sizes};

/// Which crates of the workspace a crate may depend on outside of its tests. Cargo holds that
/// nothing else is known; this holds that nobody adds an arrow in passing.
const ARROWS: &[(&str, &[&str])] = &[
    ("shoal-proto", &[]),
    ("shoal-link", &["shoal-proto"]),
    ("shoal-syllabus", &[]),
    ("shoal-consensus", &["shoal-proto"]),
    ("shoal-api", &["shoal-consensus", "shoal-proto"]),
    ("shoal-store", &["shoal-consensus", "shoal-proto"]),
    (
        "shoal-swarm",
        &["shoal-consensus", "shoal-link", "shoal-proto", "shoal-store", "shoal-syllabus"],
    ),
    ("shoal-standing", &["shoal-consensus", "shoal-proto", "shoal-swarm"]),
    ("shoal-console", &["shoal-consensus"]),
    (
        "shoal-gateway",
        &[
            "shoal-api",
            "shoal-consensus",
            "shoal-console",
            "shoal-link",
            "shoal-proto",
            "shoal-standing",
            "shoal-store",
            "shoal-swarm",
        ],
    ),
    ("shoal-kernel", &[]),
    ("shoal-engine", &["shoal-proto"]),
    ("shoal-model", &["shoal-engine", "shoal-kernel", "shoal-proto"]),
    ("shoal-decoder", &["shoal-engine", "shoal-kernel", "shoal-model", "shoal-proto"]),
    ("shoal-train", &["shoal-syllabus"]),
    ("shoal-pull", &["shoal-proto"]),
    (
        "shoal-node",
        &[
            "shoal-decoder",
            "shoal-engine",
            "shoal-link",
            "shoal-model",
            "shoal-proto",
            "shoal-pull",
        ],
    ),
    ("shoal-tidy", &[]),
];

/// Crates that tie both sides together: they may know every other one, and nobody knows them.
const ON_TOP: &[&str] = &["shoal-sim", "shoal-eval"];

/// External crates that are known in one place only.
const KNOWN_ONCE: &[(&str, &[&str])] = &[
    ("quinn", &["shoal-link"]),
    ("rustls", &["shoal-link"]),
    ("actix-web", &["shoal-gateway"]),
    ("sqlx", &["shoal-store"]),
    ("burn", &["shoal-decoder", "shoal-train"]),
];

/// Code that decides, to which time and chance are handed in.
const PURE: &[&str] = &[
    "gateway/consensus/src",
    "gateway/api/src",
    "gateway/standing/src",
    "gateway/src/http/rate",
    "node/src/link/backoff",
];

#[test]
fn no_crate_is_longer_than_ten_thousand_lines() {
    let workspace = workspace();
    let long = workspace.crates.iter().filter(|package| package.product_lines() > 10_000);
    assert_empty(
        long.map(|package| format!("{}: {} lines", package.name, package.product_lines())),
    );
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let workspace = workspace();
    let long = files(&workspace).filter(|file| file.lines() >= 500);
    assert_empty(long.map(|file| format!("{}: {} lines", file.path, file.lines())));
}

#[test]
fn no_function_is_longer_than_seventy_lines() {
    let workspace = workspace();
    assert_empty(files(&workspace).flat_map(|file| {
        let long = sizes::functions(file).into_iter().filter(|function| function.lines > 70);
        long.map(|function| format!("{}:{}: {}", file.path, function.line, function.name))
    }));
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let workspace = workspace();
    assert_empty(workspace.crates.iter().flat_map(|package| {
        cycles::cycles(package).into_iter().map(|cycle| format!("{}: {cycle:?}", package.name))
    }));
}

#[test]
fn fewer_than_five_names_in_a_thousand_lines_are_participles_or_pronouns() {
    let workspace = workspace();
    assert_empty(workspace.crates.iter().filter_map(|package| {
        let names = package.files.iter().map(|file| names::names(file).poor.len()).sum::<usize>();
        (names * 1000 >= 5 * package.lines())
            .then(|| format!("{}: {names} in {} lines", package.name, package.lines()))
    }));
}

#[test]
fn every_public_item_is_documented() {
    let workspace = workspace();
    assert_empty(files(&workspace).flat_map(|file| {
        docs::undocumented_lines(file).into_iter().map(|line| format!("{}:{line}", file.path))
    }));
}

#[test]
fn crates_depend_on_each_other_as_the_architecture_says() {
    let workspace = workspace();
    assert_empty(workspace.crates.iter().flat_map(|package| {
        let arrows = ARROWS.iter().find(|(name, _)| *name == package.name).map(|(_, to)| *to);
        let extra_arrows = package.dependencies.iter().filter(move |dependency| {
            let is_ours = dependency.starts_with("shoal-");
            let is_allowed = arrows.map_or(!ON_TOP.contains(&dependency.as_str()), |to| {
                to.contains(&dependency.as_str())
            });
            is_ours && !is_allowed
        });
        extra_arrows.map(|dependency| format!("{} -> {dependency}", package.name))
    }));
}

#[test]
fn some_dependencies_are_known_in_one_place() {
    let workspace = workspace();
    assert_empty(KNOWN_ONCE.iter().flat_map(|(dependency, places)| {
        workspace
            .crates
            .iter()
            .filter(|package| package.dependencies.contains(*dependency))
            .filter(|package| !places.contains(&package.name.as_str()))
            .map(move |package| format!("{} -> {dependency}", package.name))
    }));
}

#[test]
fn only_http_knows_actix() {
    let exceptions = ["gateway/src/http", "gateway/src/gateway.rs"];
    assert_empty(uses(&["gateway/src/"], &["actix_web"], &exceptions));
}

#[test]
fn decisions_know_no_runtime_no_clock_and_no_chance() {
    assert_empty(uses(
        PURE,
        &["tokio", "Instant::now", "SystemTime::now", "rand::rng", "tracing"],
        &[],
    ));
}

/// Lines of code below `folders` that name one of `words`, but for the files below `exceptions`.
fn uses(folders: &[&str], words: &[&str], exceptions: &[&str]) -> Vec<String> {
    let workspace = workspace();
    let mut lines = Vec::new();
    let mut file_count = 0;
    for file in files(&workspace) {
        if !is_below(file, folders) || is_below(file, exceptions) || file.is_test() {
            continue;
        }
        file_count += 1;
        for (line, text) in file.text.lines().enumerate() {
            let is_comment = text.trim_start().starts_with("//");
            if !is_comment && words.iter().any(|word| has_word(text, word)) {
                lines.push(format!("{}:{}: {}", file.path, line + 1, text.trim()));
            }
        }
    }
    assert!(file_count > 0, "no files below {folders:?}: the rule holds nothing");
    lines
}

fn is_below(file: &File, folders: &[&str]) -> bool {
    folders.iter().any(|folder| file.path.starts_with(folder))
}

/// Whether the word stands in the line with no letter, digit or `_` before or after it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_word_part) && !after.is_some_and(is_word_part)
    })
}

fn is_word_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[test]
fn a_word_stands_by_itself() {
    assert!(has_word("use quinn::Endpoint;", "quinn"));
    assert!(!has_word("let quinnish = 1;", "quinn"));
    assert!(!has_word("requinn::x", "quinn"));
}

#[test]
fn every_crate_has_its_row_of_arrows() {
    let names: BTreeSet<String> = workspace().crates.into_iter().map(|p| p.name).collect();
    let rows: BTreeSet<String> = ARROWS
        .iter()
        .map(|(name, _)| *name)
        .chain(ON_TOP.iter().copied())
        .map(str::to_owned)
        .collect();
    assert_eq!(names, rows);
}

#[test]
fn the_architecture_page_names_every_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let crates: Vec<Crate> = workspace().crates;
    assert_empty(
        crates.into_iter().map(|package| package.name).filter(|name| !page.contains(name)),
    );
}

#[expect(clippy::unwrap_used, reason = "a test fails where the source cannot be read")]
fn workspace() -> Workspace {
    let workspace = Workspace::own().unwrap();
    assert!(workspace.crates.len() > 5, "next to no crates were found");
    workspace
}

fn files(workspace: &Workspace) -> impl Iterator<Item = &File> {
    workspace.crates.iter().flat_map(|package| &package.files)
}

fn assert_empty(violations: impl IntoIterator<Item = String>) {
    let violations: Vec<String> = violations.into_iter().collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}
