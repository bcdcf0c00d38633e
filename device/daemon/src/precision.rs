// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How well planned times were kept, over what the machine takes at least: two
//! lines of the log. The command `status` has the same figures at any time.

use std::sync::mpsc;
use std::time::Duration;

use irqstorm_core::control::{Command, Quantiles, StatusReply};
use irqstorm_core::event::Floor;
use irqstorm_core::inbox::{Inbox, Message, Respond};

/// How long a device that ends waits for its pump to say how it was.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says what the machine takes.
pub(crate) fn log_floor(floor: &Floor) {
    tracing::info!(
        "a bare wake-up comes {} late here (p99 {}), an interrupt takes {} to write",
        floor.wakeup_p50,
        floor.wakeup_p99,
        floor.write_p50
    );
}

/// Says at a device's end how late its steps were, if it had any.
pub(crate) fn log<Q>(inbox: &Inbox<Q>) {
    let Some(status) = status(inbox) else {
        return;
    };
    let precision = &status.precision;
    for (what, late) in [
        ("completions became visible", &precision.published),
        ("interrupts were written", &precision.signalled),
    ] {
        if late.count > 0 {
            tracing::info!("{}", sentence(what, late, &precision.floor));
        }
    }
}

fn sentence(what: &str, late: &Quantiles, floor: &Floor) -> String {
    format!(
        "{} {what} {} after their time (p99 {}, p99.9 {}, at most {}); a bare wake-up: {} (p99 {})",
        late.count, late.p50, late.p99, late.p999, late.max, floor.wakeup_p50, floor.wakeup_p99
    )
}

fn status<Q>(inbox: &Inbox<Q>) -> Option<StatusReply> {
    let (answer, answered) = mpsc::sync_channel(1);
    // Whoever has waited long enough hears no answer.
    let respond = Respond::new(move |result| drop(answer.send(result)));
    let command = Command::Status {};
    inbox.send(Message::Command { command, respond }).ok()?;
    let value = answered.recv_timeout(PATIENCE).ok()?.ok()?;
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use irqstorm_core::units::Nanos;

    #[test]
    fn lateness_is_told_over_the_floor() {
        let late = Quantiles {
            count: 12,
            p50: Nanos::from_micros(60),
            p99: Nanos::from_micros(150),
            ..Quantiles::default()
        };
        let floor = Floor {
            wakeup_p50: Nanos::from_micros(55),
            wakeup_p99: Nanos::from_micros(120),
            write_p50: Nanos(400),
        };
        assert_eq!(
            sentence("interrupts were written", &late, &floor),
            "12 interrupts were written 60us after their time (p99 150us, p99.9 0ns, at most \
             0ns); a bare wake-up: 55us (p99 120us)"
        );
    }
}
