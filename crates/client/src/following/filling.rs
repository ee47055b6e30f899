//! Holes, as a following deals with them.

use std::time::Duration;

use sosik_wire::{Down, EventFrame};

use super::{Following, Ready, Side};
use crate::{
    dedupe::Verdict,
    delivery::Delivery,
    error::Error,
    heal::{self, Healed, Healing},
    line::End,
    start::Ask,
};

impl Following {
    /// Reads again what follows the place of a connection, because of the hole before `event`.
    pub(super) fn heal(&mut self, side: Side, event: EventFrame) {
        self.counts.holes += 1;
        let Some(place) = self.link(side).map(|link| link.place.clone()) else { return };
        let ask = Ask { channels: self.channels.clone(), from: place };
        self.healing = Some((side, Box::new(Healing::new(self.client.target().clone(), ask, event))));
    }

    /// Takes part of what was read again.
    pub(super) fn healed(&mut self, part: Result<Healed, Error>) {
        let Some((side, healing)) = self.healing.take() else { return };
        match part {
            Ok(Healed { frames, reached }) => {
                frames.into_iter().for_each(|frame| self.reread(frame));
                if reached {
                    self.filled(side, healing.into_event());
                } else {
                    self.healing = Some((side, healing));
                }
            }
            // From the last place everything comes again, the hole too, and with it another attempt to fill it.
            Err(error) => {
                let advice = error.advice();
                self.end(side, End { error, advice, lived: Duration::ZERO });
            }
        }
    }

    fn reread(&mut self, frame: Down) {
        match frame {
            Down::Event(event) => match self.dedupe.event(&event) {
                Verdict::New => self.ready.push_back(Ready::Tell(Delivery::Event(event))),
                Verdict::Repeat => self.counts.repeats += 1,
                Verdict::Hole { expected } => self.leave(event, expected),
            },
            Down::Gap(gap) if self.dedupe.gap(&gap) => self.ready.push_back(Ready::Gap(gap)),
            _ => {}
        }
    }

    /// The event behind a hole, after what could be read of it.
    fn filled(&mut self, side: Side, event: EventFrame) {
        match self.dedupe.event(&event) {
            Verdict::New => self.event(side, event),
            Verdict::Repeat => self.counts.repeats += 1,
            Verdict::Hole { expected } => {
                self.moved(side, event.cursor.clone());
                self.promote(side);
                self.leave(event, expected);
            }
        }
    }

    /// A hole stays: it is told as a gap, and the event behind it delivered.
    fn leave(&mut self, event: EventFrame, expected: u64) {
        self.counts.holes_left += 1;
        self.dedupe.accept(&event);
        self.ready.push_back(Ready::Gap(heal::left(&event, expected)));
        self.ready.push_back(Ready::Tell(Delivery::Event(event)));
    }
}
