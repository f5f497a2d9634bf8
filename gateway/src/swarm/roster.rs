//! Who is here now. A member is in the roster as long as its [`Membership`] lives: dropping it
//! is leaving, and every leave is counted exactly once.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use shoal_link::Link;
use shoal_proto::{NodeId, hello::Model};

use super::{LeaveReason, Metrics};
use shoal_consensus::{MemberView, reputation::Standing};

/// Somebody who has a place here.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    pub id: NodeId,
    pub state: State,
    /// None while it is still examined.
    pub seat: Option<MemberView>,
}

/// How far somebody has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// On its way in.
    Examined,
    /// Takes work.
    Serving,
    /// On its way out.
    Draining,
}

/// How fast a member wrote when it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speed {
    /// 0: not measured.
    pub tokens_per_second: f64,
    /// 0: not measured.
    pub first_token_seconds: f64,
}

/// A member that can be asked: its link, and what the gateway knows of its load.
pub(crate) struct MemberHandle {
    pub(crate) id: NodeId,
    pub(crate) model: Model,
    pub(crate) operator: String,
    pub(crate) link: Arc<dyn Link>,
    slots: u32,
    in_flight: AtomicU32,
    draining: AtomicBool,
    speed: Mutex<Speed>,
}

impl fmt::Debug for MemberHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberHandle")
            .field("id", &self.id)
            .field("model", &self.model.name)
            .finish()
    }
}

impl MemberHandle {
    pub(crate) fn new(
        link: Arc<dyn Link>,
        model: Model,
        operator: String,
        slots: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: link.peer(),
            model,
            operator,
            link,
            slots,
            in_flight: AtomicU32::new(0),
            draining: AtomicBool::new(false),
            speed: Mutex::default(),
        })
    }

    fn view(&self, probation: bool) -> MemberView {
        let speed = *self.speed();
        MemberView {
            id: self.id,
            model: self.model.clone(),
            operator: self.operator.clone(),
            slots: self.slots,
            running: self.running(),
            tokens_per_second: speed.tokens_per_second,
            first_token_seconds: speed.first_token_seconds,
            probation,
        }
    }

    /// Pieces of work this gateway has with it now.
    pub(crate) fn running(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn measured(&self, speed: Speed) {
        *self.speed() = speed;
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Counts one piece of work until the returned guard is dropped.
    pub(crate) fn occupy(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    fn speed(&self) -> MutexGuard<'_, Speed> {
        self.speed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One piece of work a member has.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<MemberHandle>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All members, and the keys of those on their way in.
#[derive(Debug)]
pub(crate) struct Roster {
    max: usize,
    places: Mutex<BTreeMap<NodeId, Option<Arc<MemberHandle>>>>,
    metrics: Metrics,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    AlreadyHere,
    Full,
}

impl Roster {
    pub(crate) fn new(max: usize, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { max, places: Mutex::default(), metrics })
    }

    /// Takes a place for a key, so that the same key cannot come in twice while it is examined.
    pub(crate) fn reserve(self: &Arc<Self>, id: NodeId) -> Result<Reservation, NoPlace> {
        let mut places = self.places();
        if places.contains_key(&id) {
            return Err(NoPlace::AlreadyHere);
        }
        if places.len() >= self.max {
            return Err(NoPlace::Full);
        }
        places.insert(id, None);
        drop(places);
        self.count();
        Ok(Reservation { roster: self.clone(), id })
    }

    /// Every member that takes work, by id.
    pub(crate) fn views(&self, standing: &Standing) -> Arc<[MemberView]> {
        let places = self.places();
        let seats = places.values().flatten().filter(|seat| !seat.draining());
        seats.map(|seat| seat.view(standing.on_probation(&seat.id))).collect()
    }

    /// The seats of those that take work, by id.
    pub(crate) fn seats(&self) -> Vec<Arc<MemberHandle>> {
        self.places().values().flatten().filter(|seat| !seat.draining()).cloned().collect()
    }

    /// Everybody who has a place, by id; those still examined have no more than that.
    pub(crate) fn present(&self, standing: &Standing) -> Vec<Presence> {
        let places = self.places();
        let presence = |(id, seat): (&NodeId, &Option<Arc<MemberHandle>>)| match seat {
            None => Presence { id: *id, state: State::Examined, seat: None },
            Some(seat) => Presence {
                id: *id,
                state: if seat.draining() { State::Draining } else { State::Serving },
                seat: Some(seat.view(standing.on_probation(id))),
            },
        };
        places.iter().map(presence).collect()
    }

    pub(crate) fn seat(&self, id: NodeId) -> Option<Arc<MemberHandle>> {
        self.places().get(&id).cloned().flatten()
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<NodeId, Option<Arc<MemberHandle>>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the gauges up to date; called wherever somebody comes, drains or goes.
    pub(crate) fn count(&self) {
        let places = self.places();
        let members = places.values().flatten();
        let (draining, serving): (Vec<_>, Vec<_>) = members.partition(|seat| seat.draining());
        self.metrics.members("serving", serving.len());
        self.metrics.members("draining", draining.len());
        self.metrics.members("examined", places.len() - serving.len() - draining.len());
    }
}

/// A place held for one key; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Reservation {
    roster: Arc<Roster>,
    id: NodeId,
}

impl Reservation {
    /// From now on rounds see the member.
    pub(crate) fn seat(self, seat: Arc<MemberHandle>) -> Membership {
        self.roster.places().insert(self.id, Some(seat));
        self.roster.count();
        Membership { place: self, leave: LeaveReason::Shutdown }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.roster.places().remove(&self.id);
        self.roster.count();
    }
}

/// A seated member. Dropping it is leaving, counted once: as a shutdown when nobody said why.
#[derive(Debug)]
pub(crate) struct Membership {
    place: Reservation,
    leave: LeaveReason,
}

impl Membership {
    pub(crate) fn leave(mut self, why: LeaveReason) {
        self.leave = why;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.place.roster.metrics.left(self.leave);
    }
}
