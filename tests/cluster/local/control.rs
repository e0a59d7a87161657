//! Telling process 1 of the node what to do: one line over a Unix socket, one line back.
//!
//! `start NAME` and `stop NAME` are answered by `ok` or by what is wrong. A stop is answered
//! when the program has ended, a start when it runs (which does not mean that it is ready).

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::state::StateDir;

/// The answer to a request that was carried out.
pub(crate) const OK: &str = "ok";
/// The socket's name in the state directory.
pub(crate) const SOCKET: &str = "control.sock";

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Has the node carry out `request`.
pub(crate) async fn ask(state: &StateDir, request: &str) -> Result<()> {
    let answer = timeout(ANSWER_WITHIN, exchange(state, request))
        .await
        .with_context(|| format!("The node does not answer {request:?}"))??;
    match answer.trim() {
        OK => Ok(()),
        "" => bail!("the node ended while it was asked to {request}"),
        wrong => bail!("{wrong}"),
    }
}

async fn exchange(state: &StateDir, request: &str) -> Result<String> {
    let mut stream = UnixStream::connect(state.join(SOCKET)).await.context("The node cannot be reached")?;
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
