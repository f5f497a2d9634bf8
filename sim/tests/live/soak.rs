//! The memory of `make run` under load that goes on: `make soak`.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use serde_json::json;

use crate::swarm::LiveSwarm;

const MODELS: [&str; 6] =
    ["shoal-sum", "shoal-times", "shoal-order", "shoal-letters", "shoal-calendar", "shoal-story"];

/// Clients that ask all the time.
const CLIENTS: usize = 4;

/// The memory of all processes together, in megabytes, that an ordinary computer has to spare.
const MEMORY_MAX: f64 = 600.0;

/// Caches and transcripts fill up at first. From half of a soak of at least so many minutes on, memory must
/// not grow.
const MINUTES_OF_A_SLOPE: u64 = 45;

/// What the memory may differ by between the half and the end of such a soak.
const WAVE: f64 = 0.1;

/// The resident memory of all processes, in megabytes.
#[derive(Clone, Debug)]
struct Sample {
    at: Duration,
    rounds: usize,
    /// The name and the memory of each process.
    processes: Vec<(String, f64)>,
}

impl Sample {
    fn total(&self) -> f64 {
        self.processes.iter().map(|(_, megabytes)| megabytes).sum()
    }
}

#[tokio::test]
async fn the_memory_of_a_swarm_that_is_asked_all_the_time_stays_within_its_bound() {
    // As long as the caller wants; a short one by default, which the counting tests of shoal-decoder and
    // shoal-gateway complete: they would see a slope of a few bytes a round.
    let minutes = std::env::var("SHOAL_SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let limit =
        minutes.map_or(Duration::from_secs(20), |minutes: u64| Duration::from_secs(60 * minutes));
    let swarm = LiveSwarm::start(&MODELS);
    let samples = soak(&swarm, limit).await;
    for sample in &samples {
        eprintln!(
            "{:>5} s {:>7} rounds {:>6.1} MB",
            sample.at.as_secs(),
            sample.rounds,
            sample.total()
        );
    }
    let (half, end) = (&samples[samples.len() / 2], &samples[samples.len() - 1]);
    for (name, megabytes) in &end.processes {
        eprintln!("{name}: {megabytes:.1} MB");
    }
    assert!(end.rounds > 0, "nothing was asked");
    assert!(samples.iter().all(|sample| sample.total() < MEMORY_MAX), "{samples:?}");
    if minutes.is_some_and(|minutes| minutes >= MINUTES_OF_A_SLOPE) {
        assert!(end.total() < half.total() * (1.0 + WAVE), "{half:?}, {end:?}");
    }
}

/// Asks until the time is over, and samples the memory forty times.
async fn soak(swarm: &LiveSwarm, limit: Duration) -> Vec<Sample> {
    let (rounds, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let clients = join_all((0..CLIENTS).map(|number| client(swarm, number, &rounds, &is_over)));
    let samples = async {
        let start = Instant::now();
        let mut samples = vec![sample(swarm, Duration::ZERO, 0)];
        while start.elapsed() < limit {
            tokio::time::sleep(limit / 40).await;
            samples.push(sample(swarm, start.elapsed(), rounds.load(Ordering::Relaxed)));
        }
        is_over.store(true, Ordering::Relaxed);
        samples
    };
    join(clients, samples).await.1
}

/// Asks different questions, one after the other.
async fn client(swarm: &LiveSwarm, number: usize, rounds: &AtomicUsize, is_over: &AtomicBool) {
    let http = reqwest::Client::new();
    for turn in (number..).step_by(CLIENTS) {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let question = match turn % 4 {
            0 => format!("What is {} + {}?", turn * 7 % 9973, turn * 31 % 9967),
            1 => format!("Divide {} by {} with remainder.", turn * 13 % 9973, 2 + turn % 97),
            2 => format!("Sort {}, {}, {} in descending order.", turn % 97, turn % 89, turn % 83),
            _ => format!("What is {} + {}?", turn * 17 % 9949, turn * 3 % 9941),
        };
        let body = json!({"model": "shoal", "messages": [{"role": "user", "content": question}]});
        let request = http.post(format!("{}/v1/chat/completions", swarm.base)).json(&body);
        let reply = request.timeout(Duration::from_secs(120)).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{}", reply.text().await.unwrap());
        reply.bytes().await.unwrap();
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

fn sample(swarm: &LiveSwarm, at: Duration, rounds: usize) -> Sample {
    let processes = swarm.children().into_iter().filter_map(|(id, line)| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: f64 = kilobytes.split_whitespace().next()?.parse().ok()?;
        let models: Vec<&str> = MODELS.into_iter().filter(|model| line.contains(model)).collect();
        let name = match models.as_slice() {
            [] => "gateway",
            [model] => model,
            _ => "auditor",
        };
        Some((name.to_owned(), kilobytes / 1024.0))
    });
    let processes: Vec<_> = processes.collect();
    assert!(processes.len() > MODELS.len(), "{processes:?}");
    Sample { at, rounds, processes }
}
