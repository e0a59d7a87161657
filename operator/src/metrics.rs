//! The metrics under `/metrics`. Labels are words of the code, never an object's name or namespace.

use std::fmt::Write;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// All metrics of one operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reference: String,
    reconciles: IntCounterVec,
    reconcile_seconds: Histogram,
    api_writes: IntCounterVec,
    events: IntCounterVec,
    clusters: IntGaugeVec,
    leader: IntGauge,
    leader_transitions: IntCounter,
}

const REFERENCE_HEAD: &str = "\
# Metrics of the operator

On the admin port, under `/metrics`. A test holds this page against the code.

| metric | kind | labels | what it says |
| --- | --- | --- | --- |
";

/// A reconcile is a handful of requests, or none.
const RECONCILE_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Registers metrics, and takes down what they are.
struct Definitions {
    registry: Registry,
    reference: String,
}

impl Definitions {
    fn opts(&mut self, name: &str, help: &str, kind: &str, labels: &[&str]) -> Opts {
        let name = format!("socketio_operator_{name}");
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

    fn gauges(&mut self, name: &str, labels: &[&str], help: &str) -> prometheus::Result<IntGaugeVec> {
        let opts = self.opts(name, help, "gauge", labels);
        self.register(IntGaugeVec::new(opts, labels)?)
    }

    fn seconds(&mut self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::from(self.opts(name, help, "histogram", &[]));
        self.register(Histogram::with_opts(opts.buckets(RECONCILE_BUCKETS.into()))?)
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
        Ok(Self {
            reconciles: d.counters(
                "reconciles_total",
                &["result"],
                "Reconciles that have ended: ok, or the category of the error.",
            )?,
            reconcile_seconds: d.seconds("reconcile_seconds", "How long a reconcile took.")?,
            api_writes: d.counters(
                "api_writes_total",
                &["kind", "verb"],
                "Requests that change objects, by kind and verb; the Lease is left out.",
            )?,
            events: d.counters("events_total", &["type"], "Events written: Normal or Warning.")?,
            clusters: d.gauges(
                "clusters",
                &["ready"],
                "SocketIoClusters that are Ready (true), that are not (false), and that cannot be read (unknown); 0 while not the leader.",
            )?,
            leader: d.gauge("leader", "1 while this process is the leader, else 0.")?,
            leader_transitions: d
                .counter("leader_transitions_total", "Times that this process became the leader.")?,
            registry: define.registry,
            reference: define.reference,
        })
    }

    /// `docs/reference/operator-metrics.md`.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// A reconcile has ended; `result` is `ok` or the static category of its error.
    pub fn reconcile(&self, result: &'static str, took: Duration) {
        self.reconciles.with_label_values(&[result]).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// A request that changes an object is made.
    pub fn write(&self, kind: &str, verb: &str) {
        self.api_writes.with_label_values(&[kind, verb]).inc();
    }

    /// An Event is written; `kind` is its type, Normal or Warning.
    pub fn event(&self, kind: &str) {
        self.events.with_label_values(&[kind]).inc();
    }

    /// Records the numbers of SocketIoClusters.
    pub fn clusters(&self, ready: usize, not_ready: usize, unreadable: usize) {
        for (label, count) in [("true", ready), ("false", not_ready), ("unknown", unreadable)] {
            self.clusters.with_label_values(&[label]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn show_leading(&self, leading: bool) {
        self.leader.set(leading.into());
        if leading {
            self.leader_transitions.inc();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_own_name_and_the_prefix() {
        let metrics = Metrics::new().unwrap();
        metrics.reconcile("ok", Duration::from_millis(3));
        metrics.write("Service", "patch");
        metrics.event("Warning");
        metrics.clusters(2, 1, 3);
        metrics.show_leading(true);
        let text = String::from_utf8(metrics.render()).unwrap();
        for sample in [
            "socketio_operator_reconciles_total{result=\"ok\"} 1",
            "socketio_operator_reconcile_seconds_bucket{le=\"0.005\"} 1",
            "socketio_operator_api_writes_total{kind=\"Service\",verb=\"patch\"} 1",
            "socketio_operator_events_total{type=\"Warning\"} 1",
            "socketio_operator_clusters{ready=\"false\"} 1",
            "socketio_operator_clusters{ready=\"unknown\"} 3",
            "socketio_operator_leader 1",
            "socketio_operator_leader_transitions_total 1",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
        }
        assert!(
            text.lines().all(|line| line.starts_with('#') || line.starts_with("socketio_operator_")),
            "{text}"
        );
    }
}
