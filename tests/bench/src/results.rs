//! The results of a run, as they are kept in a file: what the report is made of, and nothing else.

use serde::{Deserialize, Serialize};

use crate::measure::Sample;
use crate::probe::memory::Footprint;
use crate::probe::syscalls::Calls;
use crate::probe::valgrind::Counted;
use crate::scale::WorldSample;
use crate::stats::Spread;
use crate::subject::Subject;
use crate::system::System;
use crate::system::measure::SystemSample;
use crate::work::{Cell, Loop, Work};

/// A whole run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// What it ran on.
    pub machine: String,
    /// When it began.
    pub date: String,
    /// Whether its rounds were short ones.
    pub quick: bool,
    /// Whether it is good for no conclusion.
    pub preliminary: bool,
    /// The load average when it began: what others did meanwhile.
    pub load_average: String,
    /// How many rounds there were.
    pub rounds: usize,
    /// How often each was measured in a round.
    #[serde(default = "once")]
    pub turns: usize,
    /// How long each measurement counted, in seconds.
    pub counted: f64,
    /// For how long the clients of a system talked, in seconds.
    #[serde(default)]
    pub talk: f64,
    /// What ran: subject, version, and where it is from.
    pub programs: Vec<(String, String, String)>,
    /// What was not measured, and why.
    pub missing: Vec<String>,
    /// The rates of the open loops, by cell.
    pub rates: Vec<(String, u32)>,
    /// The measurements, by cell and subject; one for each round.
    pub series: Vec<Series>,
    /// Whole systems, by name; one for each round.
    #[serde(default)]
    pub systems: Vec<SystemSeries>,
    /// A sidecar among so many, by the world's name.
    #[serde(default)]
    pub scale: Vec<(String, WorldSample)>,
    /// Memory, by subject; one for each time that it was looked at.
    pub memory: Vec<(String, Vec<Footprint>)>,
    /// System calls, by subject and work.
    pub calls: Vec<(String, String, Calls)>,
    /// Instructions and allocations, by subject and work.
    pub counted_by_valgrind: Vec<(String, String, Counted)>,
}

fn once() -> usize {
    1
}

/// The rounds of one cell and subject.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    pub cell: String,
    pub subject: String,
    /// One for each round, where there is one.
    pub samples: Vec<Option<Sample>>,
    /// Why the last one is missing that is.
    pub failure: Option<String>,
}

/// The rounds of one system.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SystemSeries {
    pub system: String,
    /// One for each round, where there is one.
    pub samples: Vec<Option<SystemSample>>,
    /// Why the last one is missing that is.
    pub failure: Option<String>,
}

impl Results {
    /// Adds what a round has brought of a system.
    pub(crate) fn add_system(&mut self, system: System, sample: Result<SystemSample, String>) {
        let at = self.systems.iter().position(|series| series.system == system.id());
        let at = at.unwrap_or_else(|| {
            let system = system.id().to_owned();
            self.systems.push(SystemSeries { system, samples: Vec::new(), failure: None });
            self.systems.len() - 1
        });
        if let Some(series) = self.systems.get_mut(at) {
            series.failure = sample.as_ref().err().cloned().or(series.failure.take());
            series.samples.push(sample.ok());
        }
    }

    /// The series of this system.
    pub(crate) fn system(&self, system: System) -> Option<&SystemSeries> {
        self.systems.iter().find(|series| series.system == system.id())
    }

    /// What `value` makes of each round of this system.
    pub(crate) fn of_system(
        &self,
        system: System,
        value: impl Fn(&SystemSample) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let samples = self.system(system).map(|series| series.samples.as_slice()).unwrap_or_default();
        samples.iter().map(|sample| sample.as_ref().and_then(&value)).collect()
    }

    /// Adds what a round has brought.
    pub(crate) fn add(&mut self, cell: Cell, subject: Subject, sample: Result<Sample, String>) {
        let (cell, subject) = (cell.id(), subject.id());
        let at = self.series.iter().position(|series| series.cell == cell && series.subject == subject);
        let at = at.unwrap_or_else(|| {
            let (cell, subject) = (cell, subject.to_owned());
            self.series.push(Series { cell, subject, samples: Vec::new(), failure: None });
            self.series.len() - 1
        });
        if let Some(series) = self.series.get_mut(at) {
            match sample {
                Ok(sample) => series.samples.push(Some(sample)),
                Err(failure) => {
                    series.samples.push(None);
                    series.failure = Some(failure);
                }
            }
        }
    }

    /// The series of this cell and subject.
    pub(crate) fn series(&self, cell: Cell, subject: Subject) -> Option<&Series> {
        let id = cell.id();
        self.series.iter().find(|series| series.cell == id && series.subject == subject.id())
    }

    /// What `value` makes of each round of this cell and subject.
    pub(crate) fn values(
        &self,
        work: Work,
        offered: Loop,
        subject: Subject,
        value: impl Fn(&Sample) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let series = self.series(Cell { work, offered }, subject);
        let samples = series.map(|series| series.samples.as_slice()).unwrap_or_default();
        samples.iter().map(|sample| sample.as_ref().and_then(&value)).collect()
    }

    /// CPU microseconds for each answer.
    pub(crate) fn cpu(&self, work: Work, offered: Loop, subject: Subject) -> Vec<Option<f64>> {
        self.values(work, offered, subject, |sample| sample.cpu_us)
    }

    /// Answers a second, where that is the subject's capacity.
    pub(crate) fn capacity(&self, work: Work, subject: Subject) -> Vec<Option<f64>> {
        self.values(work, Loop::Closed, subject, Sample::counts)
    }

    /// What `latency` picks, less the same of the round without a proxy.
    pub(crate) fn added(
        &self,
        work: Work,
        subject: Subject,
        latency: impl Fn(&Sample) -> Option<f64> + Copy,
    ) -> Vec<Option<f64>> {
        let own = self.values(work, Loop::Open, subject, latency);
        let direct = self.values(work, Loop::Open, Subject::Direct, latency);
        own.iter().zip(&direct).map(|(own, direct)| Some((*own)? - (*direct)?)).collect()
    }

    /// The subject's memory at rest, and for each idle WebSocket when there are most.
    pub(crate) fn footprint(&self, subject: Subject) -> (Option<Spread>, Vec<(usize, Spread)>) {
        let looks = self.memory.iter().find(|(id, _)| id == subject.id()).map(|(_, looks)| looks.as_slice());
        let looks = looks.unwrap_or_default();
        let resting = Spread::of(looks.iter().map(|look| look.resting as f64));
        let counts = looks.first().map(|look| look.idle.iter().map(|(count, _)| *count).collect());
        let counts: Vec<usize> = counts.unwrap_or_default();
        let idle = counts.into_iter().filter_map(|count| {
            let each = looks.iter().flat_map(|look| &look.idle).filter(|(of, _)| *of == count);
            Some((count, Spread::of(each.map(|(_, bytes)| *bytes))?))
        });
        (resting, idle.collect())
    }
}
