//! The answers of the corpus, given by an application that sends them byte by byte, and read by a raw client and by
//! Node's.
//!
//! | check | holds where |
//! | --- | --- |
//! | `asks METHOD` | the request has this method, GET by default, and no body |
//! | `asking TEXT` | the request is this instead, with `@` for its target; only the raw client sends it |
//! | `refused 502` | the sidecar answers in place of the application |
//! | `gets STATUS` | the client gets an answer of this status, 200 by default |
//! | `interim STATUS` | an interim answer comes before it |
//! | `with NAME: VALUE`, `without NAME`, `body BYTES`, `trailer NAME: VALUE` | the answer has exactly one such field, no such field, this body (empty without it), this trailer and no other |
//! | `cut` | the client sees that the answer is not whole, or gets 502 where none of it has passed, or no final answer |
//! | `closes` | the client's connection ends behind the answer |
//! | `alone` | the case runs while no other does, because the application speaks out of turn |
//! | `passes` | nothing more |
//!
//! Behind each answer, the client asks for a marker, on the same connection or, where that ends, on another: the
//! answer must be the marker's own. So nothing that is left of an answer reaches another request.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use support::harness::{Process, node};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::conn::{Answer, Conn, Head, PAUSE, latin1};
use super::format::{Case, Step, encode};
use super::number_in;

/// A case's checks, understood.
#[derive(Debug, Default)]
pub(super) struct Expected {
    method: String,
    asking: Option<Vec<u8>>,
    refused: bool,
    status: u16,
    interim: Vec<u16>,
    with: Vec<(String, String)>,
    without: Vec<String>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    cut: bool,
    closes: bool,
    alone: bool,
}

fn has(case: &Case, word: &str) -> bool {
    case.checks.iter().any(|check| check.word == word)
}

/// True where no other case may run meanwhile.
pub(super) fn is_alone(case: &Case) -> bool {
    has(case, "alone")
}

/// True where only the raw client can ask.
pub(super) fn is_raw(case: &Case) -> bool {
    has(case, "asking") || is_alone(case)
}

impl Expected {
    /// Understands the checks of `case`; `names` are for the arguments.
    pub(super) fn of(case: &Case, names: &[(&str, &str)]) -> Result<Self, String> {
        let mut all = Self { method: "GET".to_owned(), status: 200, ..Self::default() };
        let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no status"));
        let field = |text: &str| {
            let (name, value) = text.split_once(':').ok_or("no field")?;
            Ok::<_, String>((name.to_owned(), latin1(&encode(value.trim(), names)?)))
        };
        for check in &case.checks {
            let argument = &check.argument;
            match check.word.as_str() {
                "passes" => {}
                "asks" => all.method.clone_from(argument),
                "asking" => all.asking = Some(encode(argument, names)?),
                "refused" => (all.refused, all.closes, all.status) = (true, true, number(argument)?),
                "gets" => all.status = number(argument)?,
                "interim" => all.interim.push(number(argument)?),
                "with" => all.with.push(field(argument)?),
                "without" => all.without.push(argument.clone()),
                "body" => all.body = encode(argument, names)?,
                "trailer" => all.trailers.push(field(argument)?),
                "cut" => (all.cut, all.closes) = (true, true),
                "closes" => all.closes = true,
                "alone" => all.alone = true,
                word => return Err(format!("there is no check `{word}`")),
            }
        }
        if let Some(asking) = &all.asking {
            all.method = latin1(asking).split(' ').next().unwrap_or_default().to_owned();
        }
        Ok(all)
    }

    fn compare(&self, answer: &Answer) -> Result<(), String> {
        if self.cut && matches!(answer.status, 0 | 502) {
            return Ok(());
        }
        if answer.status != self.status || answer.interim != self.interim {
            return Err(format!("the client got {answer:?}"));
        }
        if self.refused {
            let is_ours = answer.head.values("cache-control").eq(["no-store"]);
            return if is_ours { Ok(()) } else { Err(format!("this is no refusal: {answer:?}")) };
        }
        if answer.cut != self.cut {
            return Err(format!("is it whole? {answer:?}"));
        }
        if !self.cut && (answer.body != self.body || answer.trailers != self.trailers) {
            return Err(format!("the body or the trailers are not those expected: {answer:?}"));
        }
        for (name, value) in &self.with {
            if !answer.head.values(name).eq([value.as_str()]) {
                return Err(format!("{name} is not {value:?} alone in {answer:?}"));
            }
        }
        match self.without.iter().find(|name| answer.head.values(name).next().is_some()) {
            Some(name) => Err(format!("there is a {name} in {answer:?}")),
            None => Ok(()),
        }
    }

