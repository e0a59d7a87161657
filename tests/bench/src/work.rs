//! What the clients do: the kinds of work, and how each is offered.

use std::rc::Rc;

use crate::rig::clients::Script;
use crate::subject::Subject;
use crate::wire::text::{self, Size};
use crate::wire::{Bytes, frame};

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    PollSmall,
    PollMiddle,
    PostSmall,
    PostLarge,
    EchoSmall,
    EchoMiddle,
    EchoLarge,
    Handshake,
    Churn,
    SlowReaders,
}

/// How it is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loop {
    /// As much as the proxy bears.
    Closed,
    /// At half of what the reference bears, for latency.
    Open,
}

/// What is measured in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub work: Work,
    pub offered: Loop,
}

impl Cell {
    /// All, in the order in which a round goes through them.
    pub(crate) const ALL: [Self; 13] = {
        use Loop::{Closed, Open};
        const fn cell(work: Work, offered: Loop) -> Cell {
            Cell { work, offered }
        }
        [
            cell(Work::PollSmall, Closed),
            cell(Work::PollSmall, Open),
            cell(Work::PollMiddle, Closed),
            cell(Work::PostSmall, Closed),
            cell(Work::PostLarge, Closed),
            cell(Work::EchoSmall, Closed),
            cell(Work::EchoSmall, Open),
            cell(Work::EchoMiddle, Closed),
            cell(Work::EchoLarge, Closed),
            cell(Work::Handshake, Closed),
            cell(Work::Handshake, Open),
            cell(Work::Churn, Closed),
            cell(Work::SlowReaders, Open),
        ]
    };

    /// As it is named on the command line and in files.
    pub(crate) fn id(self) -> String {
        let offered = match self.offered {
            Loop::Closed => "closed",
            Loop::Open => "open",
        };
        format!("{}-{offered}", self.work.id())
    }

    /// Whether it says anything of this subject that another cell does not: Observe and Off differ from
    /// Enforce in how requests are routed, not in what moves bodies and frames.
    pub(crate) fn concerns(self, subject: Subject) -> bool {
        match subject {
            Subject::Observe | Subject::Off => {
                self.offered == Loop::Closed
                    && matches!(self.work, Work::PollSmall | Work::EchoSmall | Work::Handshake)
            }
            // Sessions are opened where they will live: nothing of a handshake is forwarded.
            Subject::Forwarded => self.work != Work::Handshake,
            _ => true,
        }
    }

    /// How many clients there are.
    pub(crate) fn clients(self) -> usize {
        match (self.work, self.offered) {
            (Work::PostLarge | Work::EchoLarge, _) => 4,
            (_, Loop::Closed) => 32,
            (_, Loop::Open) => 64,
        }
    }

    /// How many slow readers are beside them.
    pub(crate) fn slow_readers(self) -> usize {
        if self.work == Work::SlowReaders { self.clients() / 9 } else { 0 }
    }
}

impl Work {
    /// As it is named in files.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::PollSmall => "poll-43b",
            Self::PollMiddle => "poll-16k",
            Self::PostSmall => "post-1k",
            Self::PostLarge => "post-1m",
            Self::EchoSmall => "echo-64b",
            Self::EchoMiddle => "echo-4k",
            Self::EchoLarge => "echo-1m",
            Self::Handshake => "handshake",
            Self::Churn => "churn",
            Self::SlowReaders => "slow-readers",
        }
    }

    /// As readers see it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::PollSmall => "polling GET, 43 B",
            Self::PollMiddle => "polling GET, 16 KiB",
            Self::PostSmall => "POST 1 KiB",
            Self::PostLarge => "POST 1 MiB",
            Self::EchoSmall => "WebSocket echo, 64 B",
            Self::EchoMiddle => "WebSocket echo, 4 KiB",
            Self::EchoLarge => "WebSocket echo, 1 MiB",
            Self::Handshake => "handshake",
            Self::Churn => "GET on a new connection",
            Self::SlowReaders => "polling GET beside 10 % slow readers",
        }
    }

    /// What clients of these sessions send.
    pub(crate) fn script(self, host: &str, sids: &[String]) -> Script {
        let each = |bytes: &dyn Fn(&str) -> Bytes| sids.iter().map(|sid| bytes(sid)).collect::<Vec<_>>();
        let http = |messages| Script {
            upgrades: Vec::new(),
            messages,
            reconnect: self == Self::Churn,
            in_turn: false,
        };
        let echo = |length| Script {
            upgrades: each(&|sid| text::upgrade(host, sid)),
            messages: vec![Rc::from([frame::header(length, true), text::message(length)].concat())],
            reconnect: false,
            in_turn: false,
        };
        match self {
            Self::PollSmall | Self::Churn | Self::SlowReaders => {
                http(each(&|sid| text::poll(host, sid, Size::Small)))
            }
            Self::PollMiddle => http(each(&|sid| text::poll(host, sid, Size::Middle))),
            Self::PostSmall => http(each(&|sid| text::post(host, sid, 1024))),
            Self::PostLarge => http(each(&|sid| text::post(host, sid, 1024 * 1024))),
            Self::EchoSmall => echo(64),
            Self::EchoMiddle => echo(4096),
            Self::EchoLarge => echo(1024 * 1024),
            Self::Handshake => http(vec![text::handshake(host)]),
        }
    }

    /// Whose capacity the rate of an open loop is half of.
    pub(crate) fn paced_by(self) -> Self {
        if self == Self::SlowReaders { Self::PollSmall } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_names_of_their_own() {
        let mut ids: Vec<String> = Cell::ALL.iter().map(|cell| cell.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Cell::ALL.len());
    }

    #[test]
    fn every_open_loop_has_a_closed_one_that_paces_it() {
        for cell in Cell::ALL.iter().filter(|cell| cell.offered == Loop::Open) {
            assert!(Cell::ALL.contains(&Cell { work: cell.work.paced_by(), offered: Loop::Closed }));
        }
    }

    #[test]
    fn a_tenth_of_all_clients_reads_slowly() {
        let cell = Cell { work: Work::SlowReaders, offered: Loop::Open };
        let share = cell.slow_readers() as f64 / (cell.clients() + cell.slow_readers()) as f64;
        assert!((0.09..=0.11).contains(&share), "{share}");
    }
}
