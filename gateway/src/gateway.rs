//! Bind, join, drain: the only file that sees all parts.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_web::web::Data;
use shoal_link::quic::Listener;
use shoal_proto::{Identity, NodeId, identity::KeyError};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    export::{self, Keeper, Keeping},
    http::{self, App, Responses, Transcripts},
    metrics::{Build, Metrics},
    round::{Rounds, Settling},
    store::{Book, Sqlite, StoreError},
    swarm::Swarm,
    time::unix_now,
};

/// Says where the gateway listens and who it is, for those who start nodes beside it.
const ADDRESSES: &str = "addresses.json";

/// A gateway that has its sockets and serves nobody yet.
#[derive(Debug)]
pub struct Gateway {
    app: Data<App>,
    swarm: Swarm,
    settling: Settling,
    keeping: Keeping,
    http: TcpListener,
    quic: Listener,
    addresses: Addresses,
    data: PathBuf,
    build: Build,
}

/// Where a gateway listens and which key nodes pin.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Addresses {
    pub http: SocketAddr,
    pub quic: SocketAddr,
    #[serde(serialize_with = "as_text")]
    pub id: NodeId,
}

fn as_text<S: serde::Serializer>(id: &NodeId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

/// Why a gateway cannot start, in one line with the way out.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on {address} ({what}): {source}; choose another address with {flag} or {variable}"
    )]
    Listen {
        address: SocketAddr,
        what: &'static str,
        flag: &'static str,
        variable: &'static str,
        source: io::Error,
    },
    #[error("cannot write to the data folder {}: {source}; choose another with --data or SHOAL_DATA", path.display())]
    Data { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot open {}: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
    #[error("two metrics have the same name: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl Gateway {
    /// Opens the data folder, the store and both sockets. Must be called on the runtime that
    /// shall run the rounds.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let data = config.data.clone();
        let in_data = |source| StartError::Data { path: data.clone(), source };
        fs::create_dir_all(&data).map_err(in_data)?;
        let _ = fs::remove_file(data.join(ADDRESSES));
        let identity = Identity::load_or_generate(&data.join("gateway.key"))?;
        let metrics = Metrics::new()?;
        let http = listen_http(config.http.listen)?;
        let quic = listen_quic(&config, &identity)?;
        let addresses = Addresses {
            http: http.local_addr().map_err(in_data)?,
            quic: quic.local_addr().map_err(in_data)?,
            id: identity.id(),
        };
        let store = open_store(&config).await?;
        let (keeper, keeping) = export::keeper(&config.export, store.clone(), &metrics.registry)?;
        let book = Book::new(Arc::new(store), config.reputation.clone(), &metrics.registry)?;
        let swarm = Swarm::new(
            config.swarm.clone(),
            identity.id(),
            rand::random(),
            book,
            metrics.swarm.clone(),
        );
        let (rounds, settling) =
            Rounds::new(swarm.clone(), config.round.clone(), metrics.round.clone(), rand::random());
        let build = metrics.build.clone();
        let app = Data::new(app(config, metrics, &addresses, rounds, keeper));
        announce(&data, &addresses).map_err(in_data)?;
        Ok(Self { app, swarm, settling, keeping, http, quic, addresses, data, build })
    }

    /// Names the revision that the program was built from, for `shoal_build_info`.
    #[must_use]
    pub fn built_from(self, revision: &str) -> Self {
        self.build.of(revision);
        self
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until `stop`; then takes no more requests, finishes those that run (up to the
    /// configured limit), and says goodbye to the members.
    ///
    /// # Errors
    /// When the HTTP side cannot be started or breaks.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let Self { app, swarm, settling, mut keeping, http, quic, addresses, data, .. } = self;
        tracing::info!(http = %addresses.http, quic = %addresses.quic, id = %addresses.id, "listening");
        let server = http::serve(app, http)?;
        let handle = server.handle();
        let serving = async {
            let served = server.await;
            // Ended by itself or drained: without HTTP there is nothing to keep members for.
            stop.cancel();
            swarm.close();
            served
        };
        let draining = async {
            stop.cancelled().await;
            tracing::info!("draining");
            handle.stop(true).await;
        };
        let working = async { tokio::join!(serving, draining, swarm.listen(quic)).0 };
        let served = tokio::select! {
            served = working => served,
            never = settling.run() => match never {},
            never = keeping.run() => match never {},
        };
        keeping.finish().await;
        let _ = fs::remove_file(data.join(ADDRESSES));
        tracing::info!("stopped");
        served
    }
}

fn listen_http(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen {
        address,
        what: "HTTP",
        flag: "--http",
        variable: "SHOAL_HTTP",
        source,
    })
}

fn listen_quic(config: &Config, identity: &Identity) -> Result<Listener, StartError> {
    let address = config.quic.listen;
    Listener::bind(address, identity, config.quic.limits()).map_err(|source| StartError::Listen {
        address,
        what: "QUIC",
        flag: "--quic",
        variable: "SHOAL_QUIC",
        source,
    })
}

async fn open_store(config: &Config) -> Result<Sqlite, StartError> {
    let path = config.store();
    Sqlite::open(&path, unix_now()).await.map_err(|source| StartError::Store { path, source })
}

fn app(
    config: Config,
    metrics: Metrics,
    addresses: &Addresses,
    rounds: Rounds,
    keeper: Keeper,
) -> App {
    App {
        callers: http::Callers::new(&config.http),
        admission: http::Admission::new(config.http.requests_max),
        transcripts: Transcripts::new(config.http.transcript_bytes_max),
        responses: Responses::new(&config.http),
        keeper,
        config: config.http,
        limits: config.ask,
        metrics: metrics.http,
        registry: metrics.registry,
        runtime: Handle::current(),
        rounds,
        started: unix_now(),
        key: addresses.id.to_string(),
        quic: addresses.quic.to_string(),
    }
}

/// Written in one step, so that nobody reads half of it.
fn announce(data: &Path, addresses: &Addresses) -> io::Result<()> {
    let draft = data.join(".addresses.json");
    fs::write(&draft, serde_json::to_vec(addresses)?)?;
    fs::rename(draft, data.join(ADDRESSES))
}
