//! What every link promises: each promise is kept by QUIC and by the pipe.

use std::{future::Future, time::Duration};

use shoal_link::{LinkError, Stream};
use shoal_proto::{
    Message, WireError,
    generate::{Done, Finish},
};
use tokio::time::timeout;

use crate::ends::{Ends, ask, gateway_identity, node_identity, over_pipe, over_quic, piece};

/// Far over what any promise takes: a test that hangs fails with a name instead.
const PATIENCE: Duration = Duration::from_secs(20);

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing happened"))
}

/// A work stream that the gateway opened with one ask, seen from both ends.
async fn work(ends: &Ends) -> (Stream, Stream) {
    let mut asking = in_time("open", ends.gateway.open()).await.unwrap();
    asking.sender.send(&ask("2 + 2?")).await.unwrap();
    let mut answering = in_time("accept", ends.node.accept()).await.unwrap();
    let asked = in_time("the ask", answering.receiver.next()).await.unwrap();
    assert_eq!(asked, Some(ask("2 + 2?")));
    (asking, answering)
}

fn done() -> Message {
    Message::Done(Done {
        finish: Finish::Stop.into(),
        prompt_tokens: 5,
        completion_tokens: 2,
        logprob: Some(-0.25),
        ..Done::default()
    })
}

macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        mod quic {
            $(#[tokio::test] async fn $name() { super::$name(super::over_quic().await).await; })*
        }
        mod pipe {
            $(#[tokio::test] async fn $name() { super::$name(super::over_pipe()).await; })*
        }
    };
}

promises! {
    each_end_knows_the_others_key,
    an_answer_comes_in_pieces_in_order_and_ends,
    what_was_sent_before_finish_arrives_though_the_link_closes,
    dropping_the_stream_cancels_the_sender_on_the_other_side,
    dropping_an_unfinished_sender_fails_the_receiver,
    a_message_over_its_limit_is_refused_by_name_and_the_stream_lives,
    a_sender_waits_for_a_receiver_that_does_not_read,
    many_streams_do_not_mix,
    a_next_that_is_given_up_loses_nothing,
    closing_the_link_ends_everything_on_the_other_side_and_says_why,
    closing_twice_keeps_the_first_reason,
    dropping_the_link_closes_it,
}

async fn each_end_knows_the_others_key(ends: Ends) {
    assert_eq!(ends.node.peer(), gateway_identity().id());
    assert_eq!(ends.gateway.peer(), node_identity().id());
}

async fn an_answer_comes_in_pieces_in_order_and_ends(ends: Ends) {
    let (mut asking, mut answering) = work(&ends).await;
    let answer = async {
        for text in ["2 + ", "2 ", "= 4"] {
            answering.sender.send(&piece(text)).await.unwrap();
        }
        answering.sender.send(&done()).await.unwrap();
        answering.sender.finish().await.unwrap();
    };
    let heard = async {
        let mut heard = Vec::new();
        while let Some(message) = asking.receiver.next().await.unwrap() {
            heard.push(message);
        }
        assert_eq!(asking.receiver.next().await.unwrap(), None, "an end stays an end");
        heard
    };
    let ((), heard) = in_time("the answer", async { tokio::join!(answer, heard) }).await;
    assert_eq!(heard, [piece("2 + "), piece("2 "), piece("= 4"), done()]);
}

async fn what_was_sent_before_finish_arrives_though_the_link_closes(ends: Ends) {
    let (mut asking, mut answering) = work(&ends).await;
    answering.sender.send(&done()).await.unwrap();
    in_time("finish", answering.sender.finish()).await.unwrap();
    ends.node.close("stopped");
    in_time("close", ends.gateway.closed()).await;
    assert_eq!(asking.receiver.next().await.unwrap(), Some(done()));
}

async fn dropping_the_stream_cancels_the_sender_on_the_other_side(ends: Ends) {
    let (asking, mut answering) = work(&ends).await;
    drop(asking);
    in_time("cancelled", answering.sender.cancelled()).await;
    in_time("cancelled again", answering.sender.cancelled()).await;
    let sent = in_time("send", answering.sender.send(&piece("4"))).await;
    assert!(matches!(sent, Err(WireError::Gone(_))), "{sent:?}");
    let (_asking, _answering) = work(&ends).await;
}

async fn dropping_an_unfinished_sender_fails_the_receiver(ends: Ends) {
    let (mut asking, mut answering) = work(&ends).await;
    answering.sender.send(&piece("4")).await.unwrap();
    assert_eq!(in_time("piece", asking.receiver.next()).await.unwrap(), Some(piece("4")));
    drop(answering);
    let next = in_time("reset", asking.receiver.next()).await;
    assert!(matches!(next, Err(WireError::Gone(_))), "{next:?}");
}

async fn a_message_over_its_limit_is_refused_by_name_and_the_stream_lives(ends: Ends) {
    let (mut asking, mut answering) = work(&ends).await;
    let refused = answering.sender.send(&piece(&"x".repeat(64 * 1024))).await.unwrap_err();
    assert_eq!(refused.to_string(), "a piece frame of 65540 bytes is over its limit of 65536");
    answering.sender.send(&piece("short")).await.unwrap();
    assert_eq!(in_time("piece", asking.receiver.next()).await.unwrap(), Some(piece("short")));
}

