//! What a sidecar counts, read from its admin port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// All of it, at one moment.
#[derive(Debug)]
pub(crate) struct Metrics(String);

impl Metrics {
    /// Of the sidecar with this admin port.
    pub(crate) fn read(admin: SocketAddr) -> Result<Self> {
        let ask = || -> std::io::Result<String> {
            let mut socket = TcpStream::connect_timeout(&admin, PATIENCE)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.write_all(
                format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").as_bytes(),
            )?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer)?;
            Ok(answer)
        };
        Ok(Self(ask().with_context(|| format!("the metrics of the sidecar at {admin} cannot be read"))?))
    }

    /// The sum of the samples named `socketio_sidecar_<name>` that have all of these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.0.lines().filter_map(|line| {
            let (sample, value) = line.strip_prefix("socketio_sidecar_")?.rsplit_once(' ')?;
            let (own_name, own_labels) = sample.split_once('{').unwrap_or((sample, ""));
            let counts = own_name == name && labels.iter().all(|label| own_labels.contains(label));
            counts.then(|| value.parse::<f64>().ok())?
        });
        samples.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_label() {
        let metrics = Metrics(
            "HTTP/1.1 200 OK\r\n\r\n# TYPE socketio_sidecar_requests_total counter\n\
             socketio_sidecar_requests_total{decision=\"forward\",from=\"client\"} 3\n\
             socketio_sidecar_requests_total{decision=\"local\",from=\"client\"} 2\n\
             socketio_sidecar_requests_total_other 9\n"
                .to_owned(),
        );
        let seen = [&[][..], &["\"forward\""], &["\"forward\"", "\"peer\""]]
            .map(|labels| metrics.sum("requests_total", labels));
        assert_eq!(seen, [5.0, 3.0, 0.0]);
    }
}
