//! The table of reasons: the words by which conditions, Events and metrics say why.
//!
//! # Invariants
//! - A reason stands in this table and nowhere else. Other modules name the variant and compare no strings.
//! - `docs/conditions.md` is generated from this table: a reason cannot be left out of the page.

mod table;

use std::time::Duration;

use super::ConditionType;
pub(crate) use table::Reason;

/// The kind of news that a reason brings, which is also its section of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The condition holds.
    Holds,
    /// A step is under way, and nothing is to be done.
    Progress,
    /// The condition does not hold, and a person has to do something.
    Fails,
    /// The API server, or something else that the operator needs, refused.
    Refused,
    /// The reason is that of an Event, and of no condition.
    Event,
    /// No user is told. The reason is a label of metrics.
    Unsaid,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) types: &'static [ConditionType],
    /// Seconds until the next attempt. `None`: the next resync.
    pub(super) retry: Option<u64>,
    /// The meaning, in the page's words, line by line.
    #[cfg(test)]
    pub(super) meaning: &'static [&'static str],
    /// The action of a person, in the page's words.
    #[cfg(test)]
    pub(super) action: Option<&'static str>,
}

/// Makes the enum and its rows of the table.
macro_rules! reasons {
    ($(
        $(#[doc = $meaning:literal])+
        $name:ident: $kind:ident [$($type:ident),*] $(retry $retry:literal)? $(=> $action:literal)?;
    )+) => {
        /// The reason of a condition, an Event or an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Reason {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the page.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            pub(in crate::controller::condition) const fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        name: stringify!($name),
                        kind: Kind::$kind,
                        types: &[$(ConditionType::$type),*],
                        retry: first(&[$($retry)?]),
                        #[cfg(test)]
                        meaning: &[$($meaning),+],
                        #[cfg(test)]
                        action: text(&[$($action)?]),
                    },)+
                }
            }
        }
    };
}

use reasons;

const fn first(seconds: &[u64]) -> Option<u64> {
    match seconds {
        [seconds] => Some(*seconds),
        _ => None,
    }
}

#[cfg(test)]
const fn text(action: &[&'static str]) -> Option<&'static str> {
    match action {
        [action] => Some(*action),
        _ => None,
    }
}

impl Reason {
    /// The reason as it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Finds the reason that is written so.
    pub(crate) fn parse(written: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == written)
    }

    /// The condition that has this reason: the most important one, if there are several.
    pub(crate) fn condition(self) -> ConditionType {
        self.row().types.first().copied().unwrap_or(ConditionType::Ready)
    }

    /// Returns true if a condition with this reason holds.
    pub(crate) fn holds(self) -> bool {
        self.row().kind == Kind::Holds
    }

    /// Returns true if a step is under way, and nothing is to be done.
    pub(crate) fn is_progress(self) -> bool {
        self.row().kind == Kind::Progress
    }

    /// Returns true if the message has the words of the API server, which may differ each time.
    pub(crate) fn is_refusal_of_api_server(self) -> bool {
        self.row().kind == Kind::Refused
    }

    /// Returns true if another SocketIoCluster has what this one asks for.
    pub(crate) fn is_about_another_cluster(self) -> bool {
        matches!(self, Self::Conflicted | Self::ServiceTaken | Self::IngressTaken)
    }

    /// Time until the next attempt. `None`: the next resync.
    pub(crate) fn retry(self) -> Option<Duration> {
        self.row().retry.map(Duration::from_secs)
    }
}
