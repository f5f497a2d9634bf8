//! The promises of every link. The same tests run over QUIC and over the pipe.

use std::{future::Future, time::Duration};

use shoal_link::{LinkError, Stream};
use shoal_proto::{
    Message, WireError,
    generate::{Done, Finish},
};
use tokio::time::timeout;

use crate::ends::{Ends, ask, gateway_identity, node_identity, over_pipe, over_quic, piece};

/// Far longer than any step takes, so that a test that hangs fails and names the step.
const PATIENCE: Duration = Duration::from_secs(20);

async fn in_time<T>(step: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{step}: nothing happened"))
}

/// Both ends of a work stream on which the gateway has sent an ask.
async fn work_stream(ends: &Ends) -> (Stream, Stream) {
    let mut gateway_end = in_time("open", ends.gateway.open()).await.unwrap();
    gateway_end.sender.send(&ask("2 + 2?")).await.unwrap();
    let mut node_end = in_time("accept", ends.node.accept()).await.unwrap();
    let message = in_time("the ask", node_end.receiver.next()).await.unwrap();
    assert_eq!(message, Some(ask("2 + 2?")));
    (gateway_end, node_end)
}

fn last_message() -> Message {
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
    let (mut gateway_end, mut node_end) = work_stream(&ends).await;
    let answer = async {
        for text in ["2 + ", "2 ", "= 4"] {
            node_end.sender.send(&piece(text)).await.unwrap();
        }
        node_end.sender.send(&last_message()).await.unwrap();
        node_end.sender.finish().await.unwrap();
    };
    let receive = async {
        let mut messages = Vec::new();
        while let Some(message) = gateway_end.receiver.next().await.unwrap() {
            messages.push(message);
        }
        assert_eq!(gateway_end.receiver.next().await.unwrap(), None, "an end stays an end");
        messages
    };
    let ((), messages) = in_time("the answer", async { tokio::join!(answer, receive) }).await;
    assert_eq!(messages, [piece("2 + "), piece("2 "), piece("= 4"), last_message()]);
}

async fn what_was_sent_before_finish_arrives_though_the_link_closes(ends: Ends) {
    let (mut gateway_end, mut node_end) = work_stream(&ends).await;
    node_end.sender.send(&last_message()).await.unwrap();
    in_time("finish", node_end.sender.finish()).await.unwrap();
    ends.node.close("stopped");
    in_time("close", ends.gateway.closed()).await;
    assert_eq!(gateway_end.receiver.next().await.unwrap(), Some(last_message()));
}

async fn dropping_the_stream_cancels_the_sender_on_the_other_side(ends: Ends) {
    let (gateway_end, mut node_end) = work_stream(&ends).await;
    drop(gateway_end);
    in_time("cancelled", node_end.sender.cancelled()).await;
    in_time("cancelled again", node_end.sender.cancelled()).await;
    let result = in_time("send", node_end.sender.send(&piece("4"))).await;
    assert!(matches!(result, Err(WireError::Closed(_))), "{result:?}");
    let (_gateway_end, _node_end) = work_stream(&ends).await;
}

async fn dropping_an_unfinished_sender_fails_the_receiver(ends: Ends) {
    let (mut gateway_end, mut node_end) = work_stream(&ends).await;
    node_end.sender.send(&piece("4")).await.unwrap();
    assert_eq!(in_time("piece", gateway_end.receiver.next()).await.unwrap(), Some(piece("4")));
    drop(node_end);
    let next = in_time("reset", gateway_end.receiver.next()).await;
    assert!(matches!(next, Err(WireError::Closed(_))), "{next:?}");
}

async fn a_message_over_its_limit_is_refused_by_name_and_the_stream_lives(ends: Ends) {
    let (mut gateway_end, mut node_end) = work_stream(&ends).await;
    let error = node_end.sender.send(&piece(&"x".repeat(64 * 1024))).await.unwrap_err();
    assert_eq!(error.to_string(), "a piece frame of 65540 bytes is over its limit of 65536");
    node_end.sender.send(&piece("short")).await.unwrap();
    assert_eq!(in_time("piece", gateway_end.receiver.next()).await.unwrap(), Some(piece("short")));
}

