//! The recorded sets, if they are available.

use std::path::PathBuf;

use super::*;

/// `SHOAL_SHARED`, or the folder beside the workspace.
fn corpora() -> Option<PathBuf> {
    let folder = std::env::var_os("SHOAL_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    folder.join("data/judgments").is_dir().then_some(folder)
}

#[test]
fn the_ranking_of_recorded_judgments_reaches_its_targets() {
    let Some(corpora) = corpora() else {
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
        simulation_draws: 1,
        full_panels: false,
    };
    let results = measure(&corpora, &scale).expect("the sets read");
    for row in &results.rows {
        eprintln!("{} | {} | {} | {:?} | {:?}", row.set, row.setup, row.gold, row.swarm, row.lead);
        // No prompt is below the uniform vote, and the lead over the majority on simulated sets is
        // significant. Peers that judge each other are as good as their votes, within noise.
        match row.set.as_str() {
            set if set.starts_with("LLMBar") => assert!(row.lead.value >= 0.0, "{row:?}"),
            set if set.starts_with("ZeroEval") => assert!(row.lead.is_positive(), "{row:?}"),
            _ => assert!(row.lead.value >= -0.01, "{row:?}"),
        }
    }
    let plain = "asked plainly with rules";
    assert!(accuracy(&results, "LLMBar natural", plain, CANARIES) >= 0.95);
    assert!(accuracy(&results, "LLMBar adversarial", plain, 0) >= 0.75);
    let three_prompts = "asked all three ways";
    assert!(accuracy(&results, "LLMBar adversarial", three_prompts, CANARIES) >= 0.85);
    assert!(accuracy(&results, "PRD Vicuna80", "five peers", 0) >= 0.76);
}

fn accuracy(results: &Results, set: &str, setup: &str, gold: usize) -> f64 {
    let row = results
        .rows
        .iter()
        .find(|row| row.set == set && row.setup == setup && row.gold == gold)
        .unwrap_or_else(|| panic!("{set}, {setup}, {gold}"));
    row.swarm.value
}
