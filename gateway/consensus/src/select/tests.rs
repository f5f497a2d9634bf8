//! What the choice of a panel promises.

mod routed;

use std::collections::BTreeSet;

use proptest::prelude::*;
use shoal_proto::{
    generate::{ChatMessage, Sampling},
    hello::Model,
};

use super::*;
use crate::{
    ask::{Effort, Limits, Mode},
    reputation::{KindId, KindModel, Record, Settings as Reputation},
};

fn ask(writers: usize, judges: usize) -> Ask {
    let effort = Effort { writers, judges, ..Limits::default().effort(Mode::Balanced) };
    let question = ChatMessage::new("user", "What is 3 + 4?");
    Ask::plain(Target::Swarm, vec![question], Sampling::default(), effort)
}

fn member(n: u8) -> MemberView {
    MemberView {
        id: NodeId([n; 32]),
        model: Model {
            name: format!("model-{n}"),
            family: "llama".into(),
            digest: format!("{n:064}"),
            context: 512,
            likelihood: true,
            certainty: true,
            ..Model::default()
        },
        operator: String::new(),
        slots: 4,
        running: 0,
        tokens_per_second: 100.0,
        bytes_per_second: 0.0,
        first_token_seconds: 0.1,
        first_token_late: 0.0,
        is_silent: false,
        probation: false,
        is_proven: true,
        owns_name: true,
    }
}

fn select_panel(ask: &Ask, members: &[MemberView], standing: &Standing, seed: u64) -> Panel {
    panel(ask, members, standing, &SelectSettings::default(), seed).expect("a panel")
}

fn members(count: u8) -> Vec<MemberView> {
    (0..count).map(member).collect()
}

proptest! {
    #[test]
    fn a_panel_holds_everybody_once(count in 1u8..12, n in 1usize..16, m in 0usize..16, seed in any::<u64>()) {
        let members = members(count);
        let panel = select_panel(&ask(n, m), &members, &Standing::empty(), seed);
        prop_assert_eq!(panel.writers.len(), n.min(members.len()));
        prop_assert_eq!(panel.judges.len(), m.min(members.len()));
        let once: BTreeSet<_> = panel.writers.iter().chain(&panel.spare).collect();
        prop_assert_eq!(once.len(), members.len());
        prop_assert_eq!(panel.writers.len() + panel.spare.len(), members.len());
        prop_assert_eq!(panel.judges.iter().collect::<BTreeSet<_>>().len(), panel.judges.len());
    }

    #[test]
    fn the_order_of_the_roster_does_not_matter(count in 1u8..12, seed in any::<u64>()) {
        let mut members = members(count);
        let one = select_panel(&ask(3, 3), &members, &Standing::empty(), seed);
        members.reverse();
        prop_assert_eq!(one, select_panel(&ask(3, 3), &members, &Standing::empty(), seed));
    }
}

fn by_name(name: &str) -> Ask {
    Ask { target: Target::Model(name.into()), ..ask(5, 3) }
}

#[test]
fn a_model_by_name_is_answered_by_one_that_serves_it_and_judged_by_nobody() {
    let panel = select_panel(&by_name("model-2"), &members(4), &Standing::empty(), 1);
    assert_eq!(panel.writers, [NodeId([2; 32])]);
    assert!(panel.spare.is_empty() && panel.judges.is_empty());
    let error = crate::select::panel(
        &by_name("other"),
        &members(4),
        &Standing::empty(),
        &SelectSettings::default(),
        1,
    );
    assert_eq!(error, Err(RoundError::NoSuchModel { model: "other".into() }));
}

#[test]
fn the_busy_are_left_alone() {
    let mut members = members(3);
    members[1].running = members[1].slots;
    let panel = select_panel(&ask(3, 3), &members, &Standing::empty(), 1);
    assert!(!panel.writers.contains(&members[1].id) && !panel.judges.contains(&members[1].id));
    members.iter_mut().for_each(|member| member.running = member.slots);
    let error = crate::select::panel(
        &ask(3, 3),
        &members,
        &Standing::empty(),
        &SelectSettings::default(),
        1,
    );
    assert_eq!(error, Err(RoundError::NoMember));
    let error =
        crate::select::panel(&ask(3, 3), &[], &Standing::empty(), &SelectSettings::default(), 1);
    assert_eq!(error, Err(RoundError::NoMember));
}

#[test]
fn an_ask_that_fits_nobody_says_how_long_it_may_be() {
    let mut ask = ask(3, 3);
    ask.messages[0].content = "x".repeat(10_000);
    let error =
        crate::select::panel(&ask, &members(3), &Standing::empty(), &SelectSettings::default(), 1);
    assert_eq!(error, Err(RoundError::ContextLength { context: 512 }));
}

#[test]
fn who_cannot_judge_is_not_asked_to() {
    let mut members = members(3);
    members[0].model.likelihood = false;
    let panel = select_panel(&ask(3, 3), &members, &Standing::empty(), 1);
    assert!(!panel.judges.contains(&members[0].id));
    assert_eq!(panel.judges.len(), 2);
}

