//! What the next step reads: every answer under way gets its token, and prompts share the rest.
//!
//! A pure decision over the state of the sequences, so that it can be tested without a model.

use crate::step::Want;

/// A sequence as the plan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Names it.
    pub(super) serial: u64,
    /// Tokens that were not read yet, drafted ones included: at least 1.
    pub(super) unread: usize,
    /// Unread tokens up to the first after which somebody wants to know what comes next, it
    /// included; 0: that is so after all of them.
    pub(super) silent: usize,
    /// It is writing: its prompt is read, and somebody waits for each token.
    pub(super) writing: bool,
    /// Tokens that its ask has had read in prompts: who had least comes first.
    pub(super) served: u64,
}

/// What a step may hold at most, beside the answers under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Tokens of prompts.
    pub(super) tokens: usize,
    /// Rows of logits: each is as wide as the vocabulary.
    pub(super) rows: usize,
}

/// What a sequence has read in this step.
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
    for view in views.iter().filter(|view| view.writing) {
        rows = rows.saturating_sub(view.unread);
        turns.push(Turn { serial: view.serial, tokens: view.unread, want: Want::All });
    }
    let mut reading: Vec<&View> = views.iter().filter(|view| !view.writing).collect();
    reading.sort_by_key(|view| (view.served, view.serial));
    for view in reading {
        // Nothing stands still: the first prompt in line moves whatever the budget.
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

/// As much of a prompt as fits. A span wants rows after none, the last or all of its tokens, so
/// that the part nobody asks about is read by itself.
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

    fn view(serial: u64, unread: usize, silent: usize, writing: bool, served: u64) -> View {
        View { serial, unread, silent, writing, served }
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
            some in proptest::collection::vec((1usize..300, 0usize..300, any::<bool>(), 0u64..9), 1..12),
            tokens in 0usize..300, rows in 0usize..40,
        ) {
            let views: Vec<View> = (0u64..).zip(&some).map(|(serial, (unread, silent, writing, served))| {
                let silent = if *writing { 0 } else { *silent.min(unread) };
                view(serial, *unread, silent, *writing, *served)
            }).collect();
            let turns = plan(&views, Budget { tokens, rows });
            let of = |turn: &Turn| views.iter().find(|view| view.serial == turn.serial).unwrap();
            let writing = views.iter().filter(|view| view.writing).count();
            prop_assert_eq!(turns.iter().filter(|turn| of(turn).writing).count(), writing);
            for turn in &turns {
                let view = of(turn);
                prop_assert!(turn.tokens >= 1 && turn.tokens <= view.unread);
                // Rows are given exactly where somebody wants them.
                match turn.want {
                    Want::All => prop_assert_eq!(view.silent, 0),
                    Want::Last => prop_assert_eq!(view.silent, turn.tokens),
                    Want::Nothing => prop_assert!(turn.tokens < view.silent),
                }
            }
            let prompts: usize = turns.iter().filter(|t| !of(t).writing).map(|t| t.tokens).sum();
            let wanted: usize = turns.iter().filter(|t| !of(t).writing).map(|t| t.want.rows(t.tokens)).sum();
            prop_assert!(prompts <= tokens.max(1) && wanted <= rows.max(1));
            // A row may be lacking for one that has read all but its last token.
            prop_assert!(!turns.is_empty());
        }
    }
}
