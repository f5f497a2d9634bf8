use std::collections::BTreeSet;

use super::*;

const JUDGE: NodeId = NodeId([9; 32]);

/// Kinds of general questions.
const KINDS: usize = GeneralKind::ALL.len();

fn gold(general_per_kind: usize) -> Gold {
    Gold::new(&ExamConfig { general_per_kind, ..ExamConfig::default() }, 5)
}

#[test]
fn an_exam_has_questions_of_each_family_and_of_each_general_kind() {
    let questions = gold(4).questions(false);
    assert_eq!(questions.len(), 6 * 13 + 4 * KINDS);
    let kinds: BTreeSet<&KindId> = questions.iter().map(|item| &item.kind).collect();
    assert_eq!(kinds.len(), 13 + KINDS);
    assert!(kinds.contains(&KindId::new("general/reading")));
    let beginning = questions.get(..12).unwrap();
    let general = beginning.iter().filter(|item| item.is_general()).count();
    assert!((2..=6).contains(&general), "{general} of the first 12");
}

#[test]
fn without_a_general_part_the_exam_is_the_families() {
    let questions = gold(0).questions(false);
    assert_eq!(questions.len(), 6 * 13);
    assert!(questions.iter().all(|item| !item.is_general()));
    assert!(gold(0).candidates_after(0, JUDGE).0.is_empty());
    let off = Gold::new(&ExamConfig { per_family: 0, ..ExamConfig::default() }, 5);
    assert!(off.questions(false).is_empty() && off.lessons().next().is_none());
}

#[test]
fn half_of_the_general_questions_are_the_same_for_every_newcomer() {
    let gold = gold(4);
    let texts = |questions: Vec<Arc<Item>>| -> BTreeSet<String> {
        let general = questions.iter().filter(|item| item.is_general());
        general.map(|item| format!("{:?}", item.question.messages())).collect()
    };
    let (first, second) = (texts(gold.questions(false)), texts(gold.questions(false)));
    let shared = first.intersection(&second).count();
    assert!((14..=20).contains(&shared), "{shared}");
}

#[test]
fn a_lone_judge_has_candidates_and_pairs_before_anybody_has_answered() {
    let gold = gold(4);
    let (candidates, last) = gold.candidates_after(0, JUDGE);
    // Two common questions and four more of each kind, with a right and a wrong text.
    assert_eq!(candidates.len(), 2 * (2 + 4) * KINDS);
    assert_eq!(last, candidates.len() as u64);
    for candidate in &candidates {
        assert_eq!(candidate.item.is_right(&candidate.text), candidate.right, "{candidate:?}");
    }
    assert!(gold.candidates_after(last, JUDGE).0.is_empty());
    let mut used = BTreeSet::new();
    let pairs = gold.pairs(JUDGE, &mut used, usize::MAX);
    assert_eq!(pairs.len(), (2 + 4) * KINDS);
    assert!(pairs.iter().all(|(right, wrong)| right.right && !wrong.right));
    assert!(gold.pairs(JUDGE, &mut used, usize::MAX).is_empty());
}

#[test]
fn pairs_prefer_the_answers_of_members() {
    let gold = gold(4);
    let item = gold.common.iter().find(|item| item.is_general()).unwrap().clone();
    gold.keep(&item, NodeId([1; 32]), "a member's mistake", false);
    let pairs = gold.pairs(JUDGE, &mut BTreeSet::new(), usize::MAX);
    let (right, wrong) = pairs.iter().find(|(right, _)| Arc::ptr_eq(&right.item, &item)).unwrap();
    assert_eq!((&*wrong.text, right.writer), ("a member's mistake", None));
    let reference_count = 2 * (2 + 4) * KINDS as u64;
    let (new, last) = gold.candidates_after(reference_count, JUDGE);
    assert_eq!((new.len(), last), (1, reference_count + 1));
}

#[test]
fn the_additional_questions_of_specialists_cost_judges_nothing() {
    let gold = gold(4);
    let (_, last) = gold.candidates_after(0, JUDGE);
    for item in gold.fresh(&[Family::Add], 18) {
        gold.keep(&item, NodeId([1; 32]), "a sum", true);
    }
    assert!(gold.candidates_after(last, JUDGE).0.is_empty());
}

#[test]
fn hidden_questions_are_general_half_of_the_time() {
    let gold = gold(4);
    let general = (0..20).filter_map(|_| gold.secret()).filter(|item| item.is_general()).count();
    assert_eq!(general, 10);
}

#[test]
fn strangers_that_answer_everything_wrong_are_not_what_judges_see() {
    let gold = gold(4);
    let questions = gold.questions(false);
    for (writer, item) in
        (0..200).flat_map(|writer| questions.iter().map(move |item| (writer, item)))
    {
        gold.keep(item, NodeId([writer; 32]), &format!("Answer: {writer}"), false);
    }
    let count = |right| {
        let (candidates, _) = gold.candidates_after(gold.references.len() as u64, JUDGE);
        candidates.iter().filter(|candidate| candidate.right == right).count()
    };
    assert_eq!(count(false), WRONG_LEAD);
    // The mistakes of a member that is right elsewhere are kept.
    for (n, item) in questions.iter().enumerate() {
        let right = n % 2 == 0;
        gold.keep(item, NodeId([250; 32]), if right { "right" } else { "a mistake" }, right);
    }
    assert!(count(true) >= 50 && count(false) >= 45, "{} {}", count(true), count(false));
    let mistakes = count(false);
    // What a member writes that is hardly ever right is for hidden audits only.
    gold.keep_aside(&questions[0], NodeId([252; 32]), "right", true);
    gold.keep_aside(&questions[1], NodeId([252; 32]), "no mistake", false);
    assert_eq!(count(false), mistakes);
    for item in &questions {
        gold.keep(item, NodeId([251; 32]), "a mistake", false);
    }
    assert!(count(false) <= mistakes + WRONG_LEAD_OF_WRITER);
}