#[test]
fn where_pairs_are_too_slow_only_likelihoods_are_asked_for() {
    let mut members = members(4);
    members.iter_mut().take(2).for_each(|member| {
        member.model.likelihood = false;
        member.model.pairwise = true;
    });
    let settings = SelectSettings { pairs: false, ..SelectSettings::default() };
    let judges = |settings: &SelectSettings| {
        panel(&ask(4, 4), &members, &Standing::empty(), settings, 1).expect("a panel").judges
    };
    assert_eq!(judges(&SelectSettings::default()).len(), 4);
    assert_eq!(
        judges(&settings).into_iter().collect::<BTreeSet<_>>(),
        [members[2].id, members[3].id].into()
    );
}

#[test]
fn judges_are_rather_those_that_did_not_write() {
    let outside = (0..200)
        .filter(|seed| {
            let panel = select_panel(&ask(4, 1), &members(8), &Standing::empty(), *seed);
            !panel.writers.contains(&panel.judges[0])
        })
        .count();
    // Writers are drawn high, so that without the preference hardly ever an outsider would judge.
    let settings = SelectSettings { writing_judge: 1.0, ..SelectSettings::default() };
    let without = (0..200)
        .filter(|seed| {
            let panel =
                panel(&ask(4, 1), &members(8), &Standing::empty(), &settings, *seed).unwrap();
            !panel.writers.contains(&panel.judges[0])
        })
        .count();
    assert!(outside > without + 20, "{outside} against {without}");
}

#[test]
fn operators_are_spread_before_they_are_doubled() {
    let mut members = members(6);
    members.iter_mut().take(4).for_each(|member| member.operator = "one".into());
    let settings = SelectSettings { doubling: 1e-6, ..SelectSettings::default() };
    for seed in 0..50 {
        let panel = panel(&ask(3, 3), &members, &Standing::empty(), &settings, seed).unwrap();
        let of_one = panel.writers.iter().filter(|id| id.0[0] < 4).count();
        assert_eq!(of_one, 1, "{panel:?}");
    }
}

fn specialist(right_on: &str, wrong_on: &str) -> Record {
    let right = Beta { a: 21.0, b: 1.0 };
    Record {
        writer: Beta { a: 101.0, b: 101.0 },
        kinds: [(KindId::new(right_on), right), (KindId::new(wrong_on), right.mirror())].into(),
        gold_seen: 40,
        ..Record::default()
    }
}

#[test]
fn the_one_that_knows_this_kind_is_asked_and_strangers_get_work_too() {
    let mut kinds = KindModel::default();
    for n in 0..9 {
        kinds.learn(&format!("What is {n} + {n}?"), &KindId::new("add"));
        kinds.learn(&format!("Which weekday is {n} days later?"), &KindId::new("dates"));
    }
    let mut records: std::collections::BTreeMap<_, _> =
        (1..6).map(|n| (NodeId([n; 32]), specialist("dates", "add"))).collect();
    records.insert(NodeId([0; 32]), specialist("add", "dates"));
    let standing = Standing::new(records, kinds, Reputation::default());
    let panels: Vec<_> =
        (0..100).map(|seed| select_panel(&ask(2, 0), &members(7), &standing, seed)).collect();
    let [specialist, stranger] = [0, 6]
        .map(|n| panels.iter().filter(|panel| panel.writers.contains(&NodeId([n; 32]))).count());
    assert!(specialist >= 98, "the specialist: {specialist}");
    assert!(stranger >= 50, "the stranger: {stranger}");
}

#[test]
fn the_fast_are_preferred_among_equals() {
    let mut members = members(2);
    members[1].tokens_per_second = 1.0;
    let fast = (0..200).filter(|seed| {
        select_panel(&ask(1, 0), &members, &Standing::empty(), *seed).writers[0] == members[0].id
    });
    assert!(fast.count() > 150);
}

/// A specialist for addition that has no record yet.
fn adder(n: u8) -> MemberView {
    let mut member = member(n);
    member.model.specialist = true;
    member.model.tags = vec!["addition".to_owned()];
    member
}

fn ask_about(question: &str) -> Ask {
    let effort = Limits::default().effort(Mode::Balanced);
    let question = ChatMessage::new("user", question);
    Ask::plain(Target::Swarm, vec![question], Sampling::default(), effort)
}

#[test]
fn a_specialist_is_asked_for_its_kinds_and_a_generalist_for_everything() {
    let members = [adder(1), adder(2), member(3)];
    let sums = select_panel(&ask_about("What is 3 + 4?"), &members, &Standing::empty(), 1);
    assert_eq!(sums.writers.len(), 3);
    let capital = ask_about("Name the capital of France.");
    let panel = select_panel(&capital, &members, &Standing::empty(), 1);
    assert_eq!(panel.writers, [members[2].id]);
    assert!(panel.spare.is_empty(), "{panel:?}");
    assert_eq!(panel.judges, [members[2].id], "who does not know the kind does not judge it");
    // Where nobody is meant for it, all are asked, and may abstain.
    let panel = select_panel(&capital, &members[..2], &Standing::empty(), 1);
    assert_eq!(panel.writers.len(), 2);
}

