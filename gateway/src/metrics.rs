//! All that the gateway counts, in one registry. Each part brings its own; this only gathers them.

use prometheus::{IntGaugeVec, Opts, Registry, process_collector::ProcessCollector};

use crate::{http, round, swarm};

/// Every part's metrics and the registry that shows them.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub registry: Registry,
    pub build: Build,
    pub http: http::Metrics,
    pub round: round::Metrics,
    pub swarm: swarm::Metrics,
}

impl Metrics {
    /// # Errors
    /// When two parts chose the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = Build::register(&registry)?;
        Ok(Self {
            http: http::Metrics::register(&registry)?,
            round: round::Metrics::register(&registry)?,
            swarm: swarm::Metrics::register(&registry)?,
            build,
            registry,
        })
    }
}

/// Says which build runs.
#[derive(Clone, Debug)]
pub struct Build(IntGaugeVec);

impl Build {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let build = IntGaugeVec::new(
            Opts::new("shoal_build_info", "The build that runs; always 1."),
            &["version", "revision"],
        )?;
        registry.register(Box::new(build.clone()))?;
        let build = Self(build);
        build.of("unknown");
        Ok(build)
    }

    /// Names the revision, which the program knows and this library does not.
    pub fn of(&self, revision: &str) {
        self.0.reset();
        self.0.with_label_values(&[env!("CARGO_PKG_VERSION"), revision]).set(1);
    }
}
