// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm top`.

use clap::Args;
use irqstorm_core::units::Nanos;

use super::SocketArgument;

const TOP_HELP: &str = "\
Keys:
  h      hold completions, or stop          p      on to the next phase
  s      release the oldest held one        space  pause the display
  r      release all that are held          t      per second, totals or both
  f      fire an interrupt on every queue   up, down  more queues
  v      a volley                           ?      help
  q      quit

Examples:
  irqstorm top
  irqstorm top --socket /tmp/control.sock --interval 200ms
  NO_COLOR=1 irqstorm top

Exit codes:
  0    quit with q
  2    standard input or output is no terminal, or no device to be found
  3    the device went away
  130  ^C or a signal; the terminal is as it was before";

/// `irqstorm top`.
#[derive(Debug, Args)]
#[command(after_help = TOP_HELP)]
pub(crate) struct TopArguments {
    #[command(flatten)]
    pub(crate) socket: SocketArgument,
    /// Between two looks at the device, 50ms to 60s
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_interval)]
    pub(crate) interval: Nanos,
}

fn parse_interval(text: &str) -> Result<Nanos, String> {
    text.parse()
        .ok()
        .filter(|time| (Nanos::from_millis(50)..=Nanos::from_millis(60_000)).contains(time))
        .ok_or_else(|| "a time with its unit from 50ms to 60s, as in 500ms or 2s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_needs_its_unit_and_its_range() {
        assert_eq!(parse_interval("200ms"), Ok(Nanos::from_millis(200)));
        for text in ["", "200", "49ms", "61s", "-1s"] {
            assert!(parse_interval(text).is_err(), "{text} was taken");
        }
    }
}
