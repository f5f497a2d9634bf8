use super::*;
use crate::gold::Gold;

fn exam() -> ExamConfig {
    ExamConfig::default()
}

fn whole() -> Vec<Arc<Item>> {
    Gold::new(&exam(), 3).questions(false)
}

fn count(questions: &[Arc<Item>], kind: &str) -> usize {
    questions.iter().filter(|item| item.kind.0 == kind).count()
}

fn specialist() -> Model {
    let tags = vec!["addition".to_owned(), "letters".to_owned()];
    Model { specialist: true, tags, ..Model::default() }
}

#[test]
fn a_generalist_is_asked_all_families_and_all_general_kinds() {
    let questions = arrange(&Model::default(), whole());
    assert_eq!(questions.len(), length(&Model::default(), &exam()));
    assert_eq!((count(&questions, "add"), count(&questions, "general/recall")), (6, 4));
}

#[test]
fn a_specialist_is_asked_its_families_first_and_one_of_each_other_kind() {
    let questions = arrange(&specialist(), whole());
    let (own, count_more) = more(&specialist(), &exam());
    assert_eq!((own.len(), count_more), (3, 18));
    assert_eq!(questions.len() + own.len() * count_more, length(&specialist(), &exam()));
    let fresh = Gold::new(&exam(), 3).fresh(&own, count_more);
    assert_eq!((fresh.len(), count(&fresh, "reverse")), (54, 18));
    assert_eq!(more(&Model::default(), &exam()).0, [], "others are asked the same of everything");
    // Two families have the tag "letters".
    for (kind, number) in
        [("add", 6), ("count", 6), ("reverse", 6), ("clock", 1), ("general/code", 1)]
    {
        assert_eq!(count(&questions, kind), number, "{kind}");
    }
    assert!(
        questions.iter().take(18).all(|item| ["add", "count", "reverse"].contains(&&*item.kind.0))
    );
}

#[test]
fn an_upstream_is_asked_every_general_kind_within_its_handful() {
    let model = Model { family: UPSTREAM.to_owned(), ..Model::default() };
    let questions = arrange(&model, whole());
    assert_eq!(questions.len(), whole().len());
    let handful = questions.get(..exam().handful).unwrap();
    let kinds: BTreeSet<&KindId> = handful.iter().map(|item| &item.kind).collect();
    assert_eq!(kinds.len(), 9);
    assert!(handful.iter().all(|item| item.is_general()));
    assert_eq!(length(&model, &exam()), 9);
}

/// Asks until nothing is left to learn. `right` decides each answer by kind and number.
fn ask_all(right: impl Fn(&KindId, usize) -> Option<bool>) -> BTreeMap<KindId, usize> {
    let (mut tally, mut questions) = (KindTally::default(), whole());
    let mut counts: BTreeMap<KindId, usize> = BTreeMap::new();
    while let Some(item) = tally.next(&mut questions, exam().interval_width) {
        let number = counts.entry(item.kind.clone()).or_default();
        *number += 1;
        tally.count(&item.kind, right(&item.kind, *number));
    }
    counts
}

#[test]
fn a_kind_is_asked_until_it_is_clear_what_the_member_knows_of_it() {
    let counts = ask_all(|_, _| Some(true));
    assert_eq!(counts.len(), 22);
    assert!(counts.values().all(|number| *number == 4), "{counts:?}");
    // Answers that differ leave a wide interval, up to the number of questions that there are.
    let counts = ask_all(|_, number| Some(number % 2 == 0));
    assert_eq!(counts.get(&KindId::new("add")), Some(&6));
}

#[test]
fn a_member_that_abstains_on_a_kind_is_asked_no_more_of_it() {
    let counts = ask_all(|kind, _| (kind.0 == "add").then_some(true));
    assert_eq!(counts.get(&KindId::new("add")), Some(&4));
    assert_eq!(counts.values().filter(|number| **number == 1).count(), 21);
}

#[test]
fn the_record_of_an_earlier_session_saves_questions() {
    let gold_by_kind = BTreeMap::from([(KindId::new("add"), Beta { a: 9.0, b: 1.0 })]);
    let tally = KindTally::new(gold_by_kind);
    let mut questions: Vec<Arc<Item>> =
        whole().into_iter().filter(|item| item.kind.0 == "add").collect();
    assert!(tally.next(&mut questions, exam().interval_width).is_none());
}