#[test]
fn a_busy_generalist_is_waited_for_and_not_replaced_by_specialists() {
    let mut generalist = member(3);
    generalist.running = generalist.slots;
    let members = [adder(1), generalist];
    let ask = ask_about("Name the capital of France.");
    let result = panel(&ask, &members, &Standing::empty(), &SelectSettings::default(), 1);
    assert_eq!(result, Err(RoundError::NoMember));
}

#[test]
fn gold_makes_a_specialist_one_for_a_kind_that_it_does_not_name() {
    let mut kinds = KindModel::default();
    let spelling = KindId::new("spelling");
    for word in ["stone", "river", "garden", "window"] {
        kinds.learn(&format!("Spell {word} from its end to its start."), &spelling);
    }
    let right = Beta { a: 9.0, b: 1.0 };
    let record = Record { kinds: [(spelling, right)].into(), gold_seen: 8, ..Record::default() };
    let members = [adder(1), member(2)];
    let standing = Standing::new([(members[0].id, record)].into(), kinds, Reputation::default());
    let ask = ask_about("Spell candle from its end to its start.");
    let panel = select_panel(&ask, &members, &standing, 1);
    assert_eq!(panel.writers.len(), 2, "{panel:?}");
}

#[test]
fn a_request_with_tools_has_one_writer_and_the_rest_replace_it() {
    let mut members = members(4);
    members.iter_mut().for_each(|member| member.model.tools = true);
    let ask = Ask { tools: Some(shoal_proto::tools::Tools::default()), ..ask(5, 3) };
    let panel = select_panel(&ask, &members, &Standing::empty(), 1);
    assert_eq!((panel.writers.len(), panel.spare.len()), (1, 3));
}

#[test]
fn what_one_member_does_alone_goes_to_one_that_has_shown_something() {
    let mut members = members(4);
    for member in &mut members {
        (member.model.tools, member.model.name, member.is_proven) = (true, "m".into(), false);
    }
    members[2].is_proven = true;
    let by_name = Ask { target: Target::Model("m".into()), ..ask(3, 3) };
    let with_tools = Ask { tools: Some(shoal_proto::tools::Tools::default()), ..ask(3, 3) };
    for ask in [by_name, with_tools, ask(1, 3)] {
        let panel = select_panel(&ask, &members, &Standing::empty(), 1);
        assert_eq!((panel.writers, panel.spare), (vec![members[2].id], Vec::new()));
        let strangers = &members[..2];
        let panel = select_panel(&ask, strangers, &Standing::empty(), 1);
        assert_eq!(panel.writers.len() + panel.spare.len(), 2, "nobody else is there");
    }
    // A busy one is waited for.
    members[2].running = members[2].slots;
    let settings = SelectSettings::default();
    let result = panel(&ask(1, 3), &members, &Standing::empty(), &settings, 1);
    assert_eq!(result, Err(RoundError::NoMember));
    // Where several write and are compared, all take part.
    assert_eq!(select_panel(&ask(4, 3), &members, &Standing::empty(), 1).writers.len(), 3);
}

#[test]
fn a_copied_name_gets_no_requests_of_its_owner() {
    let mut members = members(3);
    members.iter_mut().for_each(|member| member.model.name = "m".into());
    members[0].owns_name = false;
    let ask = Ask { target: Target::Model("m".into()), ..ask(3, 3) };
    let panel = select_panel(&ask, &members, &Standing::empty(), 1);
    assert!(!panel.writers.iter().chain(&panel.spare).any(|id| *id == members[0].id), "{panel:?}");
    let settings = SelectSettings::default();
    let result = crate::select::panel(&ask, &members[..1], &Standing::empty(), &settings, 1);
    assert_eq!(result, Err(RoundError::NoMember), "its owner may come back");
}

#[test]
fn every_member_that_does_not_write_has_a_reason() {
    use absence::{Absence, absences};
    let mut crowd = members(7);
    crowd[3].running = crowd[3].slots;
    crowd[4].is_silent = true;
    crowd[5].model.context = 1;
    crowd[6].model.specialist = true;
    let (ask, standing) = (ask(2, 1), Standing::empty());
    let panel = select_panel(&ask, &crowd, &standing, 1);
    let reasons = absences(&ask, &crowd, &panel);
    assert_eq!(reasons.len(), crowd.len() - panel.writers.len());
    let reason = |n: u8| reasons.iter().find(|(id, _)| *id == NodeId([n; 32])).map(|(_, why)| *why);
    assert_eq!(reason(3), Some(Absence::Busy));
    assert_eq!(reason(4), Some(Absence::Silent));
    assert_eq!(reason(5), Some(Absence::Context));
    assert_eq!(reason(6), Some(Absence::Kind));
    assert_eq!(reason(panel.spare[0].0[0]), Some(Absence::Outranked));
    assert!(panel.writers.iter().all(|id| reason(id.0[0]).is_none()));
}
