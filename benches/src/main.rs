//! Figures of a release build over real sockets. One server process, this process as the load; both share the machine, so
//! ratios mean more than absolutes.
//!
//! Without arguments everything is measured; arguments name the parts: `sosik-bench publishes`.

mod catch_up;
mod deliveries;
mod log;
mod machine;
mod publishes;
mod readers;
mod server;
mod slow_sync;
mod times;

use serde_json::{Map, json};

use crate::server::Failed;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = asked.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(format!("there is no part {unknown}; there are {}", PARTS.join(", ")).into());
    }
    let mut figures = Map::new();
    figures.insert("machine".into(), json!(machine::describe()));
    for part in PARTS.iter().filter(|part| asked.is_empty() || asked.iter().any(|asked| asked == *part)) {
        println!("== {part}");
        let measured = match *part {
            "deliveries" => deliveries::run().await?,
            "log" => log::run().await?,
            "publishes" => publishes::run().await?,
            "catch_up" => catch_up::run().await?,
            "slow_sync" => slow_sync::run().await?,
            part => unreachable!("{part} is among the parts and has no arm"),
        };
        figures.insert((*part).into(), measured);
    }
    println!("{}", json!(figures));
    Ok(())
}

/// What can be measured, in this order.
const PARTS: &[&str] = &["deliveries", "log", "publishes", "catch_up", "slow_sync"];
