//! The metrics under `/metrics`. Labels are words of this file, never a sid, an address or an object's name.

use std::fmt::Write;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use socketio_sidecar_core::ownership::{Decision, Local};

use crate::origin::Side;

/// All metrics of one sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reference: String,
    from_clients: Decided,
    from_peers: Decided,
    handshakes: IntCounter,
    pub(crate) tagged: IntCounter,
    untagged: IntCounterVec,
    pub(crate) would_have_failed: IntCounter,
    owner_gone: IntCounterVec,
    failures: IntCounterVec,
    malformed: IntCounterVec,
    retries: IntCounterVec,
    pub(crate) buffered_bytes: IntGauge,
    pub(crate) buffered_ended: IntCounter,
    pub(crate) connections: IntGaugeVec,
    pub(crate) connection_waits: IntCounterVec,
    pub(crate) evicted: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) tunnels: IntGaugeVec,
    pub(crate) websockets: IntGaugeVec,
    pub(crate) tunnels_to_close: IntGauge,
    pub(crate) tunnels_closed: IntCounter,
    idle: IntGaugeVec,
    pub(crate) app_early_closes: IntCounter,
    pub(crate) app_reuse_answers: IntGauge,
    pub(crate) app_reuse_idle_seconds: Gauge,
    pub(crate) reloads: IntCounterVec,
    pub(crate) log_lines_left_out: IntCounter,
    pub(crate) certificate_days_left: IntGauge,
    pub(crate) local_seconds: Histogram,
    pub(crate) forward_seconds: Histogram,
    pub(crate) owner_connect_seconds: Histogram,
    pub(crate) owner_connects_ahead: IntCounter,
    pub(crate) peer_connections_lost: IntCounter,
}

/// The counters of one side's requests by what was decided, looked up once: every request counts. Those
/// of peers include some that stay 0, since nothing but an owned session is decided for a peer.
#[derive(Debug)]
struct Decided {
    other: IntCounter,
    handshake: IntCounter,
    untaggable_handshake: IntCounter,
    owned: IntCounter,
    closed: IntCounter,
    untagged: IntCounter,
    forward: IntCounter,
    reject: IntCounter,
}

impl Decided {
    fn new(requests: &IntCounterVec, side: Side) -> Self {
        let counter = |decision| requests.with_label_values(&[side.label(), decision]);
        Self {
            other: counter("other"),
            handshake: counter("handshake"),
            untaggable_handshake: counter("untaggable_handshake"),
            owned: counter("owned"),
            closed: counter("closed"),
            untagged: counter("untagged"),
            forward: counter("forward"),
            reject: counter("reject"),
        }
    }

    fn of(&self, decision: &Decision<'_>) -> &IntCounter {
        match decision {
            Decision::Local(Local::Other) => &self.other,
            Decision::Local(Local::Handshake) => &self.handshake,
            Decision::Local(Local::UntaggableHandshake) => &self.untaggable_handshake,
            Decision::Local(Local::Owned(_)) => &self.owned,
            Decision::Local(Local::Closed(_)) => &self.closed,
            Decision::Local(Local::Untagged(_)) => &self.untagged,
            Decision::Forward(_) => &self.forward,
            Decision::Reject(_) => &self.reject,
        }
    }
}

const REFERENCE_HEAD: &str = "\
# Metrics of the sidecar

On the admin port, under `/metrics`. A test holds this page against the code.

| metric | kind | labels | what it says |
| --- | --- | --- | --- |
";

/// Buckets for answers, of which a poll's may take as long as a pingInterval.
const ANSWER_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0];

/// Registers metrics, and takes down what they are.
struct Definitions {
    registry: Registry,
    reference: String,
}

impl Definitions {
    fn opts(&mut self, name: &str, help: &str, kind: &str, labels: &[&str]) -> Opts {
        let name = format!("socketio_sidecar_{name}");
        let labels = labels.join(", ");
        // Writing to a String cannot fail.
        let _ = writeln!(self.reference, "| `{name}` | {kind} | {labels} | {help} |");
        Opts::new(name, help)
    }

