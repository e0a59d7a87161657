//! The table of steps: what each asks for, how long it takes, and what is said of it. Pure.

use crate::controller::condition::Reason;
use crate::crd::v1alpha1::{Mode, SocketIoClusterSpec, Step};

/// The wait after a new configuration was written.
pub(super) const PODS_FOLLOW: &str =
    "every pod to apply the newest configuration, which kubelet brings within two minutes";

/// Orders to the sidecars about sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// The order before stays; the first order is to give out no tags.
    AsBefore,
    /// The mode of the spec holds.
    AsSpecified,
    /// To give out no tags.
    Untagged,
    /// To close what there is over `drain.windowSeconds`.
    Close,
}

/// Target of the client Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// To the application, as without us.
    Application,
    /// To the sidecars of the pods that have them.
    Sidecars,
}

/// The time that a step takes where nothing fails and nobody lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// The step ends as soon as everybody has followed.
    Nothing,
    /// [`SETTLE`](super::SETTLE).
    Settle,
    /// `drain.deadlineSeconds`.
    Deadline,
    /// `drain.windowSeconds`.
    Window,
}

/// A row of the table.
pub(super) struct Row {
    /// The sidecar is in the pod template.
    keeps_sidecar: bool,
    /// The target of the client Service.
    route: Route,
    /// The orders to the sidecars about sessions.
    sessions: Sessions,
    /// The time that the step takes.
    pub(super) takes: Takes,
    /// The reason of Ready while the step is under way.
    reason: Reason,
    /// The sentence after "waits for" when the step begins.
    pub(super) begins_with: &'static str,
}

impl Step {
    /// Returns true if the sidecar is in the pod template.
    pub(crate) fn keeps_sidecar(self) -> bool {
        self.row().keeps_sidecar
    }

    /// The target of the client Service.
    pub(crate) fn route(self) -> Route {
        self.row().route
    }

    /// The orders to the sidecars about sessions.
    pub(crate) fn sessions(self) -> Sessions {
        self.row().sessions
    }

    /// The reason of Ready while the step is under way.
    pub(crate) fn reason(self) -> Reason {
        self.row().reason
    }

    /// The row of the step.
    pub(super) fn row(self) -> Row {
        use Route::{Application, Sidecars};
        use Sessions::{AsBefore, AsSpecified, Close, Untagged};
        use Takes::{Deadline, Nothing, Settle, Window};

        #[rustfmt::skip]
        let (keeps_sidecar, route, sessions, takes, reason, begins_with) = match self {
            Self::Injecting => (true, Application, Untagged, Nothing, Reason::Injecting,
                "pods with the sidecar"),
            Self::Settling => (true, Sidecars, AsBefore, Settle, Reason::Settling,
                "the Service's new endpoints to be known everywhere"),
            Self::Programmed => (true, Sidecars, AsSpecified, Nothing, Reason::Applying,
                PODS_FOLLOW),
            Self::Untagging => (true, Sidecars, Untagged, Nothing, Reason::Untagging,
                "every pod to stop tagging new sessions"),
            Self::Draining => (true, Sidecars, Untagged, Deadline, Reason::Draining,
                "sessions that are known by their tag"),
            Self::Closing => (true, Sidecars, Close, Nothing, Reason::Closing,
                "every pod to begin closing sessions"),
            Self::Emptying => (true, Sidecars, Close, Window, Reason::Emptying,
                "the sessions that are left to be closed, one after the other"),
            Self::RoutingBack => (true, Application, Close, Settle, Reason::RoutingBack,
                "the Service's old endpoints to be known everywhere"),
            Self::Uninjecting => (false, Application, Close, Nothing, Reason::Uninjecting,
                "pods without the sidecar"),
        };
        Row { keeps_sidecar, route, sessions, takes, reason, begins_with }
    }
}

impl Sessions {
    /// The mode that the sidecars are told, and over how many seconds they close sessions.
    pub(crate) fn told(self, spec: &SocketIoClusterSpec, before: Option<Mode>) -> (Mode, Option<u32>) {
        match self {
            Self::AsBefore => (before.unwrap_or(Mode::Off), None),
            Self::AsSpecified => (spec.mode, None),
            Self::Untagged => (Mode::Off, None),
            Self::Close => (Mode::Off, Some(spec.drain.window_seconds)),
        }
    }
}
