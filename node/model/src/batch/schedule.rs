//! Plans the next step: each answer under way gets its tokens, and prompts share the rest.
//!
//! The plan is a pure function of the sequences' state, so tests need no model.

use crate::step::Want;

/// The state of a sequence that the plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Identifies the sequence.
    pub(super) serial: u64,
    /// Tokens that are not read yet, drafted ones included: at least 1.
    pub(super) unread: usize,
    /// Unread tokens up to and including the first after which a row is wanted; 0: a row is wanted
    /// after each of them.
    pub(super) silent: usize,
    /// Its prompt is read and its answer is under way.
    pub(super) is_answer: bool,
    /// Prompt tokens read for its ask so far: the ask with the fewest comes first.
    pub(super) usage: u64,
}

/// Most that a step may hold beside the answers under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Tokens of prompts.
    pub(super) tokens: usize,
    /// Rows of logits, each as wide as the vocabulary.
    pub(super) rows: usize,
}

/// What a sequence reads in this step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) serial: u64,
    pub(super) tokens: usize,
    pub(super) want: Want,
}

/// The turns of one step. Empty only when there are no sequences.
pub(super) fn plan(views: &[View], budget: Budget) -> Vec<Turn> {
    let Budget { mut tokens, mut rows } = budget;
    let mut turns = Vec::with_capacity(views.len());
    for view in views.iter().filter(|view| view.is_answer) {
        rows = rows.saturating_sub(view.unread);
        turns.push(Turn { serial: view.serial, tokens: view.unread, want: Want::All });
    }
    let mut prompts: Vec<&View> = views.iter().filter(|view| !view.is_answer).collect();
    prompts.sort_by_key(|view| (view.usage, view.serial));
    for view in prompts {
        // The first prompt reads at least one token whatever the budget, so that the plan advances.
        let first = turns.is_empty();
        let (tokens_here, rows_here) =
            if first { (tokens.max(1), rows.max(1)) } else { (tokens, rows) };
        let turn = turn(view, tokens_here, rows_here);
        if turn.tokens == 0 {
            continue;
        }
        tokens = tokens.saturating_sub(turn.tokens);
        rows = rows.saturating_sub(turn.want.rows(turn.tokens));
        turns.push(turn);
    }
    turns
}

/// As much of a prompt as fits. A span wants rows after none, the last or all of its tokens, so the
/// part without wanted rows is a span of its own.
fn turn(view: &View, tokens: usize, rows: usize) -> Turn {
    let serial = view.serial;
    if view.silent == 0 {
        let tokens = view.unread.min(tokens).min(rows);
        return Turn { serial, tokens, want: Want::All };
    }
    if view.silent <= tokens && rows > 0 {
        return Turn { serial, tokens: view.silent, want: Want::Last };
    }
    Turn { serial, tokens: (view.silent - 1).min(tokens), want: Want::Nothing }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view(serial: u64, unread: usize, silent: usize, is_answer: bool, usage: u64) -> View {
        View { serial, unread, silent, is_answer, usage }
    }

    #[test]
    fn answers_come_first_and_prompts_share_what_is_left() {
        let views =
            [view(1, 500, 500, false, 90), view(2, 1, 0, true, 0), view(3, 40, 40, false, 0)];
        let turns = plan(&views, Budget { tokens: 64, rows: 32 });
        assert_eq!(
            turns,
            [
                Turn { serial: 2, tokens: 1, want: Want::All },
                Turn { serial: 3, tokens: 40, want: Want::Last },
                Turn { serial: 1, tokens: 24, want: Want::Nothing },
            ]
        );
    }

    #[test]
    fn a_judge_reads_the_prompt_first_and_then_as_many_rows_as_fit() {
        let budget = Budget { tokens: 64, rows: 10 };
        let turns = plan(&[view(1, 100, 20, false, 0)], budget);
        assert_eq!(turns, [Turn { serial: 1, tokens: 20, want: Want::Last }]);
        let turns = plan(&[view(1, 80, 0, false, 0)], budget);
        assert_eq!(turns, [Turn { serial: 1, tokens: 10, want: Want::All }]);
    }

    proptest! {
        #[test]
        fn a_plan_keeps_to_its_budget_and_always_goes_on(
            sequences in proptest::collection::vec((1usize..300, 0usize..300, any::<bool>(), 0u64..9), 1..12),
            tokens in 0usize..300, rows in 0usize..40,
        ) {
            let views: Vec<View> = (0u64..).zip(&sequences).map(|(serial, (unread, silent, is_answer, usage))| {
                let silent = if *is_answer { 0 } else { *silent.min(unread) };
                view(serial, *unread, silent, *is_answer, *usage)
            }).collect();
            let turns = plan(&views, Budget { tokens, rows });
            let view_of = |turn: &Turn| views.iter().find(|view| view.serial == turn.serial).unwrap();
            let answers = views.iter().filter(|view| view.is_answer).count();
            prop_assert_eq!(turns.iter().filter(|turn| view_of(turn).is_answer).count(), answers);
            for turn in &turns {
                let view = view_of(turn);
                prop_assert!(turn.tokens >= 1 && turn.tokens <= view.unread);
                // Rows are given exactly where somebody wants them.
                match turn.want {
                    Want::All => prop_assert_eq!(view.silent, 0),
                    Want::Last => prop_assert_eq!(view.silent, turn.tokens),
                    Want::Nothing => prop_assert!(turn.tokens < view.silent),
                }
            }
            let prompts: usize = turns.iter().filter(|t| !view_of(t).is_answer).map(|t| t.tokens).sum();
            let rows_read: usize = turns.iter().filter(|t| !view_of(t).is_answer).map(|t| t.want.rows(t.tokens)).sum();
            prop_assert!(prompts <= tokens.max(1) && rows_read <= rows.max(1));
            // The last row of a sequence may not fit into the budget.
            prop_assert!(!turns.is_empty());
        }
    }
}
