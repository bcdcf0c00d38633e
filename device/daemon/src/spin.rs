// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How the last stretch before a deadline is waited through: asleep, which
//! costs the machine's wake-up time, or spinning, which costs a CPU.

use std::str::FromStr;
use std::thread;

use irqstorm_core::event::Floor;
use irqstorm_core::units::Nanos;

/// The longest window that is chosen without being asked for.
const LONGEST_CHOSEN: Nanos = Nanos::from_micros(200);

/// The longest window that can be asked for.
const LONGEST: Nanos = Nanos::from_millis(10);

/// What `--spin` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spin {
    /// As long as a wake-up takes here, while a CPU is to spare.
    Auto,
    /// Never.
    Off,
    /// So long, whatever else runs.
    For(Nanos),
}

/// A text that is none of them.
#[derive(Debug, thiserror::Error)]
#[error("write auto, off, or a time above 0 and at most {LONGEST}, as in 50us")]
pub(crate) struct SpinError;

impl FromStr for Spin {
    type Err = SpinError;

    fn from_str(text: &str) -> Result<Spin, SpinError> {
        match text {
            "auto" => return Ok(Spin::Auto),
            "off" => return Ok(Spin::Off),
            _ => {}
        }
        match text.parse::<Nanos>() {
            Ok(time) if time > Nanos::ZERO && time <= LONGEST => Ok(Spin::For(time)),
            _ => Err(SpinError),
        }
    }
}

/// What is made of it as drivers come and go.
pub(crate) struct Spinning {
    spin: Spin,
    /// A wake-up's time.
    wakeup: Nanos,
    /// CPUs that this process may run on.
    cpus: usize,
    window: Nanos,
    /// Whether it was said that the loop spins, and that it does not.
    told: [bool; 2],
}

impl Spinning {
    /// On this machine, nobody being connected yet.
    pub(crate) fn new(spin: Spin, floor: Floor) -> Spinning {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        Spinning::with_cpus(spin, floor.wakeup_p99, cpus)
    }

    fn with_cpus(spin: Spin, wakeup: Nanos, cpus: usize) -> Spinning {
        Spinning {
            spin,
            wakeup,
            cpus,
            window: Nanos::ZERO,
            told: [false; 2],
        }
    }

    /// How long before a deadline the loop stops sleeping.
    pub(crate) fn window(&self) -> Nanos {
        self.window
    }

    /// A driver has so many queues now. A guest has about as many vCPUs as it
    /// has queues: to take one of their CPUs would cost more than it gains.
    pub(crate) fn attached(&mut self, queues: usize) {
        if queues == 0 {
            self.window = Nanos::ZERO;
            return;
        }
        let spare = self.cpus > queues + 1;
        self.window = match self.spin {
            Spin::For(window) => window,
            Spin::Auto if spare => self.wakeup.min(LONGEST_CHOSEN),
            Spin::Auto | Spin::Off => Nanos::ZERO,
        };
        self.tell(queues);
    }

    /// Says once that the loop spins, once that it does not, and why.
    fn tell(&mut self, queues: usize) {
        let spins = self.window > Nanos::ZERO;
        if std::mem::replace(&mut self.told[usize::from(spins)], true) {
            return;
        }
        let (window, cpus) = (self.window, self.cpus);
        match self.spin {
            Spin::For(_) => tracing::info!("spins for the last {window} of each wait: --spin"),
            Spin::Off => tracing::info!("sleeps through each wait: --spin off"),
            Spin::Auto if spins => tracing::info!(
                "spins for the last {window} of each wait, as long as a wake-up takes here: \
                 {cpus} CPUs, {queues} queues"
            ),
            Spin::Auto => tracing::info!(
                "sleeps through each wait: {cpus} CPUs and {queues} queues leave none to spin on; \
                 --spin TIME spins nevertheless"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_say_how_to_spin_are_read_and_others_refused() {
        assert_eq!("auto".parse::<Spin>().unwrap(), Spin::Auto);
        assert_eq!("off".parse::<Spin>().unwrap(), Spin::Off);
        let time = "50us".parse::<Spin>().unwrap();
        assert_eq!(time, Spin::For(Nanos::from_micros(50)));
        for text in ["", "on", "50", "0us", "11ms", "-1us"] {
            assert!(text.parse::<Spin>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_loop_spins_by_itself_only_while_a_cpu_is_to_spare() {
        let wakeup = Nanos::from_micros(70);
        let mut spinning = Spinning::with_cpus(Spin::Auto, wakeup, 4);
        for (queues, window) in [(0, Nanos(0)), (2, wakeup), (3, Nanos(0)), (1, wakeup)] {
            spinning.attached(queues);
            assert_eq!(spinning.window(), window, "{queues}");
        }
        let mut slow = Spinning::with_cpus(Spin::Auto, Nanos::from_millis(3), 4);
        slow.attached(1);
        assert_eq!(slow.window(), LONGEST_CHOSEN);
    }

    #[test]
    fn what_was_asked_for_holds_whatever_the_machine() {
        let asked = Nanos::from_micros(30);
        for (spin, window) in [(Spin::For(asked), asked), (Spin::Off, Nanos::ZERO)] {
            let mut spinning = Spinning::with_cpus(spin, Nanos(1), 1);
            spinning.attached(64);
            assert_eq!(spinning.window(), window);
        }
    }
}
