//! Who comes next: requests take turns, whatever the number of sequences that each of them needs.

use std::collections::VecDeque;

/// Sequences that wait, by the ask that they belong to. Its bound is kept by who lets requests in.
#[derive(Debug)]
pub(super) struct Queue<K, T> {
    requests: VecDeque<(K, VecDeque<T>)>,
}

/// What becomes of the first sequence of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It comes in.
    Admit,
    /// It waits for something; others may pass.
    Pass,
    /// There is no room for it, nor for anybody before it had its turn.
    Stop,
}

impl<K: Copy + PartialEq, T> Queue<K, T> {
    pub(super) fn new() -> Self {
        Self { requests: VecDeque::new() }
    }

    /// An ask with its sequences comes last.
    pub(super) fn push(&mut self, ask: K, sequences: impl IntoIterator<Item = T>) {
        self.requests.push_back((ask, sequences.into_iter().collect()));
    }

    /// A sequence that had to give way comes first.
    pub(super) fn push_front(&mut self, ask: K, sequence: T) {
        let waiting = self.requests.iter().position(|(key, _)| *key == ask);
        let mut sequences =
            waiting.and_then(|at| self.requests.remove(at)).map_or_else(VecDeque::new, |(_, s)| s);
        sequences.push_front(sequence);
        self.requests.push_front((ask, sequences));
    }

    /// The next sequence that may come in; its ask goes to the end of the line.
    pub(super) fn next(&mut self, mut decide: impl FnMut(&T) -> Decision) -> Option<T> {
        for at in 0..self.requests.len() {
            let first = self.requests.get(at).and_then(|(_, sequences)| sequences.front())?;
            match decide(first) {
                Decision::Stop => return None,
                Decision::Pass => {}
                Decision::Admit => {
                    let (ask, mut sequences) = self.requests.remove(at)?;
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

    /// Nobody waits for this ask any more; its sequences.
    pub(super) fn remove(&mut self, ask: K) -> Vec<T> {
        let at = self.requests.iter().position(|(key, _)| *key == ask);
        let found = at.and_then(|at| self.requests.remove(at));
        found.map(|(_, sequences)| sequences.into()).unwrap_or_default()
    }

    /// Sequences that wait.
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
        let pass = |n: &u32| if *n == 1 { Decision::Pass } else { Decision::Admit };
        assert_eq!(queue.next(pass), Some(2));
        queue.push('b', [2]);
        let stop = |n: &u32| if *n == 1 { Decision::Stop } else { Decision::Admit };
        assert_eq!(queue.next(stop), None);
        assert_eq!(queue.remove('a'), [1]);
        assert_eq!(order(&mut queue), [2]);
        assert!(queue.remove('a').is_empty());
    }
}
