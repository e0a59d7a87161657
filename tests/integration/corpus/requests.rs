//! The requests of the corpus, sent to the real sidecar with Node behind it.
//!
//! | check | holds where |
//! | --- | --- |
//! | `refused 400` | the sidecar answers with this status and closes, and Node has seen no message; with `midway`, Node may have seen the beginning of one |
//! | `cut` | the client ended midway: it gets no answer or a refusal, and Node has seen no whole message |
//! | `sees METHOD TARGET` | Node has seen this message whole; several in this order |
//! | `with NAME: VALUE`, `without NAME`, `body BYTES` | the message just named has exactly one such field, no such field, this body; without `body` it is empty |
//! | `gets STATUS`, `interim STATUS` | its answer has this status, 200 by default, after such interim ones |
//! | `closes` | the client's connection ends behind the last answer; otherwise it lives on, and a marker request is answered as itself |
//! | `early STATUS` | the application answers before the message is whole: the client gets this, and its connection closes; Node may have seen the beginning only |
//! | `then 400` | what stands behind the last message is refused with this status, and the connection closes |
//! | `rejected 400` | Node refuses the message itself, with this status, and closes: it has seen none |
//! | `switches` | the last message is a WebSocket upgrade, and the bytes behind it come back |
//! | `local` | the case cannot be forwarded to another pod |
//! | `passes` | nothing more |
//!
//! In every case, each answer that the client gets is Node's own to that message, Node has seen nothing else,
//! no field and no trailer that concerns one hop, and has refused nothing.

use std::net::SocketAddr;

use serde_json::Value;

use super::conn::{Answer, Conn, latin1};
use super::format::{Case, encode};

/// A case's checks, understood.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) refused: Option<u16>,
    pub(super) midway: bool,
    pub(super) cut: bool,
    pub(super) messages: Vec<Message>,
    pub(super) closes: bool,
    pub(super) switches: bool,
    pub(super) local: bool,
    /// The status of an answer before the message is whole.
    early: Option<u16>,
    /// The status of the refusal of what stands behind the messages.
    then: Option<u16>,
    /// The status of Node's own refusal.
    pub(super) rejected: Option<u16>,
}

/// A message that Node must have seen.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) method: String,
    target: Vec<u8>,
    body: Vec<u8>,
    with: Vec<(String, String)>,
    without: Vec<String>,
    status: u16,
    interim: Vec<u16>,
}

impl Expected {
    /// Understands the checks of `case`; `names` are for the arguments.
    pub(super) fn of(case: &Case, names: &[(&str, &str)]) -> Result<Self, String> {
        let mut all = Self::default();
        for check in &case.checks {
            let argument = &check.argument;
            let status = |text: &str| text.parse().map_err(|_| format!("{text:?} is no status"));
            match check.word.as_str() {
                "passes" => {}
                "refused" => {
                    let (refused, midway) = argument.split_once(' ').unwrap_or((argument, ""));
                    all.refused = Some(status(refused)?);
                    all.midway = midway == "midway";
                }
                "cut" => (all.cut, all.midway) = (true, true),
                "closes" => all.closes = true,
                "early" => {
                    (all.early, all.closes, all.midway) = (Some(status(argument)?), true, true);
                }
                "then" => all.then = Some(status(argument)?),
                "rejected" => (all.rejected, all.closes) = (Some(status(argument)?), true),
                "switches" => all.switches = true,
                "local" => all.local = true,
                "sees" => {
                    let (method, target) = argument.split_once(' ').ok_or("a target is missing")?;
                    let (method, target) = (method.to_owned(), encode(target, names)?);
                    all.messages.push(Message { method, target, status: 200, ..Message::default() });
                }
                word => {
                    let message = all.messages.last_mut().ok_or("no `sees` before")?;
                    match word {
                        "body" => message.body = encode(argument, names)?,
                        "with" => {
                            let (name, value) = argument.split_once(':').ok_or("no field")?;
                            let value = latin1(&encode(value.trim(), names)?);
                            message.with.push((name.to_owned(), value));
                        }
                        "without" => message.without.push(argument.clone()),
                        "gets" => message.status = status(argument)?,
                        "interim" => message.interim.push(status(argument)?),
                        _ => return Err(format!("there is no check `{word}`")),
                    }
                }
            }
        }
        if all.refused.or(all.rejected).or(all.early).is_none() && !all.cut && all.messages.is_empty() {
            return Err("nothing is checked".to_owned());
        }
        Ok(all)
    }
}

