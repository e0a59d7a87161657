//! Reasons for which no connection to a peer can be made.

use std::fmt;
use std::io;

/// Evidence that an owner's pod is gone, and its sessions are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnerGone {
    /// Nobody listens there.
    Refused,
    /// Nobody answers there, or there is no way to it.
    Unreachable,
    /// The pod stopped answering while connections to it were open.
    Vanished,
    /// Somebody else is there: another pod, another cluster, or no sidecar at all.
    Identity,
}

impl OwnerGone {
    /// Label in metrics and logs.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Vanished => "vanished",
            Self::Identity => "identity",
        }
    }
}

impl fmt::Display for OwnerGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// Reason for which there is no connection to a peer. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerFailure {
    #[error("the owner is gone: {0}")]
    Gone(OwnerGone),
    #[error("this sidecar cannot open another connection: {0}")]
    Own(io::Error),
    #[error("the owner is alive and cannot be reached: {0}")]
    Busy(io::Error),
}

/// State of a pod to which no connection could be made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lost {
    Gone(OwnerGone),
    Busy,
}

impl Lost {
    /// State of the pod after `failure`; `None` where the failure says nothing about the pod.
    pub(super) fn after(failure: &PeerFailure) -> Option<Self> {
        match failure {
            PeerFailure::Gone(gone) => Some(Self::Gone(*gone)),
            PeerFailure::Busy(_) => Some(Self::Busy),
            PeerFailure::Own(_) => None,
        }
    }

    /// Failure of a further request for the pod.
    pub(super) fn failure(self) -> PeerFailure {
        match self {
            Self::Gone(gone) => PeerFailure::Gone(gone),
            Self::Busy => PeerFailure::Busy(io::Error::new(
                io::ErrorKind::TimedOut,
                "another request has just tried in vain",
            )),
        }
    }
}
