//! `kubectl`, as it is found on `PATH`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::NAMESPACE;

/// Time between two checks of a condition.
const LOOK: Duration = Duration::from_millis(250);

/// Calls `kubectl` in [`NAMESPACE`].
#[derive(Debug)]
pub struct Kubectl;

impl Kubectl {
    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// What it said on standard error, with the arguments.
    pub fn run(args: &[&str]) -> Result<String> {
        Self::run_with(args, None)
    }

    /// Runs it with `input` on standard input.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with(args: &[&str], input: Option<&str>) -> Result<String> {
        let mut child = Command::new("kubectl")
            .args(["--namespace", NAMESPACE, "--request-timeout=30s"])
            .args(args)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("kubectl cannot be started; run this inside `cluster run`, which puts it on PATH")?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it with `--output=json`.
    ///
    /// # Errors
    /// As [`Self::run`], or if it printed something else.
    pub fn json(args: &[&str]) -> Result<Value> {
        let args = [args, &["--output=json"]].concat();
        Ok(serde_json::from_str(&Self::run(&args)?)?)
    }

    /// Applies an object.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn apply(object: &Value) -> Result<()> {
        Self::run_with(&["apply", "--filename=-"], Some(&object.to_string())).map(drop)
    }
}

/// Looks at `condition` until it gives something.
///
/// # Errors
/// The condition's own, or that `what` did not come within `limit`.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = condition()? {
            return Ok(found);
        }
        if started.elapsed() > limit {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        std::thread::sleep(LOOK);
    }
}
