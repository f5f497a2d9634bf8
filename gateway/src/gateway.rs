//! Binds, runs and drains a gateway: the only file that knows all parts.

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
    export::{self, Recorder, RoundWriter},
    http::{self, App, Responses, Transcripts},
    metrics::{Build, Metrics},
    round::{Calibrator, Learner, Rounds},
};
use shoal_store::{ReputationStore, Sqlite, StoreError, unix_now};
use shoal_swarm::Swarm;

/// The file with the gateway's addresses and its key, for programs that start nodes beside it.
const ADDRESSES: &str = "addresses.json";

/// A gateway that has its sockets and does not serve yet.
#[derive(Debug)]
pub struct Gateway {
    app: Data<App>,
    swarm: Swarm,
    learner: Learner,
    calibrator: Calibrator,
    round_writer: RoundWriter,
    http: TcpListener,
    quic: Listener,
    addresses: Addresses,
    data: PathBuf,
    build: Build,
}

/// Where a gateway listens and which key nodes pin.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Addresses {
    /// The API (TCP).
    pub http: SocketAddr,
    /// The nodes' links (UDP).
    pub quic: SocketAddr,
    /// The gateway's key.
    #[serde(serialize_with = "as_text")]
    pub id: NodeId,
}

fn as_text<S: serde::Serializer>(id: &NodeId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

/// Why a gateway cannot start, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on {address} ({protocol}): {source}; choose another address with {flag} or {variable}"
    )]
    /// A socket cannot be bound.
    Listen {
        /// The address to listen on.
        address: SocketAddr,
        /// "HTTP" or "QUIC".
        protocol: &'static str,
        /// The option that changes the address.
        flag: &'static str,
        /// The environment variable that changes it.
        variable: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The data folder cannot be written.
    #[error("cannot write to the data folder {}: {source}; choose another with --data or SHOAL_DATA", path.display())]
    Data { path: PathBuf, source: io::Error },
    /// The key file cannot be read or created.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Store { path: PathBuf, source: StoreError },
    /// Two parts of the program use the same metric name.
    #[error("two metrics have the same name: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl Gateway {
    /// Opens the data folder, the store and both sockets. Call it on the runtime that is to run the
    /// rounds.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        if config.swarm.audit.is_guessable() {
            tracing::warn!(
                "the token for auditors (swarm.audit.token, SHOAL_AUDIT_TOKEN) can be guessed: give one of 16 \
                 characters or more, such as that of `openssl rand -hex 32`"
            );
        }
        let data = config.data.clone();
        fs::create_dir_all(&data).map_err(data_error(&data))?;
        let _ = fs::remove_file(data.join(ADDRESSES));
        let identity = Identity::load_or_generate(&data.join("gateway.key"))?;
        let metrics = Metrics::new()?;
        let http = listen_http(config.http.listen)?;
        let quic = listen_quic(&config, &identity)?;
        let addresses = Addresses {
            http: http.local_addr().map_err(data_error(&data))?,
            quic: quic.local_addr().map_err(data_error(&data))?,
            id: identity.id(),
        };
        let store = open_store(&config).await?;
        let (recorder, round_writer) =
            export::recorder(&config.export, store.clone(), &metrics.registry)?;
        let reputation =
            ReputationStore::new(Arc::new(store), config.reputation.clone(), &metrics.registry)?;
        let swarm = Swarm::new(
            config.swarm.clone(),
            identity.id(),
            rand::random(),
            reputation,
            metrics.swarm.clone(),
        );
        let (rounds, learner) =
            Rounds::new(swarm.clone(), config.round.clone(), metrics.round.clone(), rand::random());
        let calibrator =
            Calibrator::new(rounds.clone(), config.ask.effort(shoal_consensus::Mode::Balanced));
        let build = metrics.build.clone();
        let app = Data::new(app(config, metrics, &addresses, rounds, recorder));
        write_addresses(&data, &addresses).map_err(data_error(&data))?;
        Ok(Self {
            app,
            swarm,
            learner,
            calibrator,
            round_writer,
            http,
            quic,
            addresses,
            data,
            build,
        })
    }

    /// Sets the revision that the program was built from, for `shoal_build_info`.
    #[must_use]
    pub fn with_revision(self, revision: &str) -> Self {
        self.build.set_revision(revision);
        self
    }

    /// The addresses that it listens on.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until `stop`; then refuses new requests, finishes the running ones (up to the configured
    /// limit), and says goodbye to the members.
    ///
    /// # Errors
    /// When the HTTP server cannot be started or fails.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let Self { app, swarm, learner, calibrator, mut round_writer, .. } = self;
        let (http, quic, addresses, data) = (self.http, self.quic, self.addresses, self.data);
        tracing::info!(http = %addresses.http, quic = %addresses.quic, id = %addresses.id, "listening");
        if app.config.is_open() {
            tracing::warn!(http = %addresses.http, "open: anybody who reaches this address may use the swarm (http.open)");
        }
        let closing = app.closing.clone();
        let server = http::serve(app, http)?;
        let handle = server.handle();
        let http_server = async {
            let result = server.await;
            // Failed or drained: without HTTP the members have no work.
            stop.cancel();
            swarm.close();
            result
        };
        let drain = async {
            stop.cancelled().await;
            tracing::info!("draining");
            closing.cancel();
            handle.stop(true).await;
        };
        let result = tokio::select! {
            (result, (), ()) = async { tokio::join!(http_server, drain, swarm.listen(quic)) } => result,
            never = learner.run() => match never {},
            never = calibrator.run() => match never {},
            never = round_writer.run() => match never {},
        };
        round_writer.finish().await;
        let _ = fs::remove_file(data.join(ADDRESSES));
        tracing::info!("stopped");
        result
    }
}