    fn register<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&mut self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let opts = self.opts(name, help, "counter", &[]);
        self.register(IntCounter::with_opts(opts)?)
    }

    fn counters(&mut self, name: &str, labels: &[&str], help: &str) -> prometheus::Result<IntCounterVec> {
        let opts = self.opts(name, help, "counter", labels);
        self.register(IntCounterVec::new(opts, labels)?)
    }

    fn gauge(&mut self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let opts = self.opts(name, help, "gauge", &[]);
        self.register(IntGauge::with_opts(opts)?)
    }

    fn decimal_gauge(&mut self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        let opts = self.opts(name, help, "gauge", &[]);
        self.register(Gauge::with_opts(opts)?)
    }

    fn gauges(&mut self, name: &str, labels: &[&str], help: &str) -> prometheus::Result<IntGaugeVec> {
        let opts = self.opts(name, help, "gauge", labels);
        self.register(IntGaugeVec::new(opts, labels)?)
    }

    fn seconds(&mut self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::from(self.opts(name, help, "histogram", &[]));
        self.register(Histogram::with_opts(opts.buckets(ANSWER_BUCKETS.into()))?)
    }
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let mut define = Definitions { registry: Registry::new(), reference: REFERENCE_HEAD.to_owned() };
        let d = &mut define;
        let requests = d.counters(
            "requests_total",
            &["from", "decision"],
            "Requests by the side they came from and what was decided.",
        )?;
        Ok(Self {
            from_clients: Decided::new(&requests, Side::Client),
            from_peers: Decided::new(&requests, Side::Peer),
            handshakes: d.counter(
                "handshakes_total",
                "Polling handshakes of Engine.IO revision 4 sent to the application.",
            )?,
            tagged: d
                .counter("handshakes_tagged_total", "Handshakes whose answer was given an owner tag.")?,
            untagged: d.counters(
                "handshakes_untagged_total",
                &["reason"],
                "Handshakes answered with 200 whose answer could not be given an owner tag, by reason.",
            )?,
            would_have_failed: d.counter(
                "would_have_failed_total",
                "In Observe: requests whose session the application did not know.",
            )?,
            owner_gone: d.counters(
                "owner_gone_total",
                &["reason"],
                "Requests whose owner was gone, by reason: refused, unreachable, identity (another pod is there), vanished (it stopped answering).",
            )?,
            failures: d.counters(
                "failures_total",
                &["cause"],
                "Requests that ended without a complete answer, by cause.",
            )?,
            malformed: d.counters(
                "malformed_total",
                &["from"],
                "Messages refused for their HTTP syntax, by the side they came from.",
            )?,
            retries: d.counters(
                "retries_total",
                &["reason"],
                "Requests sent again on a new connection. unsent: nothing of the request had been sent. unanswered: a GET, HEAD or OPTIONS met a connection that the application was closing.",
            )?,
            buffered_bytes: d.gauge(
                "buffered_bytes",
                "Memory held for connections under backpressure, an estimate of the kernel's part included.",
            )?,
            buffered_ended: d.counter(
                "buffered_ended_total",
                "Connections under backpressure that ended because the budget of --max-buffered ran short.",
            )?,
            connections: d.gauges(
                "connections_open",
                &["from"],
                "Connections accepted and open, by the side they came from.",
            )?,
            connection_waits: d.counters(
                "connection_limit_total",
                &["from"],
                "Connections that found the limit of open connections reached, and waited for a place.",
            )?,
            evicted: d.counters(
                "connections_evicted_total",
                &["limit"],
                "Connections closed in favour of a new one at a limit: client (idle ones, then slow heads and bodies), peer (idle ones), handshake (unfinished TLS of peers), admin (the admin port).",
            )?,
            refused: d.counters(
                "connections_refused_total",
                &["limit"],
                "New connections closed at once: at the limit of their source, or at a limit of peers or of the admin port with no other connection to close.",
            )?,
            tunnels: d.gauges("tunnels_open", &["to"], "WebSocket tunnels open, by where they lead.")?,
            websockets: d.gauges(
                "websockets_open",
                &["from"],
                "WebSockets open, by the side they came from; each side may have --max-websockets.",
            )?,
            tunnels_to_close: d.gauge(
                "tunnels_to_close",
                "In a paced close: WebSockets of clients here that it concerns and that have not ended yet.",
            )?,
            tunnels_closed: d.counter("tunnels_closed_total", "WebSockets that a paced close has ended.")?,
            idle: d.gauges(
                "idle_connections",
                &["to"],
                "Idle connections kept for the next request, by where they lead.",
            )?,
            app_early_closes: d.counter(
                "app_early_closes_total",
                "Idle connections that the application closed before the time it had announced.",
            )?,
            app_reuse_answers: d.gauge(
                "app_reuse_answers",
                "Answers after which the application was seen to keep a connection open. 0: each request takes a new connection. 64 or more: any number.",
            )?,
            app_reuse_idle_seconds: d.decimal_gauge(
                "app_reuse_idle_seconds",
                "Idle time after which the application was seen to keep a connection open.",
            )?,
            reloads: d.counters(
                "config_reloads_total",
                &["result"],
                "Changes of the configuration directory that were applied or refused, and reads of it that took more than 10 s (late).",
            )?,
            log_lines_left_out: d.counter(
                "log_lines_left_out_total",
                "Log lines that were not written: each kind has 50 a second, and 200 at once. Errors always are.",
            )?,
            certificate_days_left: d.gauge(
                "peer_certificate_days_left",
                "Whole days for which the peer certificate in force stays valid.",
            )?,
            local_seconds: d.seconds(
                "local_request_seconds",
                "From a request's head to the end of its answer, answered by the local application.",
            )?,
            forward_seconds: d.seconds(
                "forwarded_request_seconds",
                "From a request's head to the end of its answer, forwarded to its owner.",
            )?,
            owner_connect_seconds: d.seconds(
                "owner_connect_seconds",
                "Time for which a request waited for a new connection to an owner, TLS included, or until the owner was found gone.",
            )?,
            owner_connects_ahead: d.counter(
                "owner_connects_ahead_total",
                "Connections to owners made before a request needed them.",
            )?,
            peer_connections_lost: d.counter(
                "peer_connections_lost_total",
                "Connections with peers closed because the peer's pod stopped answering without a word.",
            )?,
            registry: define.registry,
            reference: define.reference,
        })
    }

    /// `docs/reference/metrics.md`.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    pub(crate) fn count_decision(&self, from: Side, decision: &Decision<'_>) {
        let decided = match from {
            Side::Client => &self.from_clients,
            Side::Peer => &self.from_peers,
        };
        decided.of(decision).inc();
        if matches!(decision, Decision::Local(Local::Handshake)) {
            self.handshakes.inc();
        }
    }

    /// Sets the number of idle connections that lead `to` app or owner.
    pub(crate) fn set_idle(&self, to: &str, count: usize) {
        self.idle.with_label_values(&[to]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn count_owner_gone(&self, reason: &'static str) {
        self.owner_gone.with_label_values(&[reason]).inc();
    }

    pub(crate) fn count_untagged(&self, reason: &'static str) {
        self.untagged.with_label_values(&[reason]).inc();
    }

    pub(crate) fn count_failure(&self, cause: &'static str) {
        self.failures.with_label_values(&[cause]).inc();
    }

    pub(crate) fn count_retry(&self, reason: &'static str) {
        self.retries.with_label_values(&[reason]).inc();
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