/// Sends the bytes of `case` to `to`, and a marker request: `pipelined`, or behind the answers.
pub(super) async fn ask(
    case: &Case,
    expected: &Expected,
    to: SocketAddr,
    names: &[(&str, &str)],
    pipelined: bool,
) -> Result<Vec<Answer>, String> {
    let marker = encode("GET @&marker HTTP/1.1\\r\\nHost: marker\\r\\n\\r\\n", names)?;
    let marker = String::from_utf8(marker).map_err(|error| error.to_string())?;
    let mut conn = Conn::to(to).await?;
    let ends = expected.refused.or(expected.then).is_some() || expected.closes;
    let at_once = pipelined || ends || expected.switches;
    // Behind half a message, the marker would be a part of it.
    let is_half = expected.cut || expected.early.is_some();
    conn.play(&case.steps, names, if at_once && !is_half { &marker } else { "" }).await?;

    if let Some(status) = expected.refused {
        return refused(&mut conn, status).await.map(|()| Vec::new());
    }
    if expected.cut {
        let answer = conn.answer(false).await?;
        return match answer {
            Some(answer) if answer.status < 400 => Err(format!("the client got {answer:?}")),
            _ => Ok(Vec::new()),
        };
    }
    let mut answers = Vec::new();
    if let Some(status) = expected.rejected.or(expected.early) {
        let answer = conn.answer(false).await?.ok_or("no answer")?;
        if answer.status != status || answer.head.values("cache-control").next().is_some() {
            return Err(format!("the client got {answer:?}"));
        }
        answers.push(answer);
    }
    for message in &expected.messages {
        let answer = conn.answer(message.method == "HEAD").await?;
        let answer = answer.ok_or_else(|| format!("no answer, after {answers:?}"))?;
        let status = if expected.switches { 101 } else { message.status };
        if (answer.status, &answer.interim) != (status, &message.interim) || answer.cut {
            return Err(format!("the client got {answer:?}"));
        }
        answers.push(answer);
    }
    if expected.switches {
        let back = conn.exactly(marker.len()).await?;
        let is_same = back == marker.as_bytes();
        return if is_same { Ok(answers) } else { Err(format!("{:?} came back", latin1(&back))) };
    }
    let says_close = answers.last().is_some_and(|answer| answer.head.closes());
    if says_close != expected.closes {
        return Err(format!("does it close? {answers:?}"));
    }
    if expected.closes {
        let rest = conn.rest().await?;
        return if rest.is_empty() { Ok(answers) } else { Err(format!("behind it: {:?}", latin1(&rest))) };
    }
    if let Some(status) = expected.then {
        return refused(&mut conn, status).await.map(|()| answers);
    }
    if !at_once {
        conn.send(marker.as_bytes()).await;
    }
    let answer = conn.answer(false).await?.ok_or("no answer to the marker")?;
    if answer.status != 200 {
        return Err(format!("to the marker the client got {answer:?}"));
    }
    answers.push(answer);
    Ok(answers)
}

/// Reads the sidecar's refusal, behind which nothing comes.
async fn refused(conn: &mut Conn, status: u16) -> Result<(), String> {
    let answer = conn.answer(false).await?.ok_or("the connection ended without an answer")?;
    if answer.status != status || !answer.head.closes() {
        return Err(format!("the client got {answer:?}"));
    }
    let rest = conn.rest().await?;
    if rest.is_empty() { Ok(()) } else { Err(format!("behind the refusal came {:?}", latin1(&rest))) }
}