    /// Compares what Node's client says of an answer and of the marker behind it.
    pub(super) fn compare_with_node(&self, seen: &Value, word: &str) -> Result<(), String> {
        let fields = seen["fields"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let answer = Answer {
            interim: seen["interim"].as_array().into_iter().flatten().filter_map(as_status).collect(),
            status: as_status(&seen["status"]).unwrap_or_default(),
            head: Head {
                line: String::new(),
                fields: fields.map(|field| (text(&field[0]), text(&field[1]))).collect(),
            },
            body: text(&seen["body"]).chars().map(|char| char as u8).collect(),
            trailers: self.trailers.clone(),
            cut: seen["complete"] != true,
        };
        self.compare(&answer).map_err(|why| format!("{why}, of {seen}"))?;
        if !self.cut && !seen["error"].is_null() {
            return Err(format!("there was an error: {seen}"));
        }
        if seen["marker"] == format!("200 marker {word}") {
            Ok(())
        } else {
            Err(format!("the marker: {seen}"))
        }
    }
}

fn as_status(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|status| u16::try_from(status).ok())
}

/// The words of the cases whose steps the application has played.
pub(super) type Played = Arc<Mutex<HashSet<String>>>;

/// Asks as the raw client, and for the marker behind.
pub(super) async fn ask(
    expected: &Expected,
    to: SocketAddr,
    target: &str,
    word: &str,
    played: &Played,
) -> Result<(), String> {
    let mut conn = Conn::to(to).await?;
    let Expected { method, .. } = expected;
    let plain = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    conn.send(expected.asking.as_ref().unwrap_or(&plain)).await;
    let answer = match conn.answer(method == "HEAD").await? {
        Some(answer) => answer,
        None if expected.cut => Answer::default(),
        None => return Err("no answer".to_owned()),
    };
    expected.compare(&answer)?;
    let says_close = answer.head.closes();
    // Behind a refusal that was forwarded, the client's connection may live on.
    if says_close != expected.closes && !expected.cut && !expected.refused {
        return Err(format!("does it close? {answer:?}"));
    }
    if says_close || (expected.cut && answer.status != 502) {
        let rest = conn.rest().await?;
        // Behind half an answer, half a line may be left.
        if !rest.is_empty() && !expected.cut {
            return Err(format!("behind it: {:?}", latin1(&rest)));
        }
        conn = Conn::to(to).await?;
    }
    if expected.alone {
        while !lock(played).contains(word) {
            sleep(PAUSE).await;
        }
        // The sidecar's runtime hears of it in its next turn.
        sleep(PAUSE).await;
    }
    conn.send(format!("GET {target}&marker HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
    let marker = conn.answer(false).await?.ok_or("no answer to the marker")?;
    let is_own = marker.status == 200 && latin1(&marker.body) == format!("marker {word}");
    if is_own { Ok(()) } else { Err(format!("to the marker the client got {marker:?}")) }
}

/// Asks as Node's client, for these cases and targets, and returns what it says of each.
pub(super) async fn ask_with_node(
    cases: &[Case],
    to: SocketAddr,
    asked: &[(usize, String)],
) -> BTreeMap<usize, Value> {
    let questions = asked.iter().map(|(number, target)| {
        let method = cases[*number].checks.iter().find(|check| check.word == "asks");
        let method = method.map_or("GET", |check| &check.argument);
        let (host, marker) = (to.ip().to_string(), format!("{target}&marker"));
        json!({ "id": number, "host": host, "port": to.port(), "method": method, "target": target, "marker": marker })
    });
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), Value::Array(questions.collect()).to_string()).expect("it is ours");
    let mut asker = node::node("tests/integration/node/asker.js");
    let lines = Process::start("the asker", asker.arg(file.path())).output().await;
    let answers = lines.iter().map(|line| {
        let seen: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{lines:#?}"));
        (usize::try_from(seen["id"].as_u64().unwrap_or_default()).unwrap_or_default(), seen)
    });
    answers.collect()
}

/// Serves the answers of `cases`, each to the request that names it, until the test ends.
pub(super) async fn serve(at: SocketAddr, cases: Arc<Vec<Case>>) -> Played {
    let listener = TcpListener::bind(at).await.expect("the address is ours");
    let played = Played::default();
    let noted = played.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(Conn::new(stream), cases.clone(), noted.clone()));
        }
    });
    played
}

fn lock(played: &Played) -> MutexGuard<'_, HashSet<String>> {
    played.lock().expect("noting does not panic")
}

async fn answer(mut conn: Conn, cases: Arc<Vec<Case>>, played: Played) {
    while let Ok(Some(head)) = conn.head().await {
        let Some(number) = number_in(&head.line) else { return };
        let word = format!("case{number}x");
        if head.line.contains("&marker") {
            let body = format!("marker {word}");
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
                .await;
            continue;
        }
        // The numbers of both passes name the same cases.
        let Some(case) = cases.get(number % 10_000) else { return };
        let _ = conn.play(&case.steps, &[("case", word.as_str())], "").await;
        lock(&played).insert(word);
        if matches!(case.steps.last(), Some(Step::End)) {
            return;
        }
    }
}
