//! The conditions of a SocketIoCluster, and the findings about them. Pure, and on the ground floor: everything may
//! use it, and it uses nothing of the controller.

#[cfg(test)]
mod page;
mod reason;

pub(crate) use reason::Reason;

/// The types of condition, in the order of their importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ConditionType {
    /// The spec is valid, and no older object has the workload.
    Accepted,
    /// The objects that the spec names exist.
    ResolvedRefs,
    /// Every ready pod has the sidecar.
    SidecarInjected,
    /// Clients' traffic goes through the sidecars.
    TrafficRouted,
    /// The edge is configured as the spec asks.
    EdgeProgrammed,
    /// The kind of load balancer in front is known, so that clients cannot forge their address.
    ClientAddressKnown,
    /// The way in which events pass between pods is known.
    AdapterDeclared,
    /// The summary of all conditions that are needed.
    Ready,
}

impl ConditionType {
    /// The type as it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::SidecarInjected => "SidecarInjected",
            Self::TrafficRouted => "TrafficRouted",
            Self::EdgeProgrammed => "EdgeProgrammed",
            Self::ClientAddressKnown => "ClientAddressKnown",
            Self::AdapterDeclared => "AdapterDeclared",
            Self::Ready => "Ready",
        }
    }

    /// Returns true if traffic is not as the spec asks without this condition.
    fn is_needed(self) -> bool {
        !matches!(self, Self::AdapterDeclared | Self::ClientAddressKnown)
    }
}

/// The state of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The condition.
    pub(crate) condition: ConditionType,
    /// The reason of its state.
    pub(crate) reason: Reason,
    /// A sentence for a person.
    pub(crate) message: String,
}

impl Finding {
    /// A finding about the condition that has this reason.
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self::about(reason.condition(), reason, message)
    }

    /// A finding about `condition`, where several have this reason. The row of `reason` lists each of them.
    pub(crate) fn about(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        debug_assert!(reason.row().types.contains(&condition), "{reason:?} is no reason of {condition:?}");
        Self { condition, reason, message: message.into() }
    }

    /// The most important needed condition that does not hold.
    pub(crate) fn first_failure(findings: &[Self]) -> Option<&Self> {
        let failures =
            findings.iter().filter(|finding| !finding.reason.holds() && finding.condition.is_needed());
        failures.min_by_key(|finding| finding.condition)
    }
}

/// At most three names, and how many more there are.
pub(crate) fn list(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}
