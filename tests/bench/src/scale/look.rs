//! What a sidecar holds at one moment.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::procfs::memory;
use crate::subject::Process;
use crate::subject::ours::Pod;

/// Memory in bytes, and its connections to and from other sidecars.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Look {
    /// Resident memory.
    pub resident: u64,
    /// Memory of its own.
    pub private: u64,
    /// Idle connections that it keeps to owners.
    pub to_owners: f64,
    /// Connections that others keep to it.
    pub from_others: f64,
}

impl Look {
    /// At this sidecar, which tells of its connections with a delay of a second.
    pub(super) fn at(pod: Pod, process: &Process) -> Result<Self> {
        let metrics = Metrics::read(pod.admin())?;
        let memory = memory(process.pid())?;
        Ok(Self {
            resident: memory.resident,
            private: memory.private,
            to_owners: metrics.sum("idle_connections", &["to=\"owner\""]),
            from_others: metrics.sum("connections_open", &["from=\"peer\""]),
        })
    }

    /// All connections with other sidecars.
    pub(crate) fn connections(&self) -> f64 {
        self.to_owners + self.from_others
    }

    /// What each connection takes that there are more of than at `before`; none if there are none.
    pub(crate) fn each_since(&self, before: &Self) -> Option<f64> {
        let more = self.connections() - before.connections();
        (more > 0.0).then(|| (self.private as f64 - before.private as f64) / more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_divided_among_the_connections_that_are_new() {
        let look = |private, to_owners, from_others| Look { resident: 0, private, to_owners, from_others };
        let before = look(1_000_000, 1.0, 0.0);
        assert_eq!(look(1_050_000, 3.0, 3.0).each_since(&before), Some(10_000.0));
        assert_eq!(look(1_050_000, 1.0, 0.0).each_since(&before), None);
    }
}
