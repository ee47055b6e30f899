//! Figures of a release build over real sockets, each beside the floor or the baseline of the same run and its goal. One process
//! is measured, this one is the load; both share the machine with whatever else runs, so ratios mean more than absolutes.
//!
//! Without arguments everything is measured; arguments name the parts: `sosik-bench publishes`. `--full` takes longer and gives
//! medians of three.

mod floor;
mod load;
mod machine;
mod measure;
mod parts;
mod process;
mod report;

use std::{error::Error, time::Duration};

use crate::{
    floor::Floor,
    parts::{PARTS, Setting},
};

fn main() -> Result<(), Failed> {
    let mut asked: Vec<String> = std::env::args().skip(1).collect();
    if let Some(floor) = Floor::ALL.into_iter().find(|floor| asked == [floor.word()]) {
        return floor.main();
    }
    let full = asked.iter().any(|word| word == FULL);
    asked.retain(|word| word != FULL);
    if let Some(unknown) = asked.iter().find(|asked| !PARTS.iter().any(|(name, _)| name == asked)) {
        let names: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no part {unknown}; there are {}", names.join(", ")).into());
    }
    let setting = Setting::new(full);
    process::end_after(setting.either(SHORT_MOST, FULL_MOST))?;
    let chosen = PARTS.iter().filter(|(name, _)| asked.is_empty() || asked.iter().any(|asked| asked == name));
    let mut failed = Vec::new();
    let mut run = report::Run::begin(&setting);
    for (name, part) in chosen {
        println!("\n== {name}");
        let began = load::clock::now();
        match parts::repeated(&setting, *part) {
            Ok(lines) => {
                report::print(&lines);
                run.add(lines);
            }
            // The other parts are worth having; the run ends with an error all the same.
            Err(error) => {
                println!("failed: {error}");
                failed.push(format!("{name}: {error}"));
            }
        }
        println!("{:.0} s", began.elapsed().as_secs_f64());
    }
    run.write(&failed)?;
    failed.extend(run.not_whole());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ").into()) }
}

/// What anything here may end with.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

const FULL: &str = "--full";
/// A run that takes longer is ended; several times what it takes on a machine that is quite busy.
const SHORT_MOST: Duration = Duration::from_secs(20 * 60);
const FULL_MOST: Duration = Duration::from_secs(90 * 60);
