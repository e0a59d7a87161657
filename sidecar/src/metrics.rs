//! What is counted, under `/metrics`. Never a sid, an address or an object's name: labels are words of
//! this file.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use socketio_sidecar_core::ownership::{Decision, Local};

use crate::proxy::Side;

/// All metrics of one sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    pub(crate) handshakes: IntCounter,
    pub(crate) tagged: IntCounter,
    pub(crate) would_have_failed: IntCounter,
    owner_gone: IntCounterVec,
    failures: IntCounterVec,
    malformed: IntCounterVec,
    pub(crate) retries: IntCounter,
    pub(crate) connections: IntGaugeVec,
    pub(crate) connection_waits: IntCounterVec,
    pub(crate) tunnels: IntGaugeVec,
    pub(crate) idle: IntGaugeVec,
    pub(crate) reloads: IntCounterVec,
    pub(crate) local_seconds: Histogram,
    pub(crate) forward_seconds: Histogram,
    pub(crate) owner_connect_seconds: Histogram,
}

/// Buckets for answers, of which a poll's may take as long as a pingInterval.
const ANSWER_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0];

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let name = |name: &str| format!("socketio_sidecar_{name}");
        let counter = |short: &str, help: &str| {
            let metric = IntCounter::with_opts(Opts::new(name(short), help))?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let counters = |short: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name(short), help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauges = |short: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name(short), help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let seconds = |short: &str, help: &str| {
            let metric =
                Histogram::with_opts(HistogramOpts::new(name(short), help).buckets(ANSWER_BUCKETS.into()))?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        Ok(Self {
            requests: counters(
                "requests_total",
                "Requests by the side they came from and what was decided.",
                &["from", "decision"],
            )?,
            handshakes: counter(
                "handshakes_total",
                "Polling handshakes of Engine.IO revision 4 sent to the application.",
            )?,
            tagged: counter("handshakes_tagged_total", "Handshakes whose answer was given an owner tag.")?,
            would_have_failed: counter(
                "would_have_failed_total",
                "In Observe: requests whose session the application did not know.",
            )?,
            owner_gone: counters(
                "owner_gone_total",
                "Requests whose owner could not be reached, by reason.",
                &["reason"],
            )?,
            failures: counters(
                "failures_total",
                "Requests that ended without a complete answer, by cause.",
                &["cause"],
            )?,
            malformed: counters(
                "malformed_total",
                "Messages refused for their HTTP syntax, by the side they came from.",
                &["from"],
            )?,
            retries: counter(
                "retries_total",
                "Requests sent again, on a new connection, of which nothing had been sent.",
            )?,
            connections: gauges(
                "connections_open",
                "Connections accepted and open, by the side they came from.",
                &["from"],
            )?,
            connection_waits: counters(
                "connection_limit_total",
                "Times that accepting waited because the limit of open connections was reached.",
                &["from"],
            )?,
            tunnels: gauges("tunnels_open", "WebSocket tunnels open, by where they lead.", &["to"])?,
            idle: gauges(
                "idle_connections",
                "Idle connections kept for the next request, by where they lead.",
                &["to"],
            )?,
            reloads: counters(
                "config_reloads_total",
                "Changes of the configuration directory, by what became of them.",
                &["result"],
            )?,
            local_seconds: seconds(
                "local_request_seconds",
                "From a request's head to the end of its answer, answered by the local application.",
            )?,
            forward_seconds: seconds(
                "forwarded_request_seconds",
                "From a request's head to the end of its answer, forwarded to its owner.",
            )?,
            owner_connect_seconds: seconds(
                "owner_connect_seconds",
                "Time to connect to an owner, TLS included, or to find it gone.",
            )?,
            registry,
        })
    }

    pub(crate) fn count_decision(&self, side: Side, decision: &Decision) {
        let label = match decision {
            Decision::Local(Local::Other) => "other",
            Decision::Local(Local::Handshake) => "handshake",
            Decision::Local(Local::UntaggableHandshake) => "untaggable_handshake",
            Decision::Local(Local::Owned(_)) => "owned",
            Decision::Local(Local::Untagged(_)) => "untagged",
            Decision::Forward(_) => "forward",
            Decision::Reject(_) => "reject",
        };
        self.requests.with_label_values(&[side.label(), label]).inc();
    }

    pub(crate) fn count_owner_gone(&self, reason: &'static str) {
        self.owner_gone.with_label_values(&[reason]).inc();
    }

    pub(crate) fn count_failure(&self, cause: &'static str) {
        self.failures.with_label_values(&[cause]).inc();
    }

    pub(crate) fn count_malformed(&self, from: &'static str) {
        self.malformed.with_label_values(&[from]).inc();
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to a Vec cannot fail, and what is registered can be encoded.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

/// Counts one thing in a gauge for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(IntGauge);

impl Counted {
    pub(crate) fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_own_name_and_the_prefix() {
        let metrics = Metrics::new().unwrap();
        metrics.count_decision(Side::Client, &Decision::Local(Local::Handshake));
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(
            text.contains("socketio_sidecar_requests_total{decision=\"handshake\",from=\"client\"} 1"),
            "{text}"
        );
        assert!(
            text.lines().all(|line| line.starts_with('#') || line.starts_with("socketio_sidecar_")),
            "{text}"
        );
    }
}
