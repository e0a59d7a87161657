//! What is done, of all that could be: by what the command line asks for.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::Cli;
use crate::measure::Times;
use crate::scale::World;
use crate::subject::Subject;
use crate::system::System;
use crate::work::Cell;

/// The names of the two parts that are beside the work of proxies.
const SYSTEMS: &str = "systems";
const SCALE: &str = "scale";

/// What is done.
#[derive(Debug)]
pub(super) struct Plan {
    /// The proxies, and none.
    pub subjects: Vec<Subject>,
    /// What is done to them. Empty if `subjects` is, and the other way round.
    pub cells: Vec<Cell>,
    /// Whole systems.
    pub systems: Vec<System>,
    /// The numbers of sidecars.
    pub worlds: Vec<World>,
    pub rounds: usize,
    pub times: Times,
    /// For how long the clients of a system talk.
    pub talk: Duration,
}

impl Plan {
    /// As the command line says.
    pub(super) fn new(cli: &Cli) -> Result<Self> {
        let (only, work) = (cli.only.as_slice(), cli.work.as_slice());
        let ids = Subject::ALL.iter().map(|subject| subject.id());
        let ids = ids.chain(System::ALL.iter().map(|it| it.id())).chain(World::ALL.iter().map(|it| it.id()));
        let ids: Vec<&str> = ids.collect();
        if let Some(unknown) = only.iter().find(|id| !ids.contains(&id.as_str())) {
            bail!("--only {unknown}: there is no such subject; these are: {}", ids.join(", "));
        }
        let works: Vec<String> =
            Cell::ALL.iter().map(|cell| cell.id()).chain([SYSTEMS.to_owned(), SCALE.to_owned()]).collect();
        if let Some(unknown) = work.iter().find(|part| !works.iter().any(|id| id.contains(part.as_str()))) {
            bail!("--work {unknown}: there is no such work; these are: {}", works.join(", "));
        }

        let wanted = |id: &str| only.is_empty() || only.iter().any(|one| one == id);
        let worked = |id: &str| work.is_empty() || work.iter().any(|part| id.contains(part.as_str()));
        let mut subjects = Subject::ALL.to_vec();
        subjects.retain(|subject| wanted(subject.id()));
        let mut cells = Cell::ALL.to_vec();
        cells.retain(|cell| worked(&cell.id()));
        if subjects.is_empty() || cells.is_empty() {
            subjects.clear();
            cells.clear();
        }
        let mut systems = System::ALL.to_vec();
        systems.retain(|system| worked(SYSTEMS) && wanted(system.id()));
        let mut worlds = World::ALL.to_vec();
        worlds.retain(|world| worked(SCALE) && wanted(world.id()));
        let (warm_up, counted, talk) = if cli.quick { (50, 100, 1000) } else { (200, 500, 4000) };
        let plan = Self {
            subjects,
            cells,
            systems,
            worlds,
            rounds: cli.rounds.map_or(if cli.quick { 2 } else { 5 }, usize::from),
            times: Times { warm_up: Duration::from_millis(warm_up), counted: Duration::from_millis(counted) },
            talk: Duration::from_millis(talk),
        };
        if plan.is_empty() {
            bail!(
                "--only {} does nothing of --work {}; leave one of them out",
                only.join(","),
                work.join(",")
            );
        }
        Ok(plan)
    }

    /// Whether nothing is done.
    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty() && self.systems.is_empty() && self.worlds.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn plan(arguments: &[&str]) -> Result<Plan> {
        Plan::new(&Cli::parse_from([&["bench"], arguments].concat()))
    }

    /// How many subjects, cells, systems and worlds there are.
    fn sizes(arguments: &[&str]) -> [usize; 4] {
        let plan = plan(arguments).unwrap();
        [plan.subjects.len(), plan.cells.len(), plan.systems.len(), plan.worlds.len()]
    }

    #[test]
    fn all_is_done_unless_something_is_asked_for() {
        assert_eq!(sizes(&[]), [8, 13, 3, 2]);
    }

    #[test]
    fn what_is_asked_for_is_done_alone() {
        assert_eq!(sizes(&["--work", "poll-43b"]), [8, 2, 0, 0]);
        assert_eq!(sizes(&["--work", "systems,scale"]), [0, 0, 3, 2]);
        assert_eq!(sizes(&["--only", "one-pod,round-robin"]), [0, 0, 2, 0]);
        assert_eq!(sizes(&["--only", "local,sidecars-3"]), [1, 13, 0, 1]);
        assert_eq!(sizes(&["--only", "local,one-pod", "--work", "echo,systems"]), [1, 4, 1, 0]);
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let error = |arguments: &[&str]| plan(arguments).unwrap_err().to_string();
        assert!(error(&["--only", "one-bot"]).contains("round-robin"));
        assert!(error(&["--work", "poll,walk"]).starts_with("--work walk: there is no such work"));
        assert!(error(&["--only", "local", "--work", "scale"]).contains("leave one of them out"));
    }
}
