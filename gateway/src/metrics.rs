//! All metrics of the gateway in one registry. Each part defines its own; this module registers them.

use prometheus::{IntGaugeVec, Opts, Registry, process_collector::ProcessCollector};

use crate::{http, round};

/// The metrics of every part, and their registry.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// The registry that `/metrics` shows.
    pub registry: Registry,
    /// The build that runs.
    pub build: Build,
    /// Requests.
    pub http: http::HttpMetrics,
    /// Kept answers.
    pub cache: http::CacheMetrics,
    /// Rounds.
    pub round: round::RoundMetrics,
    /// Members.
    pub swarm: shoal_swarm::SwarmMetrics,
}

impl Metrics {
    /// Registers the metrics of every part in a new registry.
    ///
    /// # Errors
    /// When two parts use the same name.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = Build::register(&registry)?;
        Ok(Self {
            http: http::HttpMetrics::register(&registry)?,
            cache: http::CacheMetrics::register(&registry)?,
            round: round::RoundMetrics::register(&registry)?,
            swarm: shoal_swarm::SwarmMetrics::register(&registry)?,
            build,
            registry,
        })
    }
}

/// The gauge that names the build that runs.
#[derive(Clone, Debug)]
pub(crate) struct Build(IntGaugeVec);

impl Build {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let build = IntGaugeVec::new(
            Opts::new("shoal_build_info", "The build that runs; always 1."),
            &["version", "revision"],
        )?;
        registry.register(Box::new(build.clone()))?;
        let build = Self(build);
        build.set_revision("unknown");
        Ok(build)
    }

    /// Sets the revision, which the program knows and this library does not.
    pub(crate) fn set_revision(&self, revision: &str) {
        self.0.reset();
        self.0.with_label_values(&[env!("CARGO_PKG_VERSION"), revision]).set(1);
    }
}
