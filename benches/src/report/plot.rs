//! How each figure stands to its goal, as bars: 1 is the goal, shorter is better.

use std::path::Path;

use plotters::prelude::*;

use super::{Line, table::short};
use crate::Failed;

/// Draws the lines that have a goal; `false` if there are none.
pub(crate) fn draw(path: &Path, lines: &[Line]) -> Result<bool, Failed> {
    let bars: Vec<(&Line, f64)> = lines
        .iter()
        .filter_map(|line| Some((line, line.stands().filter(|stands| stands.is_finite())?)))
        .collect();
    if bars.is_empty() {
        return Ok(false);
    }
    let height = TOP + BAR * bars.len() as i32 + BOTTOM;
    let root = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let text = |size: i32, color: &RGBColor| ("sans-serif", size).into_font().color(color);
    root.draw(&Text::new("figure ÷ goal: at most 1 is met", (LEFT, 10), text(20, &BLACK)))?;
    let at = |stands: f64| LEFT + (stands.min(MOST) / MOST * f64::from(WIDTH - LEFT - RIGHT)) as i32;
    for (number, (line, stands)) in bars.iter().enumerate() {
        let top = TOP + BAR * number as i32;
        let color = if *stands <= 1.0 { MET } else { MISSED };
        root.draw(&Text::new(line.id.clone(), (10, top + 3), text(16, &BLACK)))?;
        root.draw(&Rectangle::new([(LEFT, top + 2), (at(*stands), top + BAR - 3)], color.filled()))?;
        let told = format!("{} ({} {})", short(*stands), short(line.value), line.unit);
        root.draw(&Text::new(told, (at(*stands) + 5, top + 3), text(16, &BLACK)))?;
    }
    root.draw(&PathElement::new([(at(1.0), TOP - 4), (at(1.0), height - BOTTOM + 4)], BLACK))?;
    root.present()?;
    Ok(true)
}

const WIDTH: i32 = 960;
const LEFT: i32 = 300;
const RIGHT: i32 = 180;
const TOP: i32 = 40;
const BAR: i32 = 22;
const BOTTOM: i32 = 16;
/// A bar that is longer is cut; its number stands beside it.
const MOST: f64 = 4.0;
const MET: RGBColor = RGBColor(64, 145, 108);
const MISSED: RGBColor = RGBColor(200, 90, 60);
