//! Whom a model's name belongs to. A name is free to state, so requests by name go to the first member that
//! serves it and has shown something, and to such members with the same weights or of the same operator.
//! Where no member of the name has shown anything, there is nothing to tell them apart by, and all are asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shoal_proto::NodeId;
use tokio::time::Instant;

/// How long a name waits for its owner, which may be restarting.
const ABSENCE_MAX: Duration = Duration::from_secs(600);

/// Names of absent owners at most: as many as a gateway has members.
const ABSENT_MAX: usize = 1_000;

/// A member that is here, as it describes itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server<'a> {
    pub(super) node: NodeId,
    /// The name of its model.
    pub(super) name: &'a str,
    pub(super) digest: &'a str,
    pub(super) operator: &'a str,
    /// It has shown that it can do something.
    pub(super) is_proven: bool,
}

/// The owners of the names that are served, or were lately.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Owner>);

#[derive(Debug)]
struct Owner {
    node: NodeId,
    digest: String,
    operator: String,
    last_seen: Instant,
}

impl Names {
    /// The members that may answer requests by their model's name. `servers` is in the order in which they
    /// came.
    pub(super) fn owners(&mut self, servers: &[Server<'_>], now: Instant) -> BTreeSet<NodeId> {
        let mut by_name: BTreeMap<&str, Vec<Server<'_>>> = BTreeMap::new();
        for server in servers {
            by_name.entry(server.name).or_default().push(*server);
        }
        let mut owners = BTreeSet::new();
        for (name, servers) in &by_name {
            let earlier = self.0.remove(*name).filter(|owner| owner.keeps_name(servers, now));
            let Some(owner) = earlier.or_else(|| Owner::first(servers, now)) else {
                owners.extend(servers.iter().map(|server| server.node));
                continue;
            };
            let owner = owner.see(servers, now);
            let its_servers = servers.iter().filter(|server| owner.is_served_by(server));
            owners.extend(its_servers.map(|server| server.node));
            self.0.insert((*name).to_owned(), owner);
        }
        self.forget(&by_name, now);
        owners
    }

    /// Forgets the names that nobody serves, unless their owner may come back.
    fn forget(&mut self, served: &BTreeMap<&str, Vec<Server<'_>>>, now: Instant) {
        self.0.retain(|name, owner| served.contains_key(name.as_str()) || owner.may_return(now));
        while self.0.len() > served.len() + ABSENT_MAX {
            let absent = self.0.iter().filter(|(name, _)| !served.contains_key(name.as_str()));
            let longest = absent.min_by_key(|(_, owner)| owner.last_seen);
            let Some(name) = longest.map(|(name, _)| name.clone()) else { break };
            self.0.remove(&name);
        }
    }
}

impl Owner {
    /// The first server that has shown something.
    fn first(servers: &[Server<'_>], now: Instant) -> Option<Self> {
        servers.iter().find(|server| server.is_proven).map(|server| Self {
            node: server.node,
            digest: server.digest.to_owned(),
            operator: server.operator.to_owned(),
            last_seen: now,
        })
    }

    /// Whether the server has the owner's key, weights or operator. Weights and operator are stated without
    /// proof, so they count for servers that have shown something themselves.
    fn is_served_by(&self, server: &Server<'_>) -> bool {
        let is_same = |own: &str, other: &str| !own.is_empty() && own == other;
        let is_alike =
            is_same(&self.digest, server.digest) || is_same(&self.operator, server.operator);
        self.node == server.node || (is_alike && server.is_proven)
    }

    fn keeps_name(&self, servers: &[Server<'_>], now: Instant) -> bool {
        servers.iter().any(|server| self.is_served_by(server)) || self.may_return(now)
    }

    fn see(mut self, servers: &[Server<'_>], now: Instant) -> Self {
        if servers.iter().any(|server| self.is_served_by(server)) {
            self.last_seen = now;
        }
        self
    }

    fn may_return(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_seen) <= ABSENCE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number, digest and operator of a member.
    type Member = (u8, &'static str, &'static str);

    fn owners(names: &mut Names, servers: &[(&Member, bool)], now: Instant) -> Vec<usize> {
        let list: Vec<Server<'_>> = servers
            .iter()
            .map(|((number, digest, operator), is_proven)| Server {
                node: NodeId([*number; 32]),
                name: "m",
                digest,
                operator,
                is_proven: *is_proven,
            })
            .collect();
        let owners = names.owners(&list, now);
        (0..servers.len()).filter(|at| owners.contains(&list[*at].node)).collect()
    }

    #[test]
    fn a_name_belongs_to_the_first_weights_or_operator_that_serve_it() {
        let (mut names, now) = (Names::default(), Instant::now());
        let (first, copy) = ((1, "aa", ""), (2, "bb", ""));
        let (same_weights, no_weights) = ((3, "aa", "x"), (4, "", ""));
        let servers = [(&first, true), (&copy, true), (&same_weights, true), (&no_weights, true)];
        assert_eq!(owners(&mut names, &servers, now), [0, 2]);
        // Borrowed weights need a record of their own.
        assert_eq!(owners(&mut names, &[(&first, true), (&same_weights, false)], now), [0]);
        let (upstream, twin) = ((5, "", "ada"), (6, "", "ada"));
        let mut names = Names::default();
        let servers = [(&upstream, true), (&copy, true), (&twin, true)];
        assert_eq!(owners(&mut names, &servers, now), [0, 2]);
    }

    #[test]
    fn who_has_shown_something_takes_the_name_from_who_has_not() {
        let (mut names, now) = (Names::default(), Instant::now());
        let (squatter, owner) = ((7, "aa", ""), (8, "bb", ""));
        assert_eq!(owners(&mut names, &[(&squatter, false)], now), [0]);
        let nobody_has = [(&squatter, false), (&owner, false)];
        assert_eq!(owners(&mut names, &nobody_has, now), [0, 1], "nothing tells them apart");
        assert_eq!(owners(&mut names, &[(&squatter, false), (&owner, true)], now), [1]);
    }

    #[test]
    fn a_name_waits_for_its_owner_for_a_while() {
        let (mut names, now) = (Names::default(), Instant::now());
        let (owner, squatter) = ((9, "aa", ""), (10, "bb", ""));
        assert_eq!(owners(&mut names, &[(&owner, true)], now), [0]);
        assert!(owners(&mut names, &[(&squatter, true)], now).is_empty());
        assert_eq!(owners(&mut names, &[(&squatter, true), (&owner, true)], now), [1]);
        let later = now + 2 * ABSENCE_MAX;
        assert_eq!(owners(&mut names, &[(&squatter, true)], later), [0]);
        assert!(owners(&mut names, &[], later).is_empty() && names.0.len() == 1);
        assert!(owners(&mut names, &[], later + 2 * ABSENCE_MAX).is_empty() && names.0.is_empty());
    }
}
