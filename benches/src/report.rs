//! What a part hands back, and how it is told.

mod line;
mod plot;
mod run;
mod table;

pub(crate) use self::{
    line::{Goal, Line, median},
    run::Run,
    table::print,
};
