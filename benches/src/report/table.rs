//! The lines for people: on the terminal, and as the table of a page.

use super::{Goal, Line};

/// Prints a line each, below their heads.
pub(crate) fn print(lines: &[Line]) {
    let row = |[figure, value, base, times, goal, verdict, others]: [&str; 7], more: &str| {
        println!(
            "{figure:<30} {value:>14} {base:>20} {times:>7} {goal:>9} {verdict:>13} {others:>7}  {more}"
        );
    };
    row(HEADS, "more");
    for line in lines {
        row(cells(line).each_ref().map(String::as_str), &more(line));
    }
}

/// The same without the rest.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut page = row(&HEADS.map(str::to_owned)) + &row(&HEADS.map(|_| "---".to_owned()));
    for line in lines {
        page += &row(&cells(line));
    }
    page
}

fn cells(line: &Line) -> [String; 7] {
    let (base, times) = line.base.map_or_else(Default::default, |(name, value)| {
        (format!("{name} {}", short(value)), short(line.value / value))
    });
    let goal = line.goal.map_or_else(String::new, |goal| match goal {
        Goal::AtMost(most) => format!("≤ {}", short(most)),
        Goal::AtLeast(least) => format!("≥ {}", short(least)),
        Goal::TimesBase(times) => format!("≤ {times} ×"),
    });
    let verdict = match line.stands() {
        _ if !line.is_whole() => "not whole".into(),
        Some(stands) if stands <= 1.0 => "met".into(),
        Some(stands) => format!("missed × {}", short(stands)),
        None => String::new(),
    };
    let others = line.others.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0));
    [line.id.clone(), format!("{} {}", short(line.value), line.unit), base, times, goal, verdict, others]
}

fn more(line: &Line) -> String {
    let mut words: Vec<_> =
        line.more.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
    if let Some(tally) = line.tally.filter(|tally| !tally.is_whole()) {
        words.insert(0, format!("{tally:?}"));
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

const HEADS: [&str; 7] = ["figure", "value", "base", "times", "goal", "verdict", "others"];