fn listen_http(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen {
        address,
        protocol: "HTTP",
        flag: "--http",
        variable: "SHOAL_HTTP",
        source,
    })
}

fn listen_quic(config: &Config, identity: &Identity) -> Result<Listener, StartError> {
    let address = config.quic.listen;
    Listener::bind(address, identity, config.quic.limits()).map_err(|source| StartError::Listen {
        address,
        protocol: "QUIC",
        flag: "--quic",
        variable: "SHOAL_QUIC",
        source,
    })
}

async fn open_store(config: &Config) -> Result<Sqlite, StartError> {
    let path = config.store();
    make_private(&path).map_err(data_error(&config.data))?;
    Sqlite::open(&path, unix_now()).await.map_err(|source| StartError::Store { path, source })
}

fn app(
    config: Config,
    metrics: Metrics,
    addresses: &Addresses,
    rounds: Rounds,
    recorder: Recorder,
) -> App {
    let callers = http::Callers::new(&config.http);
    App {
        admission: http::Admission::new(&config.http, &callers),
        transcripts: Transcripts::new(config.http.transcript_bytes_max),
        responses: Responses::new(&config.http, &callers),
        conversations: http::Conversations::new(&config.http),
        cache: http::AnswerCache::new(&config.http, metrics.cache),
        watchers: http::watchers(&callers),
        closing: CancellationToken::new(),
        callers,
        recorder,
        config: config.http,
        limits: config.ask,
        metrics: metrics.http,
        registry: metrics.registry,
        runtime: Handle::current(),
        rounds,
        start_seconds: unix_now(),
        key: addresses.id.to_string(),
        quic: addresses.quic.to_string(),
    }
}

fn data_error(data: &Path) -> impl FnOnce(io::Error) -> StartError + use<> {
    let path = data.to_owned();
    |source| StartError::Data { path, source }
}

/// Creates the database, if there is none, so that only its owner can read it: rounds stored by consent
/// contain people's words. SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        options.mode(0o600).open(path)?.set_permissions(fs::Permissions::from_mode(0o600))?;
        for suffix in ["-wal", "-shm"] {
            let mut beside = path.as_os_str().to_owned();
            beside.push(suffix);
            // A gateway of an earlier version may have left it readable.
            match fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    #[cfg(not(unix))]
    options.open(path)?;
    Ok(())
}

/// Writes the file of addresses in one step, so that no program reads half of it.
fn write_addresses(data: &Path, addresses: &Addresses) -> io::Result<()> {
    let draft = data.join(".addresses.json");
    fs::write(&draft, serde_json::to_vec(addresses)?)?;
    fs::rename(draft, data.join(ADDRESSES))
}
