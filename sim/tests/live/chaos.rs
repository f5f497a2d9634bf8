//! Nodes are killed all the time while clients ask, and clients must not notice: `make chaos`.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};

use crate::swarm::{LiveSwarm, signal};

const MODELS: [&str; 6] =
    ["shoal-sum", "shoal-times", "shoal-order", "shoal-letters", "shoal-calendar", "shoal-story"];

/// Clients that ask all the time.
const CLIENTS: usize = 4;

/// Nodes that are killed at the same time: a third.
const VICTIMS: usize = 2;

/// Questions, and what stands in a right answer.
const QUESTIONS: [(&str, &str); 4] = [
    ("What is 47 + 385?", "432"),
    ("Divide 4827 by 6 with remainder.", "804"),
    ("Sort 9, 71, 3 in descending order.", "71, 9, 3"),
    ("Spell stone backwards.", "enots"),
];

/// What a client saw.
#[derive(Debug, Default)]
struct Client {
    times: Vec<Duration>,
    /// Of the answers, the right ones. While the only member that knows is down, the others abstain, and
    /// the answer says that nobody knows.
    right: usize,
    failures: Vec<String>,
}

#[tokio::test]
async fn a_third_of_the_nodes_is_killed_all_the_time_and_every_question_is_answered() {
    // As long as the caller wants; a few kills by default.
    let seconds = std::env::var("SHOAL_CHAOS_SECONDS").ok().and_then(|text| text.parse().ok());
    let limit = Duration::from_secs(seconds.unwrap_or(20));
    let swarm = LiveSwarm::start(&MODELS);
    let calm = clients(&swarm, Duration::from_secs(5), None).await;
    let chaos = clients(&swarm, limit, Some(Duration::from_secs(6))).await;
    for (name, client) in [("calm", &calm), ("a third killed", &chaos)] {
        eprintln!(
            "{name}: {} answered, {} of them right, {} failed, p50 {:?}, p99 {:?}, longest {:?}",
            client.times.len(),
            client.right,
            client.failures.len(),
            quantile(&client.times, 0.5),
            quantile(&client.times, 0.99),
            quantile(&client.times, 1.0),
        );
    }
    assert!(calm.failures.is_empty(), "{:?}", calm.failures);
    let total = chaos.times.len() + chaos.failures.len();
    assert!(total > 0 && chaos.failures.len() * 1_000 <= total, "{:?}", chaos.failures);
}

/// What all clients saw. With `pause`, two nodes are killed each time when so much time has passed.
async fn clients(swarm: &LiveSwarm, limit: Duration, pause: Option<Duration>) -> Client {
    let is_over = AtomicBool::new(false);
    let clients = join_all((0..CLIENTS).map(|number| client(swarm, number, &is_over)));
    let (clients, ()) = join(clients, kill(swarm, limit, pause, &is_over)).await;
    let mut sum = Client::default();
    for client in clients {
        sum.times.extend(client.times);
        sum.right += client.right;
        sum.failures.extend(client.failures);
    }
    sum.times.sort();
    sum
}

/// Kills nodes until the time is over.
async fn kill(swarm: &LiveSwarm, limit: Duration, pause: Option<Duration>, is_over: &AtomicBool) {
    let end = Instant::now() + limit;
    let mut kill_count = 0;
    while Instant::now() < end {
        if pause.is_some() {
            let nodes = swarm.children().into_iter().filter(|(_, line)| line.contains("bundled:"));
            let nodes: Vec<u32> = nodes
                .filter(|(_, line)| line.matches("bundled:").count() == 1)
                .map(|(id, _)| id)
                .collect();
            // Each in turn; a node that is being started again is left alone.
            let victims = nodes.iter().cycle().skip(kill_count).take(VICTIMS.min(nodes.len()));
            victims.for_each(|id| signal("-KILL", *id));
            kill_count = (kill_count + VICTIMS) % MODELS.len();
        }
        let rest = end.saturating_duration_since(Instant::now());
        tokio::time::sleep(pause.unwrap_or(limit).min(rest)).await;
    }
    is_over.store(true, Ordering::Relaxed);
}

async fn client(swarm: &LiveSwarm, number: usize, is_over: &AtomicBool) -> Client {
    let mut client = Client::default();
    for (question, key) in QUESTIONS.iter().cycle().skip(number) {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        let (status, body) = swarm.ask("shoal", question).await;
        if status == 200 {
            client.times.push(start.elapsed());
            let text = body["choices"][0]["message"]["content"].as_str().unwrap();
            client.right += usize::from(text.contains(key));
        } else {
            client.failures.push(format!("{status} after {:?}: {body}", start.elapsed()));
        }
    }
    client
}

fn quantile(times: &[Duration], share: f64) -> Duration {
    let place = (share * times.len() as f64) as usize;
    times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
