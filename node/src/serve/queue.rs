//! The queue for work: an engine, its slots, and a few waiting places.

use std::{fmt, sync::Arc};

use shoal_engine::{Engine, EngineError};
use shoal_proto::generate::Fault;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::metrics::{GaugeGuard, Metrics};

/// Streams that neither run nor wait: their request is being read, refused or finished.
const STREAMS_SPARE: usize = 16;

/// The queue for work. All links of a node share one.
pub struct WorkQueue {
    engine: Arc<dyn Engine>,
    size: u32,
    slots: Semaphore,
    /// As many places as slots: a request that would wait longer is better served by another node, so it
    /// is refused at once.
    places: Semaphore,
    metrics: Metrics,
}

/// The load of a queue, for heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Pieces of work that have a slot.
    pub running: u32,
    /// Pieces of work that wait for one.
    pub waiting: u32,
}

/// A slot in use; dropping it frees the slot.
pub(super) struct Slot<'a> {
    _slot: SemaphorePermit<'a>,
    _guard: GaugeGuard,
}

impl WorkQueue {
    /// A queue that does `slots` (at least one) pieces of work at the same time.
    pub fn new(engine: Arc<dyn Engine>, slots: u32, metrics: Metrics) -> Self {
        let size = slots.max(1);
        let permits = usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS);
        let (slots, places) = (Semaphore::new(permits), Semaphore::new(permits));
        Self { engine, size, slots, places, metrics }
    }

    /// The engine that does the work.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Pieces of work done at the same time.
    pub fn slots(&self) -> u32 {
        self.size
    }

    /// The metrics of the queue.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How busy the queue is.
    pub fn load(&self) -> Load {
        let permits_in_use = |places: &Semaphore| {
            self.size.saturating_sub(u32::try_from(places.available_permits()).unwrap_or(u32::MAX))
        };
        Load { running: permits_in_use(&self.slots), waiting: permits_in_use(&self.places) }
    }

    /// Streams that one link may have open here.
    pub(crate) fn streams_max(&self) -> usize {
        2 * usize::try_from(self.size).unwrap_or(usize::MAX / 4) + STREAMS_SPARE
    }

    /// A slot; waits for one if there is a place in the queue, in the order of arrival.
    pub(super) async fn slot(&self) -> Result<Slot<'_>, EngineError> {
        let slot = match self.slots.try_acquire() {
            Ok(slot) => slot,
            Err(_) => {
                let _place = self.places.try_acquire().map_err(|_| busy())?;
                let _place_guard = self.metrics.queue_guard();
                self.slots.acquire().await.map_err(|_| busy())?
            }
        };
        Ok(Slot { _slot: slot, _guard: self.metrics.slot_guard() })
    }
}

impl fmt::Debug for WorkQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue")
            .field("model", &self.engine.model().name)
            .field("slots", &self.size)
            .field("load", &self.load())
            .finish_non_exhaustive()
    }
}

fn busy() -> EngineError {
    EngineError::new(Fault::Busy, "all slots and the queue are full")
}
