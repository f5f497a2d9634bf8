//! The queue of sequences. Requests take turns, whatever the number of their sequences.

use std::collections::VecDeque;

/// Queued sequences, grouped by ask. [`super::Batch`] bounds the number of asks.
#[derive(Debug)]
pub(super) struct Queue<K, T> {
    requests: VecDeque<(K, VecDeque<T>)>,
}

/// What happens to the first sequence of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It starts.
    Admit,
    /// It waits; later sequences may start before it.
    Pass,
    /// There is no room: it waits, and so do all sequences behind it.
    Stop,
}

impl<K: Copy + PartialEq, T> Queue<K, T> {
    pub(super) fn new() -> Self {
        Self { requests: VecDeque::new() }
    }

    /// Adds an ask with its sequences at the end.
    pub(super) fn push(&mut self, ask: K, sequences: impl IntoIterator<Item = T>) {
        self.requests.push_back((ask, sequences.into_iter().collect()));
    }

    /// Adds a sequence that gave its pages up at the front.
    pub(super) fn push_front(&mut self, ask: K, sequence: T) {
        let mut sequences = self.remove(ask);
        sequences.push_front(sequence);
        self.requests.push_front((ask, sequences));
    }

    /// The next sequence that `decide` admits; its ask goes to the end of the queue.
    pub(super) fn next(&mut self, mut decide: impl FnMut(&T) -> Decision) -> Option<T> {
        for index in 0..self.requests.len() {
            let first = self.requests.get(index).and_then(|(_, sequences)| sequences.front())?;
            match decide(first) {
                Decision::Stop => return None,
                Decision::Pass => {}
                Decision::Admit => {
                    let (ask, mut sequences) = self.requests.remove(index)?;
                    let sequence = sequences.pop_front();
                    if !sequences.is_empty() {
                        self.requests.push_back((ask, sequences));
                    }
                    return sequence;
                }
            }
        }
        None
    }

    /// Removes an ask, and returns its queued sequences: none if it has none.
    pub(super) fn remove(&mut self, ask: K) -> VecDeque<T> {
        let index = self.requests.iter().position(|(key, _)| *key == ask);
        index.and_then(|index| self.requests.remove(index)).map_or_else(VecDeque::new, |(_, s)| s)
    }

    /// Queued sequences.
    pub(super) fn len(&self) -> usize {
        self.requests.iter().map(|(_, sequences)| sequences.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(queue: &mut Queue<char, u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.next(|_| Decision::Admit)).collect()
    }

    /// The decision on sequence 1; the rest is admitted.
    fn first(sequence: u32, decision: Decision) -> Decision {
        if sequence == 1 { decision } else { Decision::Admit }
    }

    #[test]
    fn an_ask_of_many_sequences_does_not_hold_up_the_others() {
        let mut queue = Queue::new();
        queue.push('a', [1, 2, 3]);
        queue.push('b', [10]);
        queue.push('c', [20, 21]);
        assert_eq!(queue.len(), 6);
        assert_eq!(order(&mut queue), [1, 10, 20, 2, 21, 3]);
    }

    #[test]
    fn who_had_to_give_way_comes_first() {
        let mut queue = Queue::new();
        queue.push('a', [1]);
        queue.push('b', [10, 11]);
        queue.push_front('b', 9);
        queue.push_front('c', 5);
        assert_eq!(order(&mut queue), [5, 9, 1, 10, 11]);
    }

    #[test]
    fn who_waits_is_passed_and_who_lacks_room_is_not() {
        let mut queue = Queue::new();
        queue.push('a', [1]);
        queue.push('b', [2]);
        assert_eq!(queue.next(|n| first(*n, Decision::Pass)), Some(2));
        queue.push('b', [2]);
        assert_eq!(queue.next(|n| first(*n, Decision::Stop)), None);
        assert_eq!(queue.remove('a'), [1]);
        assert_eq!(order(&mut queue), [2]);
        assert!(queue.remove('a').is_empty());
    }
}
