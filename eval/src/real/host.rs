//! The gateway's side of the protocol, and no more: takes nodes in and asks them one by one, so that
//! every candidate is judged in every way, which no round would do.

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

/// One piece of work: a model of a billion weights on a busy machine.
const WORK: Duration = Duration::from_secs(1_800);

/// One step of the handshake.
const STEP: Duration = Duration::from_secs(30);

/// Where nodes dial in. Dropping it ends every link.
#[derive(Debug)]
pub struct Host {
    pub address: SocketAddr,
    pub id: NodeId,
    came: mpsc::Receiver<Member>,
    _lives: JoinSet<()>,
}

/// A node that was taken in.
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

/// What a member wrote.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    pub done: Done,
    pub took: Duration,
}

impl Host {
    /// # Errors
    /// When there is no socket to be had.
    pub fn bind() -> Result<Self> {
        let identity = Identity::generate();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = Listener::bind(address, &identity, Limits::default())?;
        let (address, id) = (listener.local_addr()?, identity.id());
        // More than anybody starts here.
        let (tell, came) = mpsc::channel(64);
        let mut lives = JoinSet::new();
        lives.spawn(async move {
            let mut members = JoinSet::new();
            while let Some(link) = listener.accept().await {
                let Ok(link) = link else { continue };
                let tell = tell.clone();
                members.spawn(async move {
                    // Who does not make it is missed by whoever waits for it.
                    let _ = live(Arc::new(link), id, &tell).await;
                });
            }
        });
        Ok(Self { address, id, came, _lives: lives })
    }

    /// Waits until members of all these names are here.
    ///
    /// # Errors
    /// When one is missing after `limit`.
    pub async fn gather(&mut self, names: &[&str], limit: Duration) -> Result<Vec<Member>> {
        let until = Instant::now() + limit;
        let mut members: Vec<Member> = Vec::new();
        let here = |members: &[Member], name: &str| members.iter().any(|m| m.model.name == name);
        while let Some(missing) = names.iter().find(|name| !here(&members, name)) {
            let came = timeout_at(until, self.came.recv()).await;
            let late = |_| anyhow!("{missing} did not come within {} s", limit.as_secs());
            members.push(came.map_err(late)?.context("the listener has ended")?);
        }
        Ok(members)
    }
}

/// Takes a node in and hears its heartbeats until it leaves.
async fn live(link: Arc<dyn Link>, id: NodeId, tell: &mpsc::Sender<Member>) -> Result<()> {
    let mut control = timeout(STEP, link.accept()).await??;
    let Message::Hello(hello) = next(&mut control, STEP).await? else { bail!("no hello") };
    hello.check()?;
    let challenge = Challenge::fresh();
    control.sender.send(&Message::Challenge(challenge.clone())).await?;
    let Message::Proof(proof) = next(&mut control, STEP).await? else { bail!("no proof") };
    proof.verify(link.peer(), id, &challenge)?;
    let version = hello.version.min(Version::CURRENT.number());
    let welcome = Welcome { version, heartbeat_ms: 15_000 };
    control.sender.send(&Message::Welcome(welcome)).await?;
    let model = hello.model.context("a node without a model")?;
    tell.send(Member { model, link }).await?;
    while control.receiver.next().await?.is_some() {}
    Ok(())
}

impl Member {
    /// Lets it write.
    ///
    /// # Errors
    /// What the node said, or that it said nothing in time.
    pub async fn write(&self, ask: Generate) -> Result<Written> {
        let begun = Instant::now();
        let mut stream = self.ask(Message::Generate(ask)).await?;
        let mut text = String::new();
        loop {
            match next(&mut stream, WORK).await? {
                Message::Piece(piece) => text.push_str(&piece.text),
                Message::Done(done) => {
                    done.check()?;
                    return Ok(Written { text, done, took: begun.elapsed() });
                }
                other => bail!("{}: {}", self.model.name, unexpected(&other)),
            }
        }
    }

    /// Lets it judge.
    ///
    /// # Errors
    /// What the node said, or that its ballot does not fit.
    pub async fn judge(&self, ask: Judge) -> Result<(Ballot, Duration)> {
        let begun = Instant::now();
        let mut stream = self.ask(Message::Judge(ask.clone())).await?;
        match next(&mut stream, WORK).await? {
            Message::Ballot(ballot) => {
                ballot.check(&ask)?;
                Ok((ballot, begun.elapsed()))
            }
            other => bail!("{}: {}", self.model.name, unexpected(&other)),
        }
    }

    async fn ask(&self, message: Message) -> Result<Stream> {
        let mut stream = timeout(STEP, self.link.open()).await??;
        stream.sender.send(&message).await?;
        Ok(stream)
    }
}

async fn next(stream: &mut Stream, limit: Duration) -> Result<Message> {
    let message =
        timeout(limit, stream.receiver.next()).await.context("nothing came in time")??;
    message.context("the stream ended early")
}

fn unexpected(message: &Message) -> String {
    match message {
        Message::Failed(failed) => failed.message.clone(),
        _ => "a message out of turn".to_owned(),
    }
}
