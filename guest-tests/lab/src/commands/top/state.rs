// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is shown: the newest two looks at the device, and how to show them.

use irqstorm_core::control::{PhaseReply, StatusReply};
use irqstorm_core::counters::Counters;
use irqstorm_core::units::Nanos;

/// What the figures of a queue are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Figures {
    /// Totals with what was counted a second below them.
    #[default]
    Both,
    /// Counted a second.
    Rates,
    /// Since the device's start.
    Totals,
}

/// A wish to see something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The display stands, or goes on.
    Pause,
    /// The help comes or goes.
    Help,
    /// Other figures.
    Figures,
    /// An earlier queue.
    Up,
    /// A later queue.
    Down,
}

/// The whole of what is shown.
#[derive(Debug)]
pub(super) struct State {
    newest: Option<StatusReply>,
    before: Option<StatusReply>,
    message: Option<(String, bool)>,
    paused: bool,
    help: bool,
    figures: Figures,
    first_queue: usize,
    plain: bool,
}

impl State {
    /// Nothing yet; `plain` is without colours.
    pub(super) fn new(plain: bool) -> State {
        State {
            newest: None,
            before: None,
            message: None,
            paused: false,
            help: false,
            figures: Figures::default(),
            first_queue: 0,
            plain,
        }
    }

    /// Takes a newer look at the device, unless paused.
    pub(super) fn take(&mut self, status: StatusReply) {
        if self.paused {
            return;
        }
        let last = status.queues.len().saturating_sub(1);
        self.first_queue = self.first_queue.min(last);
        self.before = self.newest.replace(status);
    }

    /// Shows what became of a command.
    pub(super) fn say(&mut self, text: String, refused: bool) {
        self.message = Some((text, refused));
    }

    /// Shows something else.
    pub(super) fn show(&mut self, change: Change) {
        match change {
            Change::Pause => self.paused = !self.paused,
            Change::Help => self.help = !self.help,
            Change::Figures => {
                self.figures = match self.figures {
                    Figures::Both => Figures::Rates,
                    Figures::Rates => Figures::Totals,
                    Figures::Totals => Figures::Both,
                }
            }
            Change::Up => self.first_queue = self.first_queue.saturating_sub(1),
            Change::Down => {
                let queues = self.newest.as_ref().map_or(0, |status| status.queues.len());
                let last = queues.saturating_sub(1);
                self.first_queue = self.first_queue.saturating_add(1).min(last);
            }
        }
    }

    /// The newest look.
    pub(super) fn status(&self) -> Option<&StatusReply> {
        self.newest.as_ref()
    }

    /// What became of the last command, and whether it was refused.
    pub(super) fn message(&self) -> Option<(&str, bool)> {
        let (text, refused) = self.message.as_ref()?;
        Some((text, *refused))
    }

    /// Whether the display stands.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether the help is shown.
    pub(super) fn helps(&self) -> bool {
        self.help
    }

    /// Which figures are shown.
    pub(super) fn figures(&self) -> Figures {
        self.figures
    }

    /// The first queue that is shown.
    pub(super) fn first_queue(&self) -> usize {
        self.first_queue
    }

    /// Whether there are no colours.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// How much of one of a queue's counters came a second between the last
    /// two looks; of all queues' without one. None before the second look.
    pub(super) fn rate(&self, queue: Option<usize>, of: fn(&Counters) -> u64) -> Option<u64> {
        let (newest, before) = (self.newest.as_ref()?, self.before.as_ref()?);
        let count = |status: &StatusReply| match queue {
            Some(queue) => status.queues.get(queue).map_or(0, of),
            None => of(&status.total),
        };
        per_second(
            count(newest).saturating_sub(count(before)),
            newest.at.0.checked_sub(before.at.0)?,
        )
    }
}

fn per_second(count: u64, nanos: u64) -> Option<u64> {
    let second = u128::from(Nanos::from_millis(1_000).0);
    let rate = (u128::from(count) * second).checked_div(nanos.into())?;
    u64::try_from(rate).ok()
}

/// How far a phase is, in thousandths, if time or requests end it.
pub(super) fn progress(phase: &PhaseReply) -> Option<u16> {
    let (done, of) = match phase.until.strip_suffix(" requests") {
        Some(count) => (phase.requests, count.parse().ok()?),
        None => (phase.elapsed.0, phase.until.parse::<Nanos>().ok()?.0),
    };
    let thousandths = (u128::from(done) * 1_000).checked_div(of.into())?;
    Some(u16::try_from(thousandths).unwrap_or(u16::MAX).min(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(millis: u64, signalled: u64) -> StatusReply {
        let counters = Counters {
            signalled,
            ..Counters::default()
        };
        StatusReply {
            at: Nanos::from_millis(millis),
            total: counters,
            queues: vec![counters],
            ..StatusReply::default()
        }
    }

    #[test]
    fn rates_are_those_between_the_last_two_looks() {
        let mut state = State::new(true);
        let rate = |state: &State, queue| state.rate(queue, |counters| counters.signalled);
        state.take(look(1_000, 10));
        assert_eq!(rate(&state, None), None);
        state.take(look(1_500, 60));
        assert_eq!(rate(&state, None), Some(100));
        assert_eq!(rate(&state, Some(0)), Some(100));
        assert_eq!(rate(&state, Some(7)), Some(0));
        state.take(look(1_500, 60));
        assert_eq!(rate(&state, None), None, "no time has passed");
    }

    #[test]
    fn a_paused_display_stands() {
        let mut state = State::new(true);
        state.take(look(1, 1));
        state.show(Change::Pause);
        state.take(look(2, 2));
        assert_eq!(state.status().unwrap().total.signalled, 1);
        state.show(Change::Pause);
        state.take(look(3, 3));
        assert_eq!(state.status().unwrap().total.signalled, 3);
    }

    #[test]
    fn scrolling_ends_at_the_last_queue() {
        let mut state = State::new(true);
        state.show(Change::Down);
        assert_eq!(state.first_queue(), 0);
        let mut two = look(1, 1);
        two.queues.push(Counters::default());
        state.take(two);
        state.show(Change::Down);
        state.show(Change::Down);
        assert_eq!(state.first_queue(), 1);
        state.show(Change::Up);
        state.show(Change::Up);
        assert_eq!(state.first_queue(), 0);
    }

    #[test]
    fn phases_that_time_or_requests_end_have_progress() {
        let phase = |until: &str| PhaseReply {
            until: until.into(),
            elapsed: Nanos::from_millis(500),
            requests: 30,
            ..PhaseReply::default()
        };
        assert_eq!(progress(&phase("2s")), Some(250));
        assert_eq!(progress(&phase("40 requests")), Some(750));
        assert_eq!(progress(&phase("10 requests")), Some(1_000));
        assert_eq!(progress(&phase("mark go")), None);
        assert_eq!(progress(&phase("a command")), None);
    }
}
