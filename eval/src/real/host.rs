//! The gateway's side of the protocol, without rounds: admits nodes and sends each of them requests, so that
//! every candidate can be judged in every way.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use shoal_link::{
    Link, Stream,
    quic::{Limits, Listener},
};
use shoal_proto::{
    Identity, Message, NodeId,
    generate::{Done, Generate},
    hello::{Challenge, Model, Welcome},
    judge::{Ballot, Judge},
    version::Version,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

/// Limit for one request: a model of a billion weights on a busy machine.
const WORK: Duration = Duration::from_secs(1_800);

/// Limit for one step of the handshake.
const STEP: Duration = Duration::from_secs(30);

/// The address that nodes connect to. Dropping it ends every link.
#[derive(Debug)]
pub struct Host {
    pub address: SocketAddr,
    pub id: NodeId,
    members: mpsc::Receiver<Member>,
    _tasks: JoinSet<()>,
}

/// An admitted node.
#[derive(Clone)]
pub struct Member {
    pub model: Model,
    link: Arc<dyn Link>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.model.name).finish_non_exhaustive()
    }
}

/// A member's answer.
#[derive(Clone, Debug)]
pub struct Completion {
    pub text: String,
    pub done: Done,
    pub duration: Duration,
}

impl Host {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// If there is no free socket.
    pub fn bind() -> Result<Self> {
        let identity = Identity::generate();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = Listener::bind(address, &identity, Limits::default())?;
        let (address, id) = (listener.local_addr()?, identity.id());
        // More than the members of any experiment.
        let (sender, members) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Some(link) = listener.accept().await {
                let Ok(link) = link else { continue };
                let sender = sender.clone();
                sessions.spawn(async move {
                    // `gather` reports a node that is not admitted.
                    let _ = run_session(Arc::new(link), id, &sender).await;
                });
            }
        });
        Ok(Self { address, id, members, _tasks: tasks })
    }

    /// Waits until members with all these names are admitted.
    ///
    /// # Errors
    /// If one is absent after `limit`.
    pub async fn gather(&mut self, names: &[&str], limit: Duration) -> Result<Vec<Member>> {
        let until = Instant::now() + limit;
        let mut members: Vec<Member> = Vec::new();
        while let Some(absent) =
            names.iter().find(|name| !members.iter().any(|member| member.model.name == **name))
        {
            let member = timeout_at(until, self.members.recv())
                .await
                .map_err(|_| anyhow!("{absent} was not admitted within {} s", limit.as_secs()))?;
            members.push(member.context("the listener has ended")?);
        }
        Ok(members)
    }
}

/// Admits a node and reads its heartbeats until it leaves.
async fn run_session(link: Arc<dyn Link>, id: NodeId, sender: &mpsc::Sender<Member>) -> Result<()> {
    let mut control = timeout(STEP, link.accept()).await??;
    let Message::Hello(hello) = next(&mut control, STEP).await? else { bail!("no hello") };
    hello.check()?;
    let challenge = Challenge::generate();
    control.sender.send(&Message::Challenge(challenge.clone())).await?;
    let Message::Proof(proof) = next(&mut control, STEP).await? else { bail!("no proof") };
    proof.verify(link.peer(), id, &challenge)?;
    let version = hello.version.min(Version::CURRENT.number());
    let welcome = Welcome { version, heartbeat_ms: 15_000 };
    control.sender.send(&Message::Welcome(welcome)).await?;
    let model = hello.model.context("a node without a model")?;
    sender.send(Member { model, link }).await?;
    while control.receiver.next().await?.is_some() {}
    Ok(())
}

impl Member {
    /// Requests an answer.
    ///
    /// # Errors
    /// The node's error, or a time-out.
    pub async fn write(&self, ask: Generate) -> Result<Completion> {
        let start = Instant::now();
        let mut stream = self.ask(Message::Generate(ask)).await?;
        let mut text = String::new();
        loop {
            match next(&mut stream, WORK).await? {
                Message::Piece(piece) => text.push_str(&piece.text),
                Message::Done(done) => {
                    done.check()?;
                    return Ok(Completion { text, done, duration: start.elapsed() });
                }
                message => bail!("{}: {}", self.model.name, failure(&message)),
            }
        }
    }

    /// Requests a ballot.
    ///
    /// # Errors
    /// The node's error, a time-out, or a ballot that does not fit the question.
    pub async fn judge(&self, ask: Judge) -> Result<(Ballot, Duration)> {
        let start = Instant::now();
        let mut stream = self.ask(Message::Judge(ask.clone())).await?;
        match next(&mut stream, WORK).await? {
            Message::Ballot(ballot) => {
                ballot.check(&ask)?;
                Ok((ballot, start.elapsed()))
            }
            message => bail!("{}: {}", self.model.name, failure(&message)),
        }
    }

    async fn ask(&self, message: Message) -> Result<Stream> {
        let mut stream = timeout(STEP, self.link.open()).await??;
        stream.sender.send(&message).await?;
        Ok(stream)
    }
}

async fn next(stream: &mut Stream, limit: Duration) -> Result<Message> {
    let message = timeout(limit, stream.receiver.next()).await.context("no message in time")??;
    message.context("the stream ended early")
}

/// The reason of a failure.
fn failure(message: &Message) -> String {
    match message {
        Message::Failed(failure) => failure.message.clone(),
        _ => "an unexpected message".to_owned(),
    }
}