async fn a_sender_waits_for_a_receiver_that_does_not_read(ends: Ends) {
    let (mut asking, mut answering) = work(&ends).await;
    let long = piece(&"x".repeat(60_000));
    let mut sent = 0_usize;
    // It waits at some point, long before it has sent 64 MB.
    let waits = async {
        while sent < 1_000 {
            answering.sender.send(&long).await.unwrap();
            sent += 1;
        }
    };
    assert!(timeout(Duration::from_secs(1), waits).await.is_err(), "{sent} sent, none read");
    // What it gave up in the middle of a message is still sent whole, before the next one.
    let rest = async {
        answering.sender.send(&piece("last")).await.unwrap();
        answering.sender.finish().await.unwrap();
    };
    let read = async {
        let mut read = Vec::new();
        while let Some(message) = asking.receiver.next().await.unwrap() {
            read.push(message);
        }
        read
    };
    let ((), read) = in_time("the rest", async { tokio::join!(rest, read) }).await;
    assert_eq!(read.last(), Some(&piece("last")));
    assert!(read.len() > sent, "{} of {sent} read", read.len());
    assert!(read.iter().rev().skip(1).all(|message| *message == long));
}

async fn many_streams_do_not_mix(ends: Ends) {
    let mut open = Vec::new();
    for n in 0..40 {
        let mut asking = in_time("open", ends.gateway.open()).await.unwrap();
        asking.sender.send(&ask(&n.to_string())).await.unwrap();
        open.push(asking);
    }
    for _ in 0..40 {
        let mut answering = in_time("accept", ends.node.accept()).await.unwrap();
        let asked = in_time("ask", answering.receiver.next()).await.unwrap();
        let Some(Message::Generate(asked)) = asked else { panic!("{asked:?}") };
        answering.sender.send(&piece(&asked.messages[0].content)).await.unwrap();
        in_time("finish", answering.sender.finish()).await.unwrap();
    }
    for (n, asking) in open.iter_mut().enumerate() {
        let heard = in_time("answer", asking.receiver.next()).await.unwrap();
        assert_eq!(heard, Some(piece(&n.to_string())));
        assert_eq!(in_time("end", asking.receiver.next()).await.unwrap(), None);
    }
}

async fn a_next_that_is_given_up_loses_nothing(ends: Ends) {
    let (mut asking, mut answering) = work(&ends).await;
    let long = piece(&"x".repeat(50_000));
    let send = async {
        for _ in 0..20 {
            answering.sender.send(&long).await.unwrap();
        }
        answering.sender.finish().await.unwrap();
    };
    let read = async {
        let mut read = 0;
        loop {
            tokio::select! {
                biased;
                next = asking.receiver.next() => match next.unwrap() {
                    Some(message) => { assert_eq!(message, long); read += 1; }
                    None => break read,
                },
                () = tokio::task::yield_now() => {}
            }
        }
    };
    let ((), read) = in_time("all", async { tokio::join!(send, read) }).await;
    assert_eq!(read, 20);
}

async fn closing_the_link_ends_everything_on_the_other_side_and_says_why(ends: Ends) {
    let (mut asking, mut answering) = work(&ends).await;
    ends.gateway.close("the gateway is leaving");
    let why = in_time("closed", ends.node.closed()).await;
    assert!(why.to_string().contains("the gateway is leaving"), "{why}");
    in_time("cancelled", answering.sender.cancelled()).await;
    let sent = in_time("send", answering.sender.send(&piece("4"))).await;
    assert!(matches!(sent, Err(WireError::Gone(_))), "{sent:?}");
    let next = in_time("next", answering.receiver.next()).await;
    assert!(matches!(next, Err(WireError::Gone(_))), "{next:?}");
    let next = in_time("own next", asking.receiver.next()).await;
    assert!(matches!(next, Err(WireError::Gone(_))), "{next:?}");
    for end in [&ends.node, &ends.gateway] {
        let opened = in_time("open", end.open()).await;
        assert!(matches!(opened, Err(LinkError::Closed(_))), "{opened:?}");
        let accepted = in_time("accept", end.accept()).await;
        assert!(matches!(accepted, Err(LinkError::Closed(_))), "{accepted:?}");
    }
}

async fn closing_twice_keeps_the_first_reason(ends: Ends) {
    ends.node.close("first");
    ends.node.close("second");
    let why = in_time("closed", ends.gateway.closed()).await;
    assert!(why.to_string().contains("first"), "{why}");
}

async fn dropping_the_link_closes_it(ends: Ends) {
    let (asking, mut answering) = work(&ends).await;
    let Ends { node, gateway, .. } = ends;
    drop(gateway);
    in_time("closed", node.closed()).await;
    in_time("cancelled", answering.sender.cancelled()).await;
    drop(asking);
}