async fn a_sender_waits_for_a_receiver_that_does_not_read(ends: Ends) {
    let (mut gateway_end, mut node_end) = work_stream(&ends).await;
    let long = piece(&"x".repeat(60_000));
    let mut count = 0_usize;
    // The sender must wait long before it has sent 64 MB.
    let send = async {
        while count < 1_000 {
            node_end.sender.send(&long).await.unwrap();
            count += 1;
        }
    };
    assert!(timeout(Duration::from_secs(1), send).await.is_err(), "{count} sent, none read");
    // The rest of the message whose `send` was dropped is sent before the next message.
    let rest = async {
        node_end.sender.send(&piece("last")).await.unwrap();
        node_end.sender.finish().await.unwrap();
    };
    let receive = async {
        let mut messages = Vec::new();
        while let Some(message) = gateway_end.receiver.next().await.unwrap() {
            messages.push(message);
        }
        messages
    };
    let ((), messages) = in_time("the rest", async { tokio::join!(rest, receive) }).await;
    assert_eq!(messages.last(), Some(&piece("last")));
    assert!(messages.len() > count, "{} of {count} read", messages.len());
    assert!(messages.iter().rev().skip(1).all(|message| *message == long));
}

async fn many_streams_do_not_mix(ends: Ends) {
    let mut streams = Vec::new();
    for n in 0..40 {
        let mut gateway_end = in_time("open", ends.gateway.open()).await.unwrap();
        gateway_end.sender.send(&ask(&n.to_string())).await.unwrap();
        streams.push(gateway_end);
    }
    for _ in 0..40 {
        let mut node_end = in_time("accept", ends.node.accept()).await.unwrap();
        let message = in_time("ask", node_end.receiver.next()).await.unwrap();
        let Some(Message::Generate(ask)) = message else { panic!("{message:?}") };
        node_end.sender.send(&piece(&ask.messages[0].content)).await.unwrap();
        in_time("finish", node_end.sender.finish()).await.unwrap();
    }
    for (n, gateway_end) in streams.iter_mut().enumerate() {
        let answer = in_time("answer", gateway_end.receiver.next()).await.unwrap();
        assert_eq!(answer, Some(piece(&n.to_string())));
        assert_eq!(in_time("end", gateway_end.receiver.next()).await.unwrap(), None);
    }
}

async fn a_next_that_is_given_up_loses_nothing(ends: Ends) {
    let (mut gateway_end, mut node_end) = work_stream(&ends).await;
    let long = piece(&"x".repeat(50_000));
    let send = async {
        for _ in 0..20 {
            node_end.sender.send(&long).await.unwrap();
        }
        node_end.sender.finish().await.unwrap();
    };
    let receive = async {
        let mut count = 0;
        loop {
            tokio::select! {
                biased;
                next = gateway_end.receiver.next() => match next.unwrap() {
                    Some(message) => { assert_eq!(message, long); count += 1; }
                    None => break count,
                },
                () = tokio::task::yield_now() => {}
            }
        }
    };
    let ((), count) = in_time("all", async { tokio::join!(send, receive) }).await;
    assert_eq!(count, 20);
}

async fn closing_the_link_ends_everything_on_the_other_side_and_says_why(ends: Ends) {
    let (mut gateway_end, mut node_end) = work_stream(&ends).await;
    ends.gateway.close("the gateway is leaving");
    let error = in_time("closed", ends.node.closed()).await;
    assert!(error.to_string().contains("the gateway is leaving"), "{error}");
    in_time("cancelled", node_end.sender.cancelled()).await;
    let result = in_time("send", node_end.sender.send(&piece("4"))).await;
    assert!(matches!(result, Err(WireError::Closed(_))), "{result:?}");
    let next = in_time("next", node_end.receiver.next()).await;
    assert!(matches!(next, Err(WireError::Closed(_))), "{next:?}");
    let next = in_time("own next", gateway_end.receiver.next()).await;
    assert!(matches!(next, Err(WireError::Closed(_))), "{next:?}");
    for end in [&ends.node, &ends.gateway] {
        let result = in_time("open", end.open()).await;
        assert!(matches!(result, Err(LinkError::Closed(_))), "{result:?}");
        let result = in_time("accept", end.accept()).await;
        assert!(matches!(result, Err(LinkError::Closed(_))), "{result:?}");
    }
}

async fn closing_twice_keeps_the_first_reason(ends: Ends) {
    ends.node.close("first");
    ends.node.close("second");
    let error = in_time("closed", ends.gateway.closed()).await;
    assert!(error.to_string().contains("first"), "{error}");
}

async fn dropping_the_link_closes_it(ends: Ends) {
    let (gateway_end, mut node_end) = work_stream(&ends).await;
    let Ends { node, gateway, .. } = ends;
    drop(gateway);
    in_time("closed", node.closed()).await;
    in_time("cancelled", node_end.sender.cancelled()).await;
    drop(gateway_end);
}
