//! Every metric, named with its unit, in one table. Text format of Prometheus, version 0.0.4.
//!
//! Labels have a few fixed values, or the names of declared namespaces: never a channel, a subject or an address.

use std::{
    fmt::{Display, Write},
    sync::atomic::Ordering::Relaxed,
};

use sosik_core::{
    GapReason, LogFigures, LogId,
    figures::{COMMIT_US_BOUNDS, StoreFigures},
    limits::ONCE_WINDOW_MS,
    store::{MemoKind, MemosHeld},
};
use sosik_transport::TransportFigures;
use sosik_wire::TransportName;

use crate::measured::Measured;

/// Everything as text.
pub(crate) fn render(measured: &Measured) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for Metric { name, kind, help, samples } in METRICS {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        match samples {
            Samples::Numbers(numbers) => {
                numbers(measured, &mut |labels, value| sample(&mut out, name, labels, value));
            }
            Samples::Times(times) => histogram(&mut out, name, &times(measured)),
        }
    }
    out
}

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: Samples,
}

/// Where the values come from.
enum Samples {
    Numbers(fn(&Measured, Sink<'_>)),
    Times(fn(&Measured) -> StoreFigures),
}

/// Takes the labels of a sample, and its value.
type Sink<'a> = &'a mut dyn FnMut(&[(&str, &str)], u64);

/// Name, kind, meaning with its unit, where the values come from.
#[rustfmt::skip]
const METRICS: &[Metric] = &[
    counter("sosik_publishes_total", "Events acknowledged to publishers.", |s, out| out(&[], s.hub.figures.publishes.load(Relaxed))),
    counter("sosik_gaps_total", "Gaps told to readers.", |s, out| gaps(s, out)),
    counter("sosik_holes_total", "Holes that readers found in a live feed and read again; each is a fault.", |s, out| out(&[], s.hub.figures.holes.load(Relaxed))),
    counter("sosik_refused_total", "Frames and requests that were refused.", |s, out| out(&[], s.hub.figures.refused.load(Relaxed))),
    counter("sosik_deliveries_total", "Events written to readers.", |s, out| transports(s, out, |t| t.deliveries.load(Relaxed))),
    counter("sosik_answers_total", "Answers of poll and long-poll that were made; who asked the same at the same moment was given the same.", |s, out| out(&[], s.hub.figures.answers.load(Relaxed))),
    gauge("sosik_connections_open", "Connections and held requests now.", |s, out| transports(s, out, |t| t.open.load(Relaxed))),
    counter("sosik_connections_opened_total", "Connections and requests that transports took.", |s, out| transports(s, out, |t| t.opened.load(Relaxed))),
    counter("sosik_log_published_total", "Events committed.", |s, out| logs(s, out, |l| l.published)),
    counter("sosik_log_duplicates_total", "Events acknowledged that an earlier attempt of their publisher had stored.", |s, out| logs(s, out, |l| l.duplicates)),
    gauge("sosik_log_waiting_publishes", "Publishes that wait for their append.", |s, out| logs(s, out, |l| l.waiting as u64)),
    counter("sosik_log_trims_total", "Times a channel was trimmed.", |s, out| logs(s, out, |l| l.trims)),
    counter("sosik_log_epochs_total", "New lives that a log began while running.", |s, out| logs(s, out, |l| l.new_epochs)),
    counter("sosik_log_unreadable_records_total", "Stored records that could not be read, and places in the order of all events that retention went on behind.", |s, out| logs(s, out, |l| l.unreadable)),
    gauge("sosik_log_kept_bytes", "Bytes that the kept events count against the log's capacity.", |s, out| logs(s, out, |l| l.kept_bytes)),
    gauge("sosik_log_kept_bytes_max", "The log's capacity, bytes.", |s, out| logs(s, out, |l| l.kept_bytes_max)),
    gauge("sosik_log_nearly_full", "1 from 80 % of the log's capacity on.", |s, out| logs(s, out, |l| l.is_nearly_full().into())),
    gauge("sosik_store_kept_bytes", "Bytes of the records that are kept, without what the store adds.", |s, out| stores(s, out, |f| f.kept_bytes)),
    gauge("sosik_store_kept_events", "Events that are kept.", |s, out| stores(s, out, |f| f.kept_events)),
    gauge("sosik_store_disk_bytes", "Bytes that the files of the disk log take up.", |s, out| out(&[], s.store(LogId::Disk).disk_bytes)),
    gauge("sosik_store_free_bytes", "Bytes free where the disk log lies; absent when the system does not say.", |s, out| if let Some(free) = s.store(LogId::Disk).free_bytes { out(&[], free) }),
    counter("sosik_store_events_total", "Events stored.", |s, out| stores(s, out, |f| f.events)),
    times("sosik_store_commit_seconds", "Time from the beginning of a commit of the disk log to the end of its sync.", |s| s.store(LogId::Disk)),
    counter("sosik_store_syncs_failed_total", "Syncs of the disk log that failed; the first one is final.", |s, out| out(&[], s.store(LogId::Disk).syncs_failed)),
    counter("sosik_store_appends_full_total", "Appends refused because the disk is full or nearly so.", |s, out| out(&[], s.store(LogId::Disk).appends_full)),
    counter("sosik_store_reopened_total", "Times the disk log ran out of room in the middle of a write and was opened anew.", |s, out| out(&[], s.store(LogId::Disk).reopened)),
    counter("sosik_store_damaged_total", "Damaged places found by reads and by the scrub.", |s, out| stores(s, out, |f| f.damaged)),
    counter("sosik_store_scrubbed_bytes_total", "Bytes that the scrub has checked.", |s, out| out(&[], s.store(LogId::Disk).scrubbed_bytes)),
    gauge("sosik_store_scrub_millionths", "How far the scrub has come in its present round.", |s, out| out(&[], s.store(LogId::Disk).scrub_progress)),
    gauge("sosik_store_failed", "1 when publishes are refused until the server is started anew.", |s, out| stores(s, out, |f| f.failed.into())),
    gauge("sosik_store_ended", "1 when a thread of the disk log has ended by a fault; the server's log names it.", |s, out| stores(s, out, |f| f.ended.is_some().into())),
    gauge("sosik_store_renewed", "1 when the disk log began a new epoch as it was opened: it had lost something.", |s, out| out(&[], s.stores.renewed().is_some().into())),
    gauge("sosik_once_held", "Idempotency keys, and pairs of producer and channel, that are remembered.", |s, out| memos(s, out, |held, _| held.count)),
    gauge("sosik_once_window_ms", "How far back all of them are remembered, milliseconds.", |s, out| memos(s, out, |held, now| now.saturating_sub(held.since).min(ONCE_WINDOW_MS))),
    gauge("sosik_sockets_open", "Sockets now, HTTP and TCP.", |s, out| out(&[], s.sockets.open())),
    gauge("sosik_sockets_max", "Most sockets at a time (connections_max).", |s, out| out(&[], s.sockets.max())),
    counter("sosik_sockets_refused_total", "Sockets turned away: all of the server taken (full), all of their address (address), or too many new ones of it (rate).", |s, out| for (reason, count) in s.sockets.refused() { out(&[("reason", reason)], count) }),
    counter("sosik_accept_errors_total", "Times the system could not hand over a new socket.", |s, out| out(&[], s.sockets.accept_errors.load(Relaxed))),
    counter("sosik_connection_panics_total", "Connections that ended by a fault of the server.", |s, out| out(&[], s.sockets.panics.load(Relaxed))),
    gauge("sosik_memory_bytes", "Memory of the process that is no file's; 0 where the system does not say.", |s, out| out(&[], s.memory.bytes())),
    gauge("sosik_memory_bytes_max", "Above this new readers are refused (process_bytes_max); absent without a ceiling.", |s, out| if let Some(max) = s.memory.bytes_max { out(&[], max) }),
    gauge("sosik_memory_short", "1 while new readers are refused for want of memory.", |s, out| out(&[], s.hub.is_short().into())),
    gauge("sosik_draining", "1 while the server goes down.", |s, out| out(&[], s.hub.is_draining().into())),
];

const fn counter(name: &'static str, help: &'static str, samples: fn(&Measured, Sink<'_>)) -> Metric {
    Metric { name, kind: "counter", help, samples: Samples::Numbers(samples) }
}

const fn gauge(name: &'static str, help: &'static str, samples: fn(&Measured, Sink<'_>)) -> Metric {
    Metric { name, kind: "gauge", help, samples: Samples::Numbers(samples) }
}

const fn times(name: &'static str, help: &'static str, samples: fn(&Measured) -> StoreFigures) -> Metric {
    Metric { name, kind: "histogram", help, samples: Samples::Times(samples) }
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) {
    out.push_str(name);
    for (i, (key, of)) in labels.iter().enumerate() {
        let _ = write!(out, "{}{key}=\"{of}\"", if i == 0 { '{' } else { ',' });
    }
    let _ = writeln!(out, "{} {value}", if labels.is_empty() { "" } else { "}" });
}

/// How long commits took: each bucket holds those below it, too.
fn histogram(out: &mut String, name: &str, figures: &StoreFigures) {
    let mut below = 0;
    for (bound, count) in COMMIT_US_BOUNDS.iter().zip(&figures.commits_by_us) {
        below += count;
        sample(out, &format!("{name}_bucket"), &[("le", &seconds(*bound).to_string())], below);
    }
    sample(out, &format!("{name}_bucket"), &[("le", "+Inf")], figures.commits);
    sample(out, &format!("{name}_sum"), &[], seconds(figures.commit_us));
    sample(out, &format!("{name}_count"), &[], figures.commits);
}

#[allow(clippy::cast_precision_loss, reason = "exact for 285 years")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn gaps(measured: &Measured, out: Sink<'_>) {
    for (reason, name) in
        [(GapReason::Trimmed, "trimmed"), (GapReason::Epoch, "epoch"), (GapReason::Forgotten, "forgotten")]
    {
        out(&[("reason", name)], measured.hub.figures.gaps(reason));
    }
}

fn transports(measured: &Measured, out: Sink<'_>, value: fn(&TransportFigures) -> u64) {
    for transport in TransportName::ALL {
        out(&[("transport", transport.name())], value(measured.hub.figures.of(transport)));
    }
}

fn logs(measured: &Measured, out: Sink<'_>, value: fn(&LogFigures) -> u64) {
    for (id, name) in [(LogId::Disk, "disk"), (LogId::Memory, "memory")] {
        out(&[("log", name)], value(&measured.hub.node.log(id).figures()));
    }
}

fn stores(measured: &Measured, out: Sink<'_>, value: fn(&StoreFigures) -> u64) {
    for (id, name) in [(LogId::Disk, "disk"), (LogId::Memory, "memory")] {
        out(&[("log", name)], value(&measured.store(id)));
    }
}

/// By namespace: these are as many as the operator declared.
fn memos(measured: &Measured, out: Sink<'_>, value: fn(&MemosHeld, u64) -> u64) {
    let now = measured.hub.clock.wall_ms();
    for (namespace, log) in measured.namespaces.iter() {
        for (kind, name) in [(MemoKind::Key, "key"), (MemoKind::Producer, "producer")] {
            let held = measured.stores.of(*log).memos_held(kind, namespace);
            out(&[("namespace", namespace), ("kind", name)], value(&held, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Mutant: a counter without `_total`, or a name given twice -> fails.
    #[test]
    fn names_are_unique_and_say_what_they_count() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        for Metric { name, kind, help, .. } in METRICS {
            assert!(name.starts_with("sosik_") && help.ends_with('.'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
        }
    }
}
