//! The members that are here now. A member is in the roster as long as its [`Membership`] lives:
//! dropping it removes the member, and every leave is counted exactly once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use shoal_link::Link;
use shoal_proto::{NodeId, hello::Model};
use tokio::time::{Instant, sleep};

use super::{
    LeaveReason, SwarmMetrics,
    names::{Names, Server},
    pace::{Pace, Pieces},
    record::{WorkCounters, WorkRecord},
};
use shoal_consensus::{MemberView, reputation::Standing, select::absence::Absence};

/// A node that has a place on this gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// Its key.
    pub id: NodeId,
    /// How far it has come.
    pub state: State,
    /// None during its exam.
    pub seat: Option<MemberView>,
    /// What gold has cost it. Zero during its exam.
    pub gold: GoldCost,
    /// What it has done in rounds.
    pub work: WorkRecord,
}

/// What a member has spent on gold since it came: in its exam, as a writer and as a judge, and in
/// hidden audits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoldCost {
    /// Questions and ballots.
    pub questions: u64,
    /// Tokens that it read and wrote, by its own count.
    pub tokens: u64,
}

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its exam as a writer runs; rounds do not see it.
    Examined,
    /// It takes work.
    Serving,
    /// It finishes its work and takes no more.
    Draining,
}

/// A handle of one member: its link, its model, and its load from this gateway.
pub(crate) struct MemberHandle {
    pub(crate) id: NodeId,
    pub(crate) model: Model,
    pub(crate) operator: String,
    pub(crate) link: Arc<dyn Link>,
    slots: u32,
    in_flight: AtomicU32,
    is_draining: AtomicBool,
    is_replaced: AtomicBool,
    is_displaced: AtomicBool,
    pace: Mutex<Pace>,
    /// Number of packets received when it was found silent, plus one; 0: it is not silent.
    silent_at: AtomicU64,
    gold_questions: AtomicU64,
    gold_tokens: AtomicU64,
    pub(crate) work: WorkCounters,
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
            is_draining: AtomicBool::new(false),
            is_replaced: AtomicBool::new(false),
            is_displaced: AtomicBool::new(false),
            pace: Mutex::default(),
            silent_at: AtomicU64::new(0),
            gold_questions: AtomicU64::new(0),
            gold_tokens: AtomicU64::new(0),
            work: WorkCounters::default(),
        })
    }

    fn view(&self, standing: &Standing, owns_name: bool) -> MemberView {
        let speed = self.pace().speed();
        MemberView {
            id: self.id,
            model: self.model.clone(),
            operator: self.operator.clone(),
            slots: self.slots,
            running: self.load(),
            tokens_per_second: speed.tokens_per_second,
            bytes_per_second: speed.bytes_per_second,
            first_token_seconds: speed.first_token_seconds,
            first_token_late: speed.first_token_late,
            is_silent: self.is_silent(),
            probation: standing.on_probation(&self.id),
            is_proven: standing.is_proven(&self.id),
            owns_name,
        }
    }

    /// Pieces of work that it does for this gateway now.
    pub(crate) fn load(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn set_speed(&self, speed: super::Speed) {
        self.pace().set(speed);
    }

    /// Learns how fast the text of an answer came.
    pub(crate) fn learn_bytes(&self, pieces: &Pieces) {
        self.pace().learn_bytes(pieces);
    }

    /// Learns how fast it answered a round's ask.
    pub(crate) fn learn_pace(&self, first_piece: Duration, took: Duration, tokens: u32) {
        self.pace().learn(first_piece, took, tokens);
    }

    /// Resolves when the member's machine acknowledges nothing any more, and marks the member as silent. A
    /// machine that computes acknowledges within a few round trips; one that is gone never does.
    pub(crate) async fn silence(&self) {
        /// Time for an acknowledgement beside the round trips: a busy machine is not a dead one.
        const ACKNOWLEDGEMENT: Duration = Duration::from_millis(100);
        /// After an acknowledgement.
        const REST: Duration = Duration::from_millis(250);
        const STRIKES: u32 = 3;
        let Some(mut before) = self.link.received() else { return std::future::pending().await };
        let mut strikes = 0;
        // What was sent just now is acknowledged too.
        let mut wait = ACKNOWLEDGEMENT;
        loop {
            sleep(wait + 4 * self.link.rtt()).await;
            let count = self.link.received().unwrap_or_default();
            (strikes, wait) =
                if count == before { (strikes + 1, ACKNOWLEDGEMENT) } else { (0, REST) };
            before = count;
            if strikes >= STRIKES {
                self.silent_at.store(count.saturating_add(1), Ordering::Relaxed);
                return;
            }
            if strikes > 0 {
                self.link.ping();
            }
        }
    }

    /// Whether it was found silent and has not said anything since.
    pub(crate) fn is_silent(&self) -> bool {
        let count = self.silent_at.load(Ordering::Relaxed);
        count > 0
            && self.link.received().is_some_and(|received| received.saturating_add(1) == count)
    }

    /// Counts a gold question or ballot that it finished.
    pub(crate) fn count_gold(&self, tokens: u64) {
        self.gold_questions.fetch_add(1, Ordering::Relaxed);
        self.gold_tokens.fetch_add(tokens, Ordering::Relaxed);
    }

    pub(crate) fn gold_cost(&self) -> GoldCost {
        GoldCost {
            questions: self.gold_questions.load(Ordering::Relaxed),
            tokens: self.gold_tokens.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Ends its session, because a newer link has proven the same key: a node that has restarted need not
    /// wait until the link of its dead process times out.
    pub(crate) fn replace(&self) {
        self.is_replaced.store(true, Ordering::Relaxed);
        self.link.close(shoal_link::REPLACED);
    }

    /// Ends its session, because a member that has shown something needs its place.
    pub(crate) fn displace(&self) {
        self.is_displaced.store(true, Ordering::Relaxed);
        self.link.close(LeaveReason::Displaced.label());
    }

    /// Why the gateway ended its session, if it did.
    pub(crate) fn end_reason(&self) -> Option<LeaveReason> {
        if self.is_replaced.load(Ordering::Relaxed) {
            return Some(LeaveReason::Replaced);
        }
        self.is_displaced.load(Ordering::Relaxed).then_some(LeaveReason::Displaced)
    }

    fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Counts one piece of work until the returned guard is dropped.
    pub(crate) fn occupy(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one piece of work of a member while it lives.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<MemberHandle>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All members, and the keys of the newcomers.
#[derive(Debug)]
pub(crate) struct Roster {
    max: usize,
    places: Mutex<BTreeMap<NodeId, RosterEntry>>,
    names: Mutex<Names>,
    /// Nodes that have got a place so far.
    arrivals: AtomicU64,
    metrics: SwarmMetrics,
}

/// The place of a node.
#[derive(Debug)]
struct RosterEntry {
    node: Arc<MemberHandle>,
    /// Its number among all nodes that have got a place.
    arrival: u64,
    /// It has passed its exam as a writer; rounds see it.
    is_member: bool,
}

impl RosterEntry {
    fn member(&self) -> Option<&Arc<MemberHandle>> {
        Some(&self.node).filter(|_| self.is_member)
    }
}

/// Why there is no place.
#[derive(Clone, Debug)]
pub(crate) enum NoPlace {
    /// This node with the same key is here.
    AlreadyHere(Arc<MemberHandle>),
    /// All places are taken.
    Full,
}

impl Roster {
    pub(crate) fn new(max: usize, metrics: SwarmMetrics) -> Arc<Self> {
        Arc::new(Self {
            max,
            places: Mutex::default(),
            names: Mutex::default(),
            arrivals: AtomicU64::new(0),
            metrics,
        })
    }

    /// Reserves a place for a newcomer, so that the same key is not here twice.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        newcomer: &Arc<MemberHandle>,
    ) -> Result<Reservation, NoPlace> {
        let (id, node) = (newcomer.id, newcomer.clone());
        let mut places = self.places();
        if let Some(place) = places.get(&id) {
            return Err(NoPlace::AlreadyHere(place.node.clone()));
        }
        if places.len() >= self.max {
            return Err(NoPlace::Full);
        }
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        places.insert(id, RosterEntry { node, arrival, is_member: false });
        drop(places);
        self.update_gauges();
        Ok(Reservation { roster: self.clone(), id })
    }

    /// Every member that takes work, by id.
    pub(crate) fn views(&self, standing: &Standing) -> Arc<[MemberView]> {
        let members = self.members();
        let owners = self.name_owners(standing);
        members.iter().map(|member| member.view(standing, owners.contains(&member.id))).collect()
    }

    /// The members that may answer requests by their model's name.
    fn name_owners(&self, standing: &Standing) -> BTreeSet<NodeId> {
        let places = self.places();
        let mut entries: Vec<&RosterEntry> = places
            .values()
            .filter(|place| place.member().is_some_and(|member| !member.is_draining()))
            .collect();
        entries.sort_by_key(|entry| entry.arrival);
        let servers: Vec<Server<'_>> = entries
            .into_iter()
            .map(|entry| Server {
                node: entry.node.id,
                name: &entry.node.model.name,
                digest: &entry.node.model.digest,
                operator: &entry.node.operator,
                is_proven: standing.is_proven(&entry.node.id),
            })
            .collect();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.owners(&servers, Instant::now())
    }

    /// A node that has shown nothing yet and does nothing: of these the one that has been here for longest.
    pub(crate) fn idler(&self, standing: &Standing) -> Option<Arc<MemberHandle>> {
        let places = self.places();
        let idlers = places.values().filter(|place| {
            place.node.load() == 0
                && !standing.is_proven(&place.node.id)
                && place.node.end_reason().is_none()
        });
        idlers.min_by_key(|place| place.arrival).map(|place| place.node.clone())
    }

    /// The handles of the members that take work, by id.
    pub(crate) fn members(&self) -> Vec<Arc<MemberHandle>> {
        let places = self.places();
        let members = places.values().filter_map(RosterEntry::member);
        members.filter(|member| !member.is_draining()).cloned().collect()
    }

    /// Every node that has a place, by id; newcomers come without details.
    pub(crate) fn present(&self, standing: &Standing) -> Vec<Presence> {
        let owners = self.name_owners(standing);
        let places = self.places();
        let members = places.iter().map(|(id, place)| (*id, place.member()));
        let presences = members.map(|(id, member)| {
            let owns_name = owners.contains(&id);
            presence(id, member.map(|m| &**m), standing, owns_name)
        });
        presences.collect()
    }

    /// The handle of a member; None for a newcomer and for a node that has left.
    pub(crate) fn member(&self, id: NodeId) -> Option<Arc<MemberHandle>> {
        self.places().get(&id).and_then(RosterEntry::member).cloned()
    }

    /// Counts why members were not asked.
    pub(crate) fn count_absences(&self, absences: &[(NodeId, Absence)]) {
        let places = self.places();
        for (id, reason) in absences {
            if let Some(place) = places.get(id) {
                place.node.work.absence(*reason);
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<NodeId, RosterEntry>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Updates the gauges. Called whenever a node comes, drains or goes.
    pub(crate) fn update_gauges(&self) {
        let places = self.places();
        let members = || places.values().filter_map(RosterEntry::member);
        let member_count = members().count();
        let drain_count = members().filter(|member| member.is_draining()).count();
        self.metrics.members("serving", member_count - drain_count);
        self.metrics.members("draining", drain_count);
        self.metrics.members("examined", places.len() - member_count);
    }
}

fn presence(
    id: NodeId,
    member: Option<&MemberHandle>,
    standing: &Standing,
    owns_name: bool,
) -> Presence {
    let state = match member {
        None => State::Examined,
        Some(member) if member.is_draining() => State::Draining,
        Some(_) => State::Serving,
    };
    let gold = member.map_or_else(GoldCost::default, MemberHandle::gold_cost);
    let work = member.map(|member| member.work.record()).unwrap_or_default();
    let seat = member.map(|member| member.view(standing, owns_name));
    Presence { id, state, seat, gold, work }
}

/// A place for one key. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Reservation {
    roster: Arc<Roster>,
    id: NodeId,
}

impl Reservation {
    /// Puts the member into the roster: from now on rounds see it.
    pub(crate) fn seat(self, member: Arc<MemberHandle>) -> Membership {
        let arrival = self.roster.arrivals.fetch_add(1, Ordering::Relaxed);
        let entry = RosterEntry { node: member, arrival, is_member: true };
        self.roster.places().insert(self.id, entry);
        self.roster.update_gauges();
        Membership { place: self, reason: LeaveReason::Shutdown }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.roster.places().remove(&self.id);
        self.roster.update_gauges();
    }
}

/// A member's place in the roster. Dropping it removes the member and counts the leave, as a
/// shutdown unless [`Membership::leave`] gave another reason.
#[derive(Debug)]
pub(crate) struct Membership {
    place: Reservation,
    reason: LeaveReason,
}

impl Membership {
    /// Removes the member for this reason.
    pub(crate) fn leave(mut self, reason: LeaveReason) {
        self.reason = reason;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.place.roster.metrics.leave(self.reason);
    }
}
