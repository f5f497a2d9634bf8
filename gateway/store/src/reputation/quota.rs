//! New rows for each address: keys cost nothing, so one address with many keys gets only so many rows a day.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use tokio::time::Instant;

/// New rows for one address in a day: as many as it may have links at the same time. Some 2 MB.
const ROWS_MAX: u32 = 128;

/// After so long the count of an address starts again.
const PERIOD: Duration = Duration::from_secs(86_400);

/// Addresses that are counted at most.
const ADDRESSES_MAX: usize = 4_096;

/// The rows that each address has got lately.
#[derive(Debug, Default)]
pub(super) struct NewRows(BTreeMap<IpAddr, (Instant, u32)>);

impl NewRows {
    /// Whether an address may have one more row, which is then counted. Without addresses there is no
    /// bound.
    pub(super) fn take(&mut self, address: Option<IpAddr>, now: Instant) -> bool {
        let Some(address) = address else { return true };
        if !self.0.contains_key(&address) && self.0.len() >= ADDRESSES_MAX {
            self.0.retain(|_, (start, _)| now.saturating_duration_since(*start) < PERIOD);
            if self.0.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let (start, rows) = self.0.entry(address).or_insert((now, 0));
        if now.saturating_duration_since(*start) >= PERIOD {
            (*start, *rows) = (now, 0);
        }
        *rows = rows.saturating_add(1);
        *rows <= ROWS_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(n).into())
    }

    #[test]
    fn one_address_gets_so_many_rows_a_day() {
        let (mut rows, now) = (NewRows::default(), Instant::now());
        assert!((0..ROWS_MAX).all(|_| rows.take(address(1), now)));
        assert!(!rows.take(address(1), now) && rows.take(address(2), now) && rows.take(None, now));
        assert!(rows.take(address(1), now + PERIOD), "a new day");
    }

    #[test]
    fn the_count_of_addresses_is_bounded() {
        let (mut rows, now) = (NewRows::default(), Instant::now());
        assert!((0..5_000).filter(|n| rows.take(address(*n), now)).count() == ADDRESSES_MAX);
        assert!(rows.take(address(9_999), now + PERIOD));
    }
}
