//! The framing corpus: bytes with what must become of them, for the sidecar and Node together.
//!
//! The cases are text in `corpus/requests` and `corpus/answers`; [`format`] has the format, [`requests`] and
//! [`answers`] the checks. Each case runs twice: with the application beside the sidecar, and through a forward,
//! from a second sidecar to the owner of the session.
//!
//! # Invariants
//! - The two agree where each message ends: Node sees exactly the messages that a case names, reports no
//!   parse error, and each answer reaches the client that asked.
//! - Nothing that a case sends or an application answers reaches another connection. All cases of a pass run
//!   side by side over the same pooled connections, and each checks its own answers.

mod answers;
mod conn;
mod format;
mod requests;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use support::harness::{Config, Place, Process, Sidecar, ask, get, node, repository};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use format::{Case, read_directory};

/// Fewest cases that the corpus must have.
const MIN_CASES: usize = 1_200;

/// Most cases that run side by side.
const AT_ONCE: usize = 48;

/// The cases of one kind; where `CORPUS` is set, only those whose names hold it.
fn chosen(kind: &str) -> Arc<Vec<Case>> {
    let mut cases = read_directory(&directory(kind));
    if let Ok(part) = std::env::var("CORPUS") {
        cases.retain(|case| case.name.contains(&part));
    }
    Arc::new(cases)
}

fn directory(kind: &str) -> PathBuf {
    repository().join("tests/integration/corpus").join(kind)
}

/// A way to the application.
#[derive(Debug, Clone)]
struct Pass {
    name: &'static str,
    /// The sidecar that clients connect to.
    to: SocketAddr,
    /// Added to the number of each case, so that no two passes name a case alike.
    offset: usize,
    /// The cluster and the owner to tag sids for, where clients connect to another sidecar than the owner's.
    tag_for: Option<Arc<(Config, Place)>>,
}

impl Pass {
    /// The word that names a case, the target that the application sees, and the one to send.
    fn names(&self, number: usize) -> (String, String, String) {
        let word = format!("case{}x", self.offset + number);
        let seen = format!("/socket.io/?EIO=4&transport=polling&sid={word}");
        let sent = match self.tag_for.as_deref() {
            Some((config, place)) => seen.replace(&word, &config.tagged(&word, &place.owner())),
            None => seen.clone(),
        };
        (word, seen, sent)
    }
}

/// The number of the case, in its pass, that `text` names.
fn number_in(text: &str) -> Option<usize> {
    let digits = text.split("case").skip(1).filter_map(|rest| rest.split_once('x'));
    digits.filter_map(|(digits, _)| digits.parse().ok()).next()
}

/// Two sidecars, with the application beside the first.
async fn two_sidecars() -> (Place, [Pass; 2], (Sidecar, Sidecar)) {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    // Every sidecar starts with this revision.
    let _ = config.change(|config| config["forwardedFor"] = json!("Append"));
    let sidecars = (Sidecar::start(&config, &owner).await, Sidecar::start(&config, &other).await);
    let tag_for = Some(Arc::new((config, owner.clone())));
    let local = Pass { name: "locally", to: owner.clients(), offset: 10_000, tag_for: None };
    let forward = Pass { name: "through a forward", to: other.clients(), offset: 20_000, tag_for };
    (owner, [local, forward], sidecars)
}

