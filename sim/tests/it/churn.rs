//! Members join, leave, and return.

use std::time::Duration;

use shoal_sim::{Behaviour, Sim};
use tokio::time::sleep;

const QUESTION: &str = "How many oars are there?";

#[tokio::test(start_paused = true)]
async fn a_node_comes_back_after_its_link_was_cut() {
    let sim = Sim::builder(1).nodes(5, Behaviour::honest(1.0)).start().await;
    sim.cut(0);
    sim.until_members(4).await;
    let outcome = sim.ask(QUESTION).await.expect("an answer of four");
    assert!(outcome.candidates.iter().all(|candidate| candidate.writer != sim.node(0)));
    sim.until_members(5).await;
    assert!(sim.members().iter().any(|member| member.id == sim.node(0)));
    assert_eq!(sim.count("shoal_leaves_total", ""), 1);
    assert_eq!(sim.count("shoal_leaves_total", "lost"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_says_goodbye_finishes_its_work_and_gets_no_new_work() {
    let slow = Behaviour::honest(1.0).with_delay(Duration::from_secs(3));
    let sim = Sim::builder(2).nodes(5, slow).start().await;
    let (outcome, ()) = tokio::join!(sim.ask(QUESTION), async {
        sleep(Duration::from_secs(1)).await;
        sim.stop(0);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(sim.members().len(), 4);
        assert_eq!(sim.count("shoal_members", "draining"), 1);
    });
    assert_eq!(outcome.expect("an answer").candidates.len(), 5);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sim.count("shoal_leaves_total", "goodbye"), 1);
    assert_eq!(sim.count("shoal_members", "draining"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_link_cut_in_the_middle_of_a_round_costs_that_candidate_only() {
    let slow = Behaviour::honest(1.0).with_delay(Duration::from_secs(2));
    let sim = Sim::builder(3).nodes(5, slow).start().await;
    let (outcome, ()) = tokio::join!(sim.ask(QUESTION), async {
        sleep(Duration::from_secs(1)).await;
        sim.cut(0);
    });
    let outcome = outcome.expect("an answer");
    assert_eq!(outcome.candidates.len(), 4);
    assert!(sim.is_right(QUESTION, &outcome));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_returns_has_a_shorter_exam() {
    let sim = Sim::builder(4).nodes(2, Behaviour::honest(1.0)).exam(3).start().await;
    let families = shoal_syllabus::Family::ALL.len() as u64;
    assert_eq!(sim.count("shoal_exam_answers_total", ""), 2 * 3 * families);
    sim.cut(0);
    sim.until_members(1).await;
    sim.until_members(2).await;
    assert_eq!(sim.count("shoal_exam_answers_total", ""), 2 * 3 * families + families);
    assert!(sim.members().iter().all(|member| !member.probation));
}

#[tokio::test(start_paused = true)]
async fn a_member_is_measured_before_rounds_see_it() {
    let sim = Sim::builder(5).nodes(2, Behaviour::honest(1.0)).exam(1).start().await;
    for member in &*sim.members() {
        assert!(member.tokens_per_second > 0.0 && member.first_token_seconds > 0.0, "{member:?}");
    }
    assert_eq!(sim.count("shoal_exam_answers_total", "right"), 2 * 13);
    assert!(sim.count("shoal_exam_scores_total", "scored") > 0);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_no_round_waits_for_is_measured_too() {
    let endless = Behaviour::honest(1.0).endless();
    let others = Behaviour::honest(1.0).with_delay(Duration::from_secs(1));
    let sim = Sim::builder(6).nodes(4, others).node(endless).start().await;
    let speed = |sim: &Sim| {
        let members = sim.members();
        members.iter().find(|member| member.id == sim.node(4)).map(|m| m.bytes_per_second)
    };
    assert_eq!(speed(&sim), Some(0.0));
    let outcome = sim.ask(QUESTION).await.expect("an answer");
    assert_eq!(outcome.candidates.len(), 4);
    sim.until_idle().await;
    // It writes fifty words of four bytes in a second.
    let speed = speed(&sim).expect("a member");
    assert!((speed - 200.0).abs() < 20.0, "{speed}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_its_whole_exam_does_not_become_a_member() {
    let sim = Sim::builder(6).exam(1).start().await;
    assert!(sim.members().is_empty());
    let builder = Sim::builder(6).node(Behaviour::failing()).exam(1);
    let start = tokio::time::timeout(Duration::from_secs(60), builder.start()).await;
    assert!(start.is_err(), "the node became a member");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_closes_says_goodbye_to_all_members() {
    let sim = Sim::builder(7).nodes(3, Behaviour::honest(1.0)).start().await;
    sim.swarm().close();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(sim.count("shoal_leaves_total", "shutdown"), 3);
    assert!(sim.members().is_empty());
    assert!(
        sim.count("shoal_admissions_total", "draining") > 0,
        "nodes that return are refused with the reason"
    );
}
