//! All that the gateway counts, in one registry. Each part brings its own; this only gathers them.

use prometheus::{IntGaugeVec, Opts, Registry, process_collector::ProcessCollector};

use crate::{http, round, swarm};

/// Every part's metrics and the registry that shows them.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub registry: Registry,
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
        let build = IntGaugeVec::new(
            Opts::new("shoal_build_info", "The build that runs; always 1."),
            &["version", "revision"],
        )?;
        // Who builds from a checkout sets SHOAL_REVISION; a package has its version.
        let revision = option_env!("SHOAL_REVISION").unwrap_or("unknown");
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision]).set(1);
        registry.register(Box::new(build))?;
        Ok(Self {
            http: http::Metrics::register(&registry)?,
            round: round::Metrics::register(&registry)?,
            swarm: swarm::Metrics::register(&registry)?,
            registry,
        })
    }
}
