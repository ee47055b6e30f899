//! Which data directory a command works on, and how it answers.

use std::{fmt::Display, path::PathBuf};

use serde::Serialize;

use crate::{failure::Failure, out::Out};

/// The options of every command for operators.
#[derive(Debug, clap::Args)]
pub(crate) struct DataArgs {
    /// The data directory of the server; sosik.toml is not read for it
    #[arg(long, env = "SOSIK_DATA", value_name = "DIR", default_value = "sosik-data")]
    pub(crate) data: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl DataArgs {
    /// Prints what was done.
    pub(crate) async fn print(&self, answer: &(impl Display + Serialize)) -> Result<(), Failure> {
        let mut out = Out::new(self.json);
        if self.json { out.json(answer).await } else { out.line(answer.to_string()).await }
    }
}
