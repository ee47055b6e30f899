//! Every metric, named with its unit, in one table. Text format of Prometheus, version 0.0.4.
//!
//! Labels have a few fixed values: never a channel, a subject or an address.

use std::{fmt::Write, sync::atomic::Ordering::Relaxed};

use sosik_core::{GapReason, LogFigures, LogId};
use sosik_transport::TransportFigures;
use sosik_wire::TransportName;

use crate::measured::Measured;

/// Everything as text.
pub(crate) fn render(measured: &Measured) -> String {
    let mut out = String::with_capacity(8 * 1024);
    for Metric { name, kind, help, samples } in METRICS {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        samples(measured, &mut |label, value| {
            let _ = match label {
                Some((key, of)) => writeln!(out, "{name}{{{key}=\"{of}\"}} {value}"),
                None => writeln!(out, "{name} {value}"),
            };
        });
    }
    out
}

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&Measured, Sink<'_>),
}

/// Takes a label, if the metric has one, and a value.
type Sink<'a> = &'a mut dyn FnMut(Option<(&'static str, &'static str)>, u64);

/// Name, kind, meaning with its unit, where the values come from.
#[rustfmt::skip]
const METRICS: &[Metric] = &[
    counter("sosik_publishes_total", "Events acknowledged to publishers.", |s, out| out(None, s.hub.figures.publishes.load(Relaxed))),
    counter("sosik_gaps_total", "Gaps told to readers.", |s, out| gaps(s, out)),
    counter("sosik_holes_total", "Holes that readers found in a live feed and read again; each is a fault.", |s, out| out(None, s.hub.figures.holes.load(Relaxed))),
    counter("sosik_refused_total", "Frames and requests that were refused.", |s, out| out(None, s.hub.figures.refused.load(Relaxed))),
    counter("sosik_deliveries_total", "Events written to readers.", |s, out| transports(s, out, |t| t.deliveries.load(Relaxed))),
    gauge("sosik_connections_open", "Connections and held requests now.", |s, out| transports(s, out, |t| t.open.load(Relaxed))),
    counter("sosik_connections_opened_total", "Connections and requests that transports took.", |s, out| transports(s, out, |t| t.opened.load(Relaxed))),
    counter("sosik_log_published_total", "Events committed.", |s, out| logs(s, out, |l| l.published)),
    gauge("sosik_log_waiting_publishes", "Publishes that wait for their append.", |s, out| logs(s, out, |l| l.waiting as u64)),
    counter("sosik_log_trims_total", "Times a channel was trimmed.", |s, out| logs(s, out, |l| l.trims)),
    counter("sosik_log_epochs_total", "New lives that a log began while running.", |s, out| logs(s, out, |l| l.new_epochs)),
    counter("sosik_log_unreadable_records_total", "Stored records that could not be read.", |s, out| logs(s, out, |l| l.unreadable)),
    gauge("sosik_sockets_open", "Sockets now, HTTP and TCP.", |s, out| out(None, s.sockets.open())),
    gauge("sosik_sockets_max", "Most sockets at a time (connections_max).", |s, out| out(None, s.sockets.max())),
    counter("sosik_sockets_refused_total", "Sockets turned away because there were too many.", |s, out| out(None, s.sockets.refused.load(Relaxed))),
    counter("sosik_accept_errors_total", "Times the system could not hand over a new socket.", |s, out| out(None, s.sockets.accept_errors.load(Relaxed))),
    counter("sosik_connection_panics_total", "Connections that ended by a fault of the server.", |s, out| out(None, s.sockets.panics.load(Relaxed))),
    gauge("sosik_draining", "1 while the server goes down.", |s, out| out(None, s.hub.is_draining().into())),
];

const fn counter(name: &'static str, help: &'static str, samples: fn(&Measured, Sink<'_>)) -> Metric {
    Metric { name, kind: "counter", help, samples }
}

const fn gauge(name: &'static str, help: &'static str, samples: fn(&Measured, Sink<'_>)) -> Metric {
    Metric { name, kind: "gauge", help, samples }
}

fn gaps(measured: &Measured, out: Sink<'_>) {
    for (reason, name) in
        [(GapReason::Trimmed, "trimmed"), (GapReason::Epoch, "epoch"), (GapReason::Forgotten, "forgotten")]
    {
        out(Some(("reason", name)), measured.hub.figures.gaps(reason));
    }
}

fn transports(measured: &Measured, out: Sink<'_>, value: fn(&TransportFigures) -> u64) {
    for transport in TransportName::ALL {
        out(Some(("transport", transport.name())), value(measured.hub.figures.of(transport)));
    }
}

fn logs(measured: &Measured, out: Sink<'_>, value: fn(&LogFigures) -> u64) {
    for (id, name) in [(LogId::Disk, "disk"), (LogId::Memory, "memory")] {
        out(Some(("log", name)), value(&measured.hub.node.log(id).figures()));
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