/// Runs `each` on so many numbers, side by side, and returns what each returned.
async fn side_by_side<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    numbers: impl IntoIterator<Item = usize>,
    each: impl Fn(usize) -> F,
) -> BTreeMap<usize, T> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for number in numbers {
        let (places, task) = (places.clone(), each(number));
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            (number, task.await)
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Fails with all of `failures`, or says how many cases have passed.
fn conclude(what: &str, cases: usize, failures: &[String]) {
    assert!(
        failures.is_empty(),
        "{} of {cases} {what} failed\n{}",
        failures.len(),
        failures[..failures.len().min(40)].join("\n")
    );
    println!("{cases} {what} passed, locally and through a forward");
}

#[test]
fn there_are_enough_cases_and_their_names_are_unique() {
    let cases = [directory("requests"), directory("answers")].map(|directory| read_directory(&directory));
    let mut names = HashSet::new();
    for case in cases.iter().flatten() {
        assert!(names.insert(&case.name), "{}: there is another {:?}", case.at, case.name);
    }
    println!("{} requests, {} answers", cases[0].len(), cases[1].len());
    assert!(names.len() >= MIN_CASES, "{} cases are too few", names.len());
}

#[tokio::test]
async fn node_and_the_sidecar_agree_where_each_request_ends() {
    let cases = chosen("requests");
    let (owner, passes, sidecars) = two_sidecars().await;
    let mut server = node::node("tests/integration/node/recorder.js");
    server.args(["--host", &owner.ip.to_string(), "--port", &owner.app().port().to_string()]);
    let mut server = Process::start("the recorder", &mut server);
    let ready: Value = serde_json::from_str(&server.line_with("{\"port\":").await).unwrap();
    let control = SocketAddr::new(owner.ip, u16::try_from(ready["control"].as_u64().unwrap()).unwrap());

    let mut failures = Vec::new();
    for pass in passes {
        failures.extend(requests_pass(&cases, &pass, control).await);
    }
    drop(sidecars);
    conclude("requests", cases.len(), &failures);
}

#[tokio::test]
async fn each_answer_ends_where_it_should_for_a_raw_client_and_for_node() {
    let cases = chosen("answers");
    let (owner, passes, sidecars) = two_sidecars().await;
    let played = answers::serve(owner.app(), cases.clone()).await;
    let mut failures = Vec::new();
    for pass in passes {
        failures.extend(answers_pass(&cases, &pass, &played).await);
    }
    drop(sidecars);
    conclude("answers", cases.len(), &failures);
}

async fn answers_pass(cases: &Arc<Vec<Case>>, pass: &Pass, played: &answers::Played) -> Vec<String> {
    let expected = |number: usize, word: &str, target: &str| {
        answers::Expected::of(&cases[number], &[("@", target), ("case", word)])
    };
    let mut raw = BTreeMap::new();
    // A case that disturbs the connection afterwards runs while no other uses it.
    for alone in [false, true] {
        let numbers = (0..cases.len()).filter(|number| answers::is_alone(&cases[*number]) == alone);
        let ask = |number: usize| {
            let (word, _, sent) = pass.names(number);
            let (expected, to, played) = (expected(number, &word, &sent), pass.to, played.clone());
            async move { answers::ask(&expected?, to, &sent, &word, &played).await }
        };
        if alone {
            for number in numbers {
                raw.insert(number, ask(number).await);
            }
        } else {
            raw.extend(side_by_side(numbers, ask).await);
        }
    }
    let asked = (0..cases.len()).filter(|number| !answers::is_raw(&cases[*number]));
    let asked: Vec<_> = asked.map(|number| (number, pass.names(number).2)).collect();
    let by_node = answers::ask_with_node(cases, pass.to, &asked).await;

    let mut failures = Vec::new();
    let mut fail = |number: usize, client: &str, why: &str| {
        let case = &cases[number];
        failures.push(format!("{}: {} ({}, {client}): {why}", case.at, case.name, pass.name));
    };
    for (number, outcome) in raw {
        if let Err(why) = outcome {
            fail(number, "raw", &why);
        }
    }
    for (number, _) in asked {
        let (word, _, sent) = pass.names(number);
        let compared = match by_node.get(&number) {
            None => Err("Node says nothing".to_owned()),
            Some(seen) => {
                expected(number, &word, &sent).and_then(|expected| expected.compare_with_node(seen, &word))
            }
        };
        if let Err(why) = compared {
            fail(number, "Node", &why);
        }
    }
    failures
}

async fn requests_pass(cases: &Arc<Vec<Case>>, pass: &Pass, control: SocketAddr) -> Vec<String> {
    let records =
        async || serde_json::from_str::<Value>(&ask(control, &get("/records")).await.text()).unwrap();
    let before = records().await;
    let [known_messages, known_errors] =
        ["messages", "errors"].map(|part| before[part].as_array().unwrap().len());
    let outcomes = side_by_side(0..cases.len(), |number| {
        let (cases, pass) = (cases.clone(), pass.clone());
        async move {
            let (word, seen, sent) = pass.names(number);
            let case = &cases[number];
            let expected = requests::Expected::of(case, &[("@", &seen), ("case", &word)])?;
            if expected.local && pass.tag_for.is_some() {
                return Ok(None);
            }
            let names = [("@", sent.as_str()), ("case", word.as_str())];
            let answers = requests::ask(case, &expected, pass.to, &names, pass.tag_for.is_none()).await?;
            Ok::<_, String>(Some((expected, answers, format!("{seen}&marker"))))
        }
    })
    .await;

    // The end of a connection takes a moment to reach Node.
    tokio::time::sleep(4 * conn::PAUSE).await;
    let recorded = records().await;
    let messages = recorded["messages"].as_array().unwrap();
    let mut failures = Vec::new();
    let mut by_case: BTreeMap<usize, Vec<&Value>> = BTreeMap::new();
    for message in &messages[known_messages..] {
        match number_in(&message.to_string()) {
            Some(number) => by_case.entry(number).or_default().push(message),
            None => failures.push(format!("{}: Node has seen what no case names: {message}", pass.name)),
        }
    }
    for (number, outcome) in &outcomes {
        let none = Vec::new();
        let seen = by_case.get(&(pass.offset + number)).unwrap_or(&none);
        let compared = match outcome {
            Ok(None) => Ok(()),
            Ok(Some((expected, answers, marker))) => requests::compare(expected, seen, answers, marker),
            Err(why) => Err(why.clone()),
        };
        if let Err(why) = compared {
            let case = &cases[*number];
            failures.push(format!("{}: {} ({}): {why}", case.at, case.name, pass.name));
        }
    }
    for error in recorded["errors"].as_array().unwrap().iter().skip(known_errors) {
        // A connection may end in the middle of a message: `compare` looks at messages that have only begun.
        let connection = &error["connection"];
        let last = messages.iter().rfind(|message| message["connection"] == *connection);
        let has_ended = error["code"] == "HPE_INVALID_EOF_STATE";
        let named =
            number_in(&error["packet"].to_string()).and_then(|number| number.checked_sub(pass.offset));
        let is_expected = named.and_then(|number| outcomes.get(&number)).is_some_and(
            |outcome| matches!(outcome, Ok(Some((expected, ..))) if expected.rejected.is_some()),
        );
        if is_expected || error["code"] == "ECONNRESET" {
            continue;
        }
        if !has_ended || last.is_none_or(|last| last["complete"] == true) {
            failures.push(format!("{}: Node refused {error}, after {last:?}", pass.name));
        }
    }
    failures
}
