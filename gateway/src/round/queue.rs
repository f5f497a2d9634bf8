//! Asks that wait for a free member: a queue for each model, and one for the swarm.
//!
//! The first ask of a queue looks for a free member, the others wait for their turn. Clients take turns, so
//! that one with many asks does not delay the others, and the asks of one client keep their order. When a
//! queue is full, the newest ask of the client that has most is refused.

use std::{
    collections::{BTreeMap, VecDeque},
    future::ready,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus::IntGauge;
use shoal_consensus::{RoundError, ask::Target};
use tokio::sync::oneshot;

/// Who asks: the number of an API key. Without keys all asks are of one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(pub usize);

/// The queues. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    /// Most asks that wait in one queue.
    max: usize,
    state: Arc<Mutex<State>>,
    /// The asks that wait in all queues.
    waiting: IntGauge,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    /// By the name of the model; `None` is the swarm.
    queues: BTreeMap<Option<String>, Queue>,
}

/// A queue in which at least one ask has its turn.
#[derive(Debug)]
struct Queue {
    /// The ask whose turn it is.
    first: u64,
    /// Asks that wait, oldest first. No line is empty.
    lines: BTreeMap<Client, VecDeque<Waiter>>,
    /// The clients with a line; the first has the next turn.
    turns: VecDeque<Client>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    /// Tells the ask that its turn has come. Dropping it refuses the ask.
    call: oneshot::Sender<()>,
}

/// An ask's place in a queue. Dropping it gives the turn to the next ask.
#[derive(Debug)]
pub(super) struct Place {
    queues: Queues,
    model: Option<String>,
    client: Client,
    id: u64,
    /// `None` when the turn has come.
    call: Option<oneshot::Receiver<()>>,
}

impl Queues {
    /// Empty queues, each for at most `max` asks that wait.
    pub(super) fn new(max: usize, waiting: IntGauge) -> Self {
        Self { max, state: Arc::default(), waiting }
    }

    /// Puts an ask into the queue of its target.
    ///
    /// # Errors
    /// [`RoundError::QueueFull`] if the queue is full and no other client has more asks in it.
    pub(super) fn enter(&self, target: &Target, client: Client) -> Result<Place, RoundError> {
        let model = target.name().cloned();
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let call = match state.queues.get_mut(&model) {
            Some(queue) => Some(self.wait(queue, client, id)?),
            None => {
                let queue = Queue { first: id, lines: BTreeMap::new(), turns: VecDeque::new() };
                state.queues.insert(model.clone(), queue);
                None
            }
        };
        drop(state);
        Ok(Place { queues: self.clone(), model, client, id, call })
    }

