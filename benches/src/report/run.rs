//! Everything that one run has measured, as it is left behind.

use std::{env, fs, path::PathBuf};

use serde_json::{Value, json};

use super::{Line, plot, table};
use crate::{Failed, load::clock, machine, parts::Setting};

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    machine: Value,
    mode: &'static str,
    began_ns: u64,
    lines: Vec<Line>,
}

impl Run {
    pub(crate) fn begin(setting: &Setting) -> Self {
        let machine = machine::describe();
        println!("{machine}");
        Self { machine, mode: setting.either("short", "full"), began_ns: clock::ns(), lines: Vec::new() }
    }

    pub(crate) fn add(&mut self, lines: Vec<Line>) {
        self.lines.extend(lines);
    }

    /// Writes `results.json`, its table and `goals.svg` to `target/bench/` (or to `SOSIK_BENCH_OUT`).
    pub(crate) fn write(&self, failed: &[String]) -> Result<(), Failed> {
        let directory =
            env::var_os("SOSIK_BENCH_OUT").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from);
        fs::create_dir_all(&directory)?;
        let results = json!({
            "machine": self.machine,
            "mode": self.mode,
            "seconds": (clock::ns() - self.began_ns) as f64 / 1e9,
            "lines": self.lines.iter().map(Line::json).collect::<Vec<_>>(),
            "failed": failed,
        });
        let path = directory.join("results.json");
        fs::write(&path, serde_json::to_string_pretty(&results)? + "\n")?;
        println!("\nwritten: {}", path.display());
        let path = directory.join("results.md");
        fs::write(&path, table::markdown(&self.lines))?;
        println!("written: {}", path.display());
        let path = directory.join("goals.svg");
        if plot::draw(&path, &self.lines)? {
            println!("written: {}", path.display());
        }
        Ok(())
    }

    /// The lines in which something was lost, repeated, out of order or cut, in words.
    pub(crate) fn not_whole(&self) -> impl Iterator<Item = String> {
        let lines = self.lines.iter().filter(|line| !line.is_whole());
        lines.map(|line| format!("{}: not everything came once and in order: {:?}", line.id, line.tally))
    }
}