/// Compares what Node has seen of a case, in order, with what it must have seen and what the client got.
pub(super) fn compare(
    expected: &Expected,
    seen: &[&Value],
    answers: &[Answer],
    marker: &str,
) -> Result<(), String> {
    let (whole, begun): (Vec<&Value>, Vec<&Value>) =
        seen.iter().partition(|message| message["complete"] == true);
    if !begun.is_empty() && !expected.midway {
        return Err(format!("Node has seen the beginning of {begun:?}"));
    }
    if let (Some(_), [one]) = (expected.early, seen) {
        return answers.iter().try_for_each(|answer| is_answer_to(answer, one));
    }
    if expected.refused.or(expected.rejected).is_some() || expected.cut {
        return if whole.is_empty() { Ok(()) } else { Err(format!("Node has seen {whole:?}")) };
    }
    let markers = usize::from(!expected.closes && !expected.switches && expected.then.is_none());
    if whole.len() != expected.messages.len() + markers {
        return Err(format!("Node has seen {} messages: {whole:?}", whole.len()));
    }
    for (message, seen) in expected.messages.iter().zip(&whole) {
        message.compare(seen).map_err(|why| format!("{why} of {seen}"))?;
    }
    if let Some(last) = whole.get(expected.messages.len())
        && (last["target"] != marker || last["method"] != "GET" || last["body"] != "")
    {
        return Err(format!("the marker was read as {last}"));
    }
    answers.iter().zip(&whole).try_for_each(|(answer, seen)| is_answer_to(answer, seen))?;
    whole.iter().try_for_each(|seen| check_hop(seen).map_err(|why| format!("{why} of {seen}")))
}

/// Checks that `answer` is Node's own to this message.
fn is_answer_to(answer: &Answer, seen: &Value) -> Result<(), String> {
    let is_own = answer.head.values("x-message").eq([seen["id"].to_string()]);
    if is_own { Ok(()) } else { Err(format!("to {seen} the client got {answer:?}")) }
}

impl Message {
    fn compare(&self, seen: &Value) -> Result<(), String> {
        let parts =
            [("method", self.method.clone()), ("target", latin1(&self.target)), ("body", latin1(&self.body))];
        for (part, wanted) in parts {
            if seen[part] != wanted {
                return Err(format!("{part} is not {wanted:?}"));
            }
        }
        for (name, value) in &self.with {
            if values(seen, name) != [value.as_str()] {
                return Err(format!("{name} is not {value:?} alone"));
            }
        }
        match self.without.iter().find(|name| !values(seen, name).is_empty()) {
            Some(name) => Err(format!("there is a {name}")),
            None => Ok(()),
        }
    }
}

/// Checks that no field of one hop and no trailer has reached Node.
fn check_hop(seen: &Value) -> Result<(), String> {
    let switched = seen["switched"] == true;
    let dropped = [
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "http2-settings",
        "connection",
        "upgrade",
    ];
    let dropped = if switched { &dropped[..6] } else { &dropped[..] };
    if let Some(name) = dropped.iter().find(|name| !values(seen, name).is_empty()) {
        return Err(format!("there is a {name}"));
    }
    if seen["trailers"].as_array().is_none_or(|trailers| !trailers.is_empty()) {
        return Err("there are trailers".to_owned());
    }
    if values(seen, "x-forwarded-for").is_empty() {
        return Err("there is no X-Forwarded-For".to_owned());
    }
    Ok(())
}

/// All values of the fields of this name.
fn values<'s>(seen: &'s Value, name: &str) -> Vec<&'s str> {
    let fields = seen["fields"].as_array().into_iter().flatten();
    let named =
        fields.filter(|field| field[0].as_str().is_some_and(|field| field.eq_ignore_ascii_case(name)));
    named.filter_map(|field| field[1].as_str()).collect()
}
