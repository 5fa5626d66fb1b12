//! What the sandbox has seen: counts always, every data request if it is asked to record.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::lock::hold;

/// A data request that came.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The how many-th data request it was, from 1.
    pub number: u64,
    /// Such as `POST`.
    pub method: String,
    /// Such as `ed-fi/students`; whatever stood in its place if the sandbox does not know it.
    pub resource: String,
    /// As it came.
    pub body: Vec<u8>,
    /// What it was answered; nothing if the connection was cut or left hanging.
    pub status: Option<u16>,
    /// Whether its payload was taken in, told to the client or not.
    pub stored: bool,
    /// When it came. Starts and ends of all data requests are numbered together, from 1.
    pub started: u64,
    /// When it was settled.
    pub ended: u64,
}

/// The counts and the record.
pub struct Watch {
    statuses: Vec<AtomicU64>,
    unanswered: AtomicU64,
    connections: AtomicU64,
    requests: AtomicU64,
    concurrent: AtomicUsize,
    peak: AtomicUsize,
    moments: AtomicU64,
    record: Option<Mutex<Vec<Received>>>,
}

/// A data request that is being answered. The next one may come when it is dropped.
pub struct Visit<'w> {
    watch: &'w Watch,
    /// The how many-th data request it is.
    pub number: u64,
    /// When it came.
    pub started: u64,
    /// How many are being answered, this one included.
    pub concurrent: usize,
}

impl Watch {
    /// Counts from nothing; keeps every data request if `record`.
    pub fn new(record: bool) -> Watch {
        Watch {
            statuses: (0..600).map(|_| AtomicU64::new(0)).collect(),
            unanswered: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            concurrent: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            moments: AtomicU64::new(0),
            record: record.then(Mutex::default),
        }
    }

    /// A connection was accepted.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A data request came.
    pub fn enter(&self) -> Visit<'_> {
        let concurrent = self.concurrent.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(concurrent, Ordering::Relaxed);
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        Visit { watch: self, number, started: self.moment(), concurrent }
    }

    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Everything that was recorded, in the order in which it came.
    pub fn received(&self) -> Vec<Received> {
        let mut all = self.record.as_ref().map(|record| hold(record).clone()).unwrap_or_default();
        all.sort_by_key(|received| received.started);
        all
    }

    /// The record as JSON, bodies as text.
    pub fn requests(&self) -> Value {
        let line = |r: Received| {
            json!({
                "number": r.number, "method": r.method, "resource": r.resource, "body": String::from_utf8_lossy(&r.body),
                "status": r.status, "stored": r.stored, "started": r.started, "ended": r.ended
            })
        };
        self.received().into_iter().map(line).collect()
    }

    /// The counts as JSON; statuses are those of data requests.
    pub fn stats(&self, tokens: u64) -> Value {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let statuses = self.statuses.iter().enumerate().filter(|(_, counted)| count(counted) > 0);
        let statuses: BTreeMap<String, u64> =
            statuses.map(|(status, counted)| (status.to_string(), count(counted))).collect();
        json!({
            "requests": count(&self.requests),
            "statuses": statuses,
            "unanswered": count(&self.unanswered),
            "connections": count(&self.connections),
            "tokens": tokens,
            "peakConcurrent": self.peak.load(Ordering::Relaxed)
        })
    }
}

impl Visit<'_> {
    /// The request is settled: with a status, or without an answer.
    pub fn settle(&self, status: Option<u16>, stored: bool, request: impl FnOnce() -> (String, String, Vec<u8>)) {
        match status.and_then(|status| self.watch.statuses.get(usize::from(status))) {
            Some(counted) => counted.fetch_add(1, Ordering::Relaxed),
            None => self.watch.unanswered.fetch_add(1, Ordering::Relaxed),
        };
        if let Some(record) = &self.watch.record {
            let (method, resource, body) = request();
            let (number, started, ended) = (self.number, self.started, self.watch.moment());
            hold(record).push(Received { number, method, resource, body, status, stored, started, ended });
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.watch.concurrent.fetch_sub(1, Ordering::Relaxed);
    }
}
