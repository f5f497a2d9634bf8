//! Runs a node: opens the engine, joins the gateways, serves until it is stopped.

use std::{future::pending, io::IsTerminal as _, net::SocketAddr, sync::Arc};

use futures_util::{
    FutureExt,
    future::{join_all, try_join_all},
};
use prometheus::{Registry, process_collector::ProcessCollector};
use shoal_engine::{Engine, Service, persona::PersonaEngine};
use shoal_link::{Link, LinkError, quic};
#[cfg(feature = "burn")]
use shoal_model::{Files, LoadError};
use shoal_proto::NodeId;
#[cfg(feature = "burn")]
use shoal_proto::hello::model_name;
use shoal_pull::PullError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{EngineConfig, Settings, Source},
    key::{Home, HomeError},
    metrics::{Metrics, page::Page},
    serve::WorkQueue,
    session::{self, Fatal, Member},
    upstream::{ConnectError, Upstream},
};

/// Why a node cannot run. One line for its owner.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Upstream(#[from] ConnectError),
    #[error(transparent)]
    Pull(#[from] PullError),
    #[cfg(feature = "burn")]
    #[error(transparent)]
    Model(#[from] LoadError),
    #[cfg(not(feature = "burn"))]
    #[error("{name}: this build has no burn engine: it can only serve an --upstream")]
    NoBurn { name: String },
    #[error("the model could not be loaded: its thread died")]
    Loader,
    #[error("cannot listen on {address} for metrics: {source}")]
    Metrics { address: SocketAddr, source: std::io::Error },
    #[error("cannot register the metrics: {0}")]
    Count(#[from] prometheus::Error),
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// Runs until SIGTERM, Ctrl-C or `stop`, then drains. A second signal ends it at once. An auditor
/// has several settings: one link, with a key of its own, for each model.
pub async fn run(settings: Vec<Settings>, stop: &CancellationToken) -> Result<(), NodeError> {
    let signals = signals().map_err(NodeError::Signals)?;
    let links = try_join_all(settings.into_iter().map(|settings| run_node(settings, stop)));
    tokio::select! {
        ended = links => ended.map(|_| ()),
        () = obey(signals, stop) => {
            tracing::warn!("stopped at once");
            Ok(())
        }
    }
}

/// Joins every gateway and serves until `stop`.
pub async fn run_node(settings: Settings, stop: &CancellationToken) -> Result<(), NodeError> {
    let homes = homes(&settings)?;
    let registry = Registry::new();
    let Some(engine) = stop.run_until_cancelled(open(&for_all(&settings), &registry)).await else {
        return Ok(());
    };
    let members = members(&settings, &homes, &engine?, &Metrics::register(&registry)?);
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let page = match settings.metrics {
        Some(address) => serve_page(address, registry).await?.left_future(),
        None => pending().right_future(),
    };
    let dials: Vec<_> = homes
        .iter()
        .zip(&members)
        .flat_map(|(home, member)| {
            let gateways = settings.gateways.iter();
            gateways.map(move |gateway| (dial(gateway, home, settings.gateway_id), member))
        })
        .collect();
    let links = dials.iter().map(async |(dial, member)| {
        let result = session::keep_linked(dial, member, stop).await;
        if let (Err(why), true) = (&result, dials.len() > 1) {
            let span = session::span(member);
            tracing::error!(parent: &span, %why, "a gateway will not be contacted again");
        }
        result
    });
    tokio::select! {
        // If one gateway refuses the node, it stays with the others.
        results = join_all(links) => results.into_iter().collect::<Result<(), Fatal>>().map_err(NodeError::Fatal),
        never = page => match never {},
    }
}

/// The folder of each member's key: the node's own, or one in it for each persona.
fn homes(settings: &Settings) -> Result<Vec<Arc<Home>>, NodeError> {
    if settings.personas.is_empty() {
        return Ok(vec![open_home(&settings.data)?]);
    }
    settings.personas.iter().map(|persona| open_home(&settings.data.join(&persona.name))).collect()
}

fn open_home(path: &std::path::Path) -> Result<Arc<Home>, NodeError> {
    Ok(Arc::new(Home::open(path)?))
}

/// The engine serves all personas together.
fn for_all(settings: &Settings) -> EngineConfig {
    let members = u32::try_from(settings.personas.len().max(1)).unwrap_or(u32::MAX);
    let EngineConfig { source, service } = settings.engine_config.clone();
    let slots = service.slots.saturating_mul(members);
    EngineConfig { source, service: Service { slots, ..service } }
}

/// The members behind one engine, each with a queue of its own.
fn members(
    settings: &Settings,
    homes: &[Arc<Home>],
    engine: &Arc<dyn Engine>,
    metrics: &Metrics,
) -> Vec<Member> {
    let personas = settings.personas.iter().cloned();
    let mut engines: Vec<Arc<dyn Engine>> = personas
        .map(|persona| Arc::new(PersonaEngine::new(Arc::clone(engine), persona)) as Arc<dyn Engine>)
        .collect();
    if engines.is_empty() {
        engines.push(Arc::clone(engine));
    }
    // All personas have one operator. If none is set, it is the first persona's key.
    let operator = match (&settings.operator, homes) {
        (Some(operator), _) => operator.clone(),
        (None, [first, _, ..]) => first.identity().id().to_string(),
        (None, _) => String::new(),
    };
    let slots = settings.engine_config.service.slots;
    let members = homes.iter().zip(engines).map(|(home, engine)| {
        let (model, node) = (engine.model(), home.identity().id());
        let tags = model.tags.join(",");
        tracing::info!(model = model.name, node.id = %node, slots, tags, "ready to serve");
        Member {
            identity: Arc::new(home.identity().clone()),
            operator: operator.clone(),
            queue: Arc::new(WorkQueue::new(engine, slots, metrics.clone())),
            drain: settings.drain,
            audit: settings.audit.clone(),
        }
    });
    members.collect()
}

/// Finds the model, downloads it if necessary, and loads it, away from tokio's threads.
pub async fn open(
    engine_config: &EngineConfig,
    registry: &Registry,
) -> Result<Arc<dyn Engine>, NodeError> {
    let (model, local) = match &engine_config.source {
        Source::Upstream(upstream) => return Ok(Arc::new(Upstream::connect(upstream).await?)),
        Source::Model { name, local } => {
            let mut settings = shoal_pull::Settings::from_env()?;
            // Lines of progress would mix with those of a log file.
            settings.shows &= std::io::stderr().is_terminal();
            (shoal_pull::resolve(name, &settings).await?, local)
        }
    };
    #[cfg(not(feature = "burn"))]
    {
        // Only a model in this process has metrics.
        let _ = (registry, local);
        Err(NodeError::NoBurn { name: model.name })
    }
    #[cfg(feature = "burn")]
    {
        let files = files(&model.place)?;
        let (mut service, options) = (engine_config.service.clone(), (**local).clone());
        // A snapshot of a hub is a folder whose name says nothing.
        let name = service.name.get_or_insert_with(|| model_name(&model.name));
        let span = tracing::info_span!("model", name);
        if service.tags.is_empty() {
            let catalogue = shoal_pull::tags(&model.name).iter();
            service.tags = catalogue.map(|tag| (*tag).to_owned()).collect();
        }
        let counts = shoal_model::Metrics::new()?;
        counts.register(registry)?;
        let load = move || span.in_scope(|| shoal_decoder::open(files, &service, &options, counts));
        let engine = tokio::task::spawn_blocking(load).await;
        Ok(Arc::new(engine.map_err(|_| NodeError::Loader)??))
    }
}

/// The files of a model that was found.
#[cfg(feature = "burn")]
pub fn files(place: &shoal_pull::Place) -> Result<Files, LoadError> {
    match place {
        shoal_pull::Place::Bundled(name) => Files::bundled(name),
        shoal_pull::Place::Folder(path) => Files::folder(path),
        shoal_pull::Place::Gguf(path) => Files::gguf_file(path),
    }
}

async fn serve_page(
    address: SocketAddr,
    registry: Registry,
) -> Result<impl Future<Output = std::convert::Infallible>, NodeError> {
    let metrics_error = |source| NodeError::Metrics { address, source };
    let page = Page::bind(address, registry).await.map_err(metrics_error)?;
    tracing::info!(address = %page.address().map_err(metrics_error)?, "metrics at /metrics");
    Ok(page.serve())
}

/// Dials a gateway by QUIC, and accepts only the given key or the one stored before.
fn dial(
    gateway: &str,
    home: &Arc<Home>,
    gateway_id: Option<NodeId>,
) -> impl Fn() -> futures_util::future::BoxFuture<'static, Result<Arc<dyn Link>, LinkError>>
+ Send
+ Sync
+ use<> {
    let (gateway, home) = (gateway.to_owned(), Arc::clone(home));
    move || {
        let (gateway, home) = (gateway.clone(), Arc::clone(&home));
        async move { reach(&gateway, &home, gateway_id).await }.boxed()
    }
}

async fn reach(
    gateway: &str,
    home: &Home,
    gateway_id: Option<NodeId>,
) -> Result<Arc<dyn Link>, LinkError> {
    let unreachable = |error: HomeError| LinkError::Unreachable {
        address: gateway.to_owned(),
        message: error.to_string(),
    };
    let pin = match gateway_id {
        Some(gateway_id) => Some(gateway_id),
        None => home.pin_of(gateway).map_err(unreachable)?,
    };
    let link = quic::dial(gateway, home.identity(), pin).await?;
    if pin.is_none() {
        home.pin(gateway, link.peer()).map_err(unreachable)?;
        tracing::info!(gateway, gateway.id = %link.peer(), "stored the key of a new gateway");
    }
    Ok(Arc::new(link))
}

fn signals() -> std::io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?])
}

/// The first signal asks for a drain; resolves at the second.
async fn obey([mut terminate, mut interrupt]: [Signal; 2], stop: &CancellationToken) {
    for _ in 0..2 {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if !stop.is_cancelled() {
            tracing::info!("stopping: finishing the running work");
            stop.cancel();
        }
    }
}
