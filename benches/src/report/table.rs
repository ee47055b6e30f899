//! The lines on the terminal.

use super::{Goal, Line};

/// Prints a line each, below their heads.
pub(crate) fn print(lines: &[Line]) {
    println!(
        "{:<38} {:>11} {:<7} {:>20} {:>7} {:>8} {:>13} {:>7}  more",
        "figure", "value", "", "base", "times", "goal", "verdict", "others"
    );
    for line in lines {
        let (base, times) = line.base.map_or_else(Default::default, |(name, value)| {
            (format!("{name} {}", short(value)), short(line.value / value))
        });
        let goal = line.goal.map_or_else(String::new, |goal| match goal {
            Goal::AtMost(most) => format!("≤ {}", short(most)),
            Goal::AtLeast(least) => format!("≥ {}", short(least)),
            Goal::TimesBase(times) => format!("≤ {times} ×"),
        });
        let verdict = line.stands().map_or_else(String::new, |stands| {
            if stands <= 1.0 { "met".into() } else { format!("missed × {}", short(stands)) }
        });
        let others = line.others.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0));
        println!(
            "{:<38} {:>11} {:<7} {base:>20} {times:>7} {goal:>8} {verdict:>13} {others:>7}  {}",
            line.id,
            short(line.value),
            line.unit,
            more(line)
        );
    }
}

fn more(line: &Line) -> String {
    let mut words: Vec<_> =
        line.more.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
    if let Some(tally) = line.tally.filter(|tally| !tally.is_whole()) {
        words.insert(0, format!("NOT WHOLE: {tally:?}"));
    }
    words.join(", ")
}

/// Three digits that count, as far as they are behind the point.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
