//! Which peers a gateway admits: the number of links, in all and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use super::Limits;

/// Why a peer got no link. A rejected peer does not disturb the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The gateway has its highest number of links.
    #[error("{address}: all {links} links are in use")]
    Full { address: IpAddr, links: usize },
    /// The address has its highest number of links.
    #[error("{address}: {links} links from this address already")]
    Crowded { address: IpAddr, links: usize },
    /// The gateway runs its highest number of handshakes.
    #[error("{address}: {handshakes} handshakes at the same time already")]
    Busy { address: IpAddr, handshakes: usize },
    /// The handshake failed.
    #[error("{address}: {message}")]
    Handshake { address: IpAddr, message: String },
}

impl Rejection {
    /// The name for metrics: one word of a closed set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Crowded { .. } => "crowded",
            Self::Busy { .. } => "busy",
            Self::Handshake { .. } => "handshake",
        }
    }
}

/// Counts the links of a gateway and holds them to its limits.
#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The right to one link. Dropping it gives the right to another peer.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, links: Mutex::default() }
    }

    /// A permit for a peer at `address`, or the limit that it would exceed.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Rejection> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if links.total >= self.limits.links {
            return Err(Rejection::Full { address, links: links.total });
        }
        let address = block(address);
        let count = links.by_address.entry(address).or_default();
        if *count >= self.limits.links_per_address {
            return Err(Rejection::Crowded { address, links: *count });
        }
        *count += 1;
        links.total += 1;
        Ok(Permit { admission: Arc::clone(self), address })
    }
}

impl Permit {
    /// The peer's address; of an IPv6 address, its /64 block.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut links = self.admission.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.total = links.total.saturating_sub(1);
        if let Some(count) = links.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                links.by_address.remove(&self.address);
            }
        }
    }
}

/// The addresses that one host can have: a single IPv4 address, or 2^64 IPv6 addresses.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
