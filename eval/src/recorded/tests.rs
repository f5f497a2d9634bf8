//! The recorded sets, where somebody has them.

use std::path::PathBuf;

use super::*;

/// `SHOAL_SHARED`, else the folder beside the workspace.
fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("SHOAL_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    folder.join("data/judgments").is_dir().then_some(folder)
}

#[test]
fn recorded_judgments_are_ranked_as_well_as_promised() {
    let Some(shared) = shared() else {
        eprintln!(
            "skipped: no recorded judgments (SHOAL_SHARED names no folder with data/judgments)"
        );
        return;
    };
    let scale = Scale {
        settings: Settings::default(),
        only: String::new(),
        draws: 6,
        panels: 3,
        simulated: 1,
        everybody: false,
    };
    let found = measure(&shared, &scale).expect("the sets read");
    let row = |set: &str, setup: &str, gold: usize| {
        let same = |row: &&Row| row.set == set && row.setup == setup && row.gold == gold;
        found.rows.iter().find(same).unwrap_or_else(|| panic!("{set}, {setup}, {gold}"))
    };
    for row in &found.rows {
        eprintln!("{} | {} | {} | {:?} | {:?}", row.set, row.setup, row.gold, row.ours, row.lead);
        // No way to ask is below the uniform vote, and no simulated set is above the majority by
        // luck alone. Peers that judge each other are as good as their votes, within noise.
        match row.set.as_str() {
            set if set.starts_with("LLMBar") => assert!(row.lead.value >= 0.0, "{row:?}"),
            set if set.starts_with("ZeroEval") => assert!(row.lead.is_positive(), "{row:?}"),
            _ => assert!(row.lead.value >= -0.01, "{row:?}"),
        }
    }
    let plain = "asked plainly with rules";
    assert!(row("LLMBar natural", plain, CANARIES).ours.value >= 0.95);
    assert!(row("LLMBar adversarial", plain, 0).ours.value >= 0.75);
    assert!(row("LLMBar adversarial", "asked all three ways", CANARIES).ours.value >= 0.85);
    assert!(row("PRD Vicuna80", "five peers", 0).ours.value >= 0.76);
}