    fn wait(
        &self,
        queue: &mut Queue,
        client: Client,
        id: u64,
    ) -> Result<oneshot::Receiver<()>, RoundError> {
        let waiting: usize = queue.lines.values().map(VecDeque::len).sum();
        if waiting >= self.max {
            queue.refuse_newest(client).ok_or(RoundError::QueueFull { waiting })?;
            self.waiting.dec();
        }
        let (call, receiver) = oneshot::channel();
        if !queue.lines.contains_key(&client) {
            queue.turns.push_back(client);
        }
        queue.lines.entry(client).or_default().push_back(Waiter { id, call });
        self.waiting.inc();
        Ok(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Makes room for an ask of `client`: refuses the newest ask of the client that has most, if that is still
    /// at least as many as `client` then has.
    fn refuse_newest(&mut self, client: Client) -> Option<()> {
        let line_length = self.lines.get(&client).map_or(0, VecDeque::len);
        let (_, longest) = self.lines.iter_mut().max_by_key(|(_, line)| line.len())?;
        if longest.len() < line_length + 2 {
            return None;
        }
        longest.pop_back().map(drop)
    }

    /// Takes the next ask from its line.
    fn next(&mut self) -> Option<Waiter> {
        let client = self.turns.pop_front()?;
        let line = self.lines.get_mut(&client)?;
        let waiter = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        waiter
    }

    /// Removes an ask that no longer waits. Returns whether it was still in its line.
    fn remove(&mut self, client: Client, id: u64) -> bool {
        let Some(line) = self.lines.get_mut(&client) else { return false };
        let before = line.len();
        line.retain(|waiter| waiter.id != id);
        let was_waiting = line.len() < before;
        if line.is_empty() {
            self.lines.remove(&client);
            self.turns.retain(|other| *other != client);
        }
        was_waiting
    }
}

impl Place {
    /// Waits until the ask is the first of its queue.
    ///
    /// # Errors
    /// [`RoundError::QueueFull`] if the ask had to make room for another client's.
    pub(super) async fn turn(&mut self) -> Result<(), RoundError> {
        if let Some(call) = &mut self.call {
            let called = call.await;
            self.call = None;
            called.map_err(|_| RoundError::QueueFull { waiting: self.queues.max })?;
        }
        Ok(())
    }

    /// Starts `work`, which occupies a member at once, and gives the turn to the next ask.
    pub(super) async fn start<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = ready(()) => drop(self),
        }
        work.await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queues.lock();
        let Some(queue) = state.queues.get_mut(&self.model) else { return };
        if queue.first != self.id {
            if queue.remove(self.client, self.id) {
                self.queues.waiting.dec();
            }
            return;
        }
        while let Some(waiter) = queue.next() {
            self.queues.waiting.dec();
            queue.first = waiter.id;
            // It fails if the ask is being dropped; then the next one has the turn.
            if waiter.call.send(()).is_ok() {
                return;
            }
        }
        state.queues.remove(&self.model);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    const ALICE: Client = Client(0);
    const BOB: Client = Client(1);

    fn queues(max: usize) -> Queues {
        Queues::new(max, IntGauge::new("waiting", "Waiting.").expect("a valid name"))
    }

    fn enter(queues: &Queues, client: Client) -> Result<Place, RoundError> {
        queues.enter(&Target::Model("model".into()), client)
    }

    /// Whether the turn has come; an error if the ask is refused.
    fn has_turn(place: &mut Place) -> Result<bool, RoundError> {
        let mut turn = pin!(place.turn());
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    #[test]
    fn clients_take_turns_and_each_keeps_its_order() {
        let queues = queues(16);
        let mut places: Vec<(usize, Place)> = [ALICE, ALICE, ALICE, BOB, BOB, ALICE]
            .into_iter()
            .map(|client| enter(&queues, client).expect("there is room"))
            .enumerate()
            .collect();
        let mut order = Vec::new();
        while !places.is_empty() {
            let at = places.iter_mut().position(|(_, place)| has_turn(place) == Ok(true));
            order.push(places.remove(at.expect("one has its turn")).0);
        }
        assert_eq!(order, [0, 1, 3, 2, 4, 5]);
        assert!(queues.lock().queues.is_empty());
        assert_eq!(queues.waiting.get(), 0);
    }

    #[test]
    fn a_full_queue_refuses_the_newest_of_the_client_that_has_most() {
        let queues = queues(4);
        let mut greedy: Vec<Place> = (0..5).map(|_| enter(&queues, ALICE).expect("room")).collect();
        assert_eq!(enter(&queues, ALICE).err(), Some(RoundError::QueueFull { waiting: 4 }));
        let mut modest: Vec<Place> = (0..2).map(|_| enter(&queues, BOB).expect("room")).collect();
        assert!(enter(&queues, BOB).is_err(), "half of the places");
        let refused: Vec<bool> = greedy.iter_mut().map(|place| has_turn(place).is_err()).collect();
        assert_eq!(refused, [false, false, false, true, true]);
        assert!(modest.iter_mut().all(|place| has_turn(place) == Ok(false)));
        assert_eq!(queues.waiting.get(), 4);
    }

    #[test]
    fn a_client_that_leaves_gives_its_turn_away() {
        let queues = queues(4);
        let first = enter(&queues, ALICE).expect("room");
        let second = enter(&queues, ALICE).expect("room");
        let mut third = enter(&queues, BOB).expect("room");
        drop(second);
        assert_eq!(has_turn(&mut third), Ok(false));
        drop(first);
        assert_eq!(has_turn(&mut third), Ok(true));
        let mut other = queues.enter(&Target::Swarm, BOB).expect("room");
        assert_eq!(has_turn(&mut other), Ok(true), "each model has its own queue");
    }
}
