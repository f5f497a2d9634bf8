//! Memory does not grow with use: budgets count what is really held, and rounds leave nothing else behind.
//! A program of its own, because its allocator counts the bytes of everything that runs in it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod swarm;

use std::time::Duration;

use peak_alloc::PeakAlloc;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use swarm::Swarm;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The budget of each store: a hundred rounds fill it.
const BUDGET: usize = 256 << 10;

/// What buffers and windows may take beside it. A round that left 250 bytes behind would show.
const NOISE: usize = 100_000;

/// Bytes of the heap in use when nothing is under way.
async fn bytes_in_use(swarm: &Swarm) -> usize {
    swarm.until_idle().await;
    ALLOCATOR.current_usage()
}

/// The bytes in use once they are below `limit`, or at last: the gateway does not see at once that hundreds of
/// clients have left.
async fn bytes_when_below(swarm: &Swarm, limit: usize) -> usize {
    const TRIES: usize = 200;
    const PAUSE: Duration = Duration::from_millis(100);
    for _ in 0..TRIES {
        if bytes_in_use(swarm).await < limit {
            break;
        }
        sleep(PAUSE).await;
    }
    bytes_in_use(swarm).await
}

/// Connections that are open at the same time and ask nothing.
const CONNECTIONS: usize = 300;

/// What one of them may take: the buffers for reading and writing, here and in the runtime.
const CONNECTION_BYTES: usize = 32 << 10;

/// One test, so that nothing else runs while it counts.
#[tokio::test]
async fn memory_does_not_grow_with_use() {
    rounds_hold_no_more_than_the_budgets_of_transcripts_and_responses().await;
    connections_hold_little_and_leave_nothing().await;
}

async fn connections_hold_little_and_leave_nothing() {
    let swarm = Swarm::start(|_| ()).await;
    for start_of_a_request in [
        // Kept alive after a request.
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        // Nothing is sent.
        "",
        // The rest of the head never comes.
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n",
        // The body never comes.
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: 1000000\r\n\r\n{",
    ] {
        // The first of a kind leave buffers behind that later ones use again.
        drop(connections(&swarm, start_of_a_request, CONNECTIONS).await);
        let start = bytes_in_use(&swarm).await;
        let open = connections(&swarm, start_of_a_request, CONNECTIONS).await;
        let bytes = ALLOCATOR.current_usage().saturating_sub(start);
        assert!(bytes < CONNECTIONS * CONNECTION_BYTES, "{bytes} bytes: {start_of_a_request:?}");
        drop(open);
        let end = bytes_when_below(&swarm, start + NOISE).await;
        assert!(end < start + NOISE, "{start} bytes before, {end} after {start_of_a_request:?}");
    }
}

/// Opens connections and sends the same on each.
async fn connections(swarm: &Swarm, text: &str, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = TcpStream::connect(swarm.address()).await.unwrap();
        connection.write_all(text.as_bytes()).await.unwrap();
        if text.starts_with("GET") {
            let mut reply = [0; 64];
            assert!(connection.read(&mut reply).await.unwrap() > 0);
        }
        open.push(connection);
    }
    // A reply on a new connection: the gateway has seen those before.
    swarm.until_answering().await;
    open
}

async fn rounds_hold_no_more_than_the_budgets_of_transcripts_and_responses() {
    let swarm = Swarm::start(|config| {
        config.http.transcript_bytes_max = BUDGET;
        config.http.response_bytes_max = BUDGET;
    })
    .await;
    // Connections, and the tables of what was learned of the members.
    chats(&swarm, 0..20).await;
    let start = bytes_in_use(&swarm).await;
    chats(&swarm, 20..220).await;
    let full = bytes_in_use(&swarm).await;
    let bytes = full.saturating_sub(start);
    assert!(
        bytes > BUDGET / 2,
        "the transcripts of 220 rounds are {bytes} bytes: more rounds are needed"
    );
    assert!(bytes < BUDGET + NOISE, "{bytes} bytes for a budget of {BUDGET}");
    chats(&swarm, 220..620).await;
    let end = bytes_in_use(&swarm).await;
    assert!(end < full + NOISE, "{full} bytes after 220 rounds, {end} after 620");

    responses(&swarm, 0..200).await;
    let full = bytes_in_use(&swarm).await;
    let bytes = full.saturating_sub(end);
    assert!(bytes < BUDGET + NOISE, "{bytes} bytes for a budget of {BUDGET}");
    responses(&swarm, 200..600).await;
    let end = bytes_in_use(&swarm).await;
    assert!(end < full + NOISE, "{full} bytes after 200 responses, {end} after 600");
}

async fn chats(swarm: &Swarm, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let content = format!("What is {number} + {}?", 7 * number);
        let messages = json!([{ "role": "user", "content": content }]);
        swarm
            .post("/v1/chat/completions", &json!({ "model": "shoal", "messages": messages }))
            .await;
    }
}

async fn responses(swarm: &Swarm, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let input = format!("What is {number} + {}?", 7 * number);
        swarm.post("/v1/responses", &json!({ "model": "shoal", "input": input })).await;
    }
}
