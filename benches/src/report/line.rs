//! One figure beside what it is held against.

use serde_json::{Map, Value, json};

use crate::{load::Tally, measure::Figure};

/// A figure.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// `part.case.figure`: the same from run to run.
    pub(crate) id: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    /// The floor, or what else of the same run it is compared with.
    pub(crate) base: Option<(&'static str, f64)>,
    pub(crate) goal: Option<Goal>,
    /// Which part of the machine others used meanwhile, 0 to 1.
    pub(crate) others: Option<f64>,
    /// What was lost, repeated or out of order, where deliveries were counted.
    pub(crate) tally: Option<Tally>,
    /// What else was seen; the names have their unit.
    pub(crate) more: Vec<(&'static str, f64)>,
}

/// What the figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// At most so many times the base.
    TimesBase(f64),
}

impl Line {
    pub(crate) fn new(id: impl Into<String>, unit: &'static str, value: f64) -> Self {
        let id = id.into();
        Self { id, unit, value, base: None, goal: None, others: None, tally: None, more: Vec::new() }
    }

    pub(crate) fn base(self, name: &'static str, value: f64) -> Self {
        Self { base: Some((name, value)), ..self }
    }

    pub(crate) fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    pub(crate) fn others(self, share: f64) -> Self {
        Self { others: Some(share), ..self }
    }

    pub(crate) fn more(mut self, more: impl IntoIterator<Item = (&'static str, f64)>) -> Self {
        self.more.extend(more);
        self
    }

    /// With what every measurement of deliveries tells.
    pub(crate) fn figure(self, figure: &Figure) -> Self {
        // Only transports that ask again have answers.
        let answers = Some(("answers_each", figure.answers_each)).filter(|(_, each)| *each > 0.0);
        let line = self.others(figure.spent.others).more(answers).more([
            ("deliveries_per_s", figure.per_s()),
            ("p50_ms", figure.latencies.ms(0.5)),
            ("p99_ms", figure.latencies.ms(0.99)),
            ("p999_ms", figure.latencies.ms(0.999)),
            ("bytes_each", figure.bytes_each),
            ("reads_each", figure.reads_each),
            ("load_us_each", figure.load_us_each()),
            ("sender_late_ms", figure.sender_late_ms),
        ]);
        Self { tally: Some(figure.tally), ..line }
    }

    /// How the figure stands to its goal: at most 1 is met, 2 is missed by half. `None` without a goal.
    pub(crate) fn stands(&self) -> Option<f64> {
        Some(match (self.goal?, self.base) {
            (Goal::AtMost(most), _) => self.value / most,
            (Goal::AtLeast(least), _) => least / self.value.max(f64::MIN_POSITIVE),
            (Goal::TimesBase(times), Some((_, base))) => self.value / (base * times).max(f64::MIN_POSITIVE),
            // Nothing to hold it against is nothing that was met.
            (Goal::TimesBase(_), None) => f64::INFINITY,
        })
    }

    /// Whether everything came that should, where that was counted.
    pub(crate) fn is_whole(&self) -> bool {
        self.tally.is_none_or(|tally| tally.is_whole())
    }

    /// The median of this and those of `others` that have its name.
    fn among<'a>(mut self, others: impl Iterator<Item = &'a Self>) -> Self {
        let mut all: Vec<Self> = others.filter(|other| other.id == self.id).cloned().collect();
        for other in &all {
            if let (Some(tally), Some(more)) = (&mut self.tally, &other.tally) {
                tally.add(more);
            }
            self.others = [self.others, other.others].into_iter().flatten().reduce(f64::max);
        }
        let (tally, others) = (self.tally, self.others);
        all.push(self);
        all.sort_by(|a, b| a.value.total_cmp(&b.value));
        let mut bases: Vec<f64> = all.iter().filter_map(|line| line.base).map(|(_, value)| value).collect();
        bases.sort_by(f64::total_cmp);
        let line = all.swap_remove(all.len() / 2);
        let base = line.base.map(|(name, value)| (name, *bases.get(bases.len() / 2).unwrap_or(&value)));
        Self { base, tally, others, ..line }
    }

    /// As it is written down.
    pub(crate) fn json(&self) -> Value {
        let mut more: Map<_, _> =
            self.more.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
        if let Some(Tally { deliveries, lost, repeated, reordered, foreign, cut }) = self.tally {
            let tally = [("deliveries", deliveries), ("lost", lost), ("repeated", repeated)];
            let rest = [("reordered", reordered), ("foreign", foreign), ("cut", cut)];
            more.extend(tally.into_iter().chain(rest).map(|(name, count)| (name.into(), json!(count))));
        }
        json!({
            "id": self.id,
            "unit": self.unit,
            "value": self.value,
            "base": self.base.map(|(name, value)| json!({"name": name, "value": value})),
            "goal": self.goal.map(|goal| match goal {
                Goal::AtMost(most) => json!({"at_most": most}),
                Goal::AtLeast(least) => json!({"at_least": least}),
                Goal::TimesBase(times) => json!({"times_base": times}),
            }),
            "stands": self.stands(),
            "others": self.others,
            "more": more,
        })
    }
}

/// The same lines of several runs as one: the medians of the figures, the most that others used, all that was lost.
pub(crate) fn median(runs: Vec<Vec<Line>>) -> Vec<Line> {
    let mut runs = runs.into_iter();
    let first = runs.next().unwrap_or_default();
    let rest: Vec<Line> = runs.flatten().collect();
    first.into_iter().map(|line| line.among(rest.iter())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_one() {
        let line = Line::new("a", "µs", 3.0).base("floor", 2.0);
        assert_eq!(line.stands(), None);
        assert_eq!(line.clone().goal(Goal::TimesBase(1.5)).stands(), Some(1.0));
        assert_eq!(line.clone().goal(Goal::AtMost(1.5)).stands(), Some(2.0));
        assert_eq!(line.clone().goal(Goal::AtLeast(6.0)).stands(), Some(2.0));
    }

    // Mutant: the tallies are not added -> the loss of a run that is not the median is forgotten.
    #[test]
    fn a_median_keeps_every_loss() {
        let run = |value: f64, lost| {
            let tally = Some(Tally { deliveries: 10, lost, ..Tally::default() });
            vec![Line {
                tally,
                ..Line::new("a", "µs", value).base("floor", value / 2.0).others(value / 10.0)
            }]
        };
        let lines = median(vec![run(3.0, 0), run(1.0, 1), run(2.0, 0)]);
        assert_eq!((lines[0].value, lines[0].base, lines[0].others), (2.0, Some(("floor", 1.0)), Some(0.3)));
        assert_eq!(lines[0].tally, Some(Tally { deliveries: 30, lost: 1, ..Tally::default() }));
        assert!(!lines[0].is_whole());
    }

    #[test]
    fn a_goal_against_nothing_is_not_met() {
        assert_eq!(Line::new("a", "µs", 3.0).goal(Goal::TimesBase(9.0)).stands(), Some(f64::INFINITY));
    }
}
