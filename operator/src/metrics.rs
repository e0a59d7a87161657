//! What the operator counts. (The lead's beginning; the helper on the program completes it. These three
//! methods are what the controller calls.)

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// The metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: HistogramVec,
    writes: IntCounterVec,
    events: IntCounterVec,
}

impl Metrics {
    /// Makes them.
    ///
    /// # Errors
    /// Two are named alike.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let reconciles = HistogramVec::new(
            HistogramOpts::new("socketio_operator_reconcile_seconds", "Passes by result."),
            &["result"],
        )?;
        let writes = IntCounterVec::new(
            Opts::new("socketio_operator_api_writes_total", "Writes by kind and verb."),
            &["kind", "verb"],
        )?;
        let events = IntCounterVec::new(Opts::new("socketio_operator_events_total", "Events."), &["type"])?;
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(writes.clone()))?;
        registry.register(Box::new(events.clone()))?;
        Ok(Self { registry, reconciles, writes, events })
    }

    /// A pass ended.
    pub fn reconcile(&self, result: &str, took: Duration) {
        self.reconciles.with_label_values(&[result]).observe(took.as_secs_f64());
    }

    /// The API server took a write.
    pub fn write(&self, kind: &str, verb: &str) {
        self.writes.with_label_values(&[kind, verb]).inc();
    }

    /// An Event was published.
    pub fn event(&self, type_: &str) {
        self.events.with_label_values(&[type_]).inc();
    }
}
