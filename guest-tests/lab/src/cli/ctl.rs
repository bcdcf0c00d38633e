// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! `irqstorm ctl`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::completion;

const CTL_HELP: &str = "\
Every command has examples: 'irqstorm ctl release --help'.

Examples:
  irqstorm ctl hold
  irqstorm ctl list
  irqstorm ctl release 1
  irqstorm ctl fire queue=0 count=3
  irqstorm ctl set latency.fixed=80us
  irqstorm ctl watch phase-entered marked

Exit codes:
  0    done
  2    what was asked for cannot be, or the device refused it
  3    there is no device, or it does not answer";

const FILTER_HELP: &str = "\
Which requests, all of these together; what is absent matches all:
  operation=read,write   read, write, flush, discard, write-zeroes, identify,
                         malformed
  queue=0,2              queues
  lba=2048..4096         sectors of 512 bytes in which they begin; also A..=B,
                         A.., ..B
  size=4KiB..=64KiB      data bytes, the same forms";

/// Where the device is.
#[derive(Clone, Debug, Args)]
pub(crate) struct SocketArgument {
    /// The device's control socket [default: that of the one 'irqstorm run'
    /// of this user]
    #[arg(
        long = "socket",
        value_name = "PATH",
        env = "IRQSTORM_CONTROL",
        global = true
    )]
    pub(crate) path: Option<PathBuf>,
}

/// `irqstorm ctl`.
#[derive(Debug, Args)]
#[command(after_help = CTL_HELP, arg_required_else_help = true)]
pub(crate) struct CtlArguments {
    #[command(flatten)]
    pub(crate) socket: SocketArgument,
    /// Print the device's lines as they come
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

/// What a device can be told.
#[derive(Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// Show the scenario, its phase, the precision and the counters
    #[command(after_help = "Examples:\n  irqstorm ctl status\n  \
        irqstorm ctl status --json | jq .total.spurious")]
    Status,
    /// Hold completions from now on, all or some
    #[command(after_help = format!("{FILTER_HELP}\n\n\
        Examples:\n  irqstorm ctl hold\n  irqstorm ctl hold operation=flush\n  \
        irqstorm ctl hold queue=1 size=..4KiB"))]
    Hold {
        /// operation=, queue=, lba=, size=
        #[arg(value_name = "KEY=VALUE", add = completion::hold())]
        words: Vec<String>,
    },
    /// Stop holding; what is held stays so until released
    #[command(after_help = "Example:\n  irqstorm ctl unhold && irqstorm ctl release")]
    Unhold,
    /// Show what is held, oldest first
    #[command(after_help = format!("{FILTER_HELP}\n  \
        limit=N                at most so many\n  \
        newest=true            the newest first\n\n\
        Examples:\n  irqstorm ctl list\n  irqstorm ctl list operation=write limit=20 newest=true"))]
    List {
        /// limit=, newest=, operation=, queue=, lba=, size=
        #[arg(value_name = "KEY=VALUE", add = completion::list())]
        words: Vec<String>,
    },
    /// Let held completions go, oldest first
    #[command(after_help = format!("{FILTER_HELP}\n  \
        request=N, or N alone  this request\n  \
        count=N                at most so many\n  \
        newest=true            the newest first\n  \
        min_age=10ms           that arrived at least so long ago\n  \
        part=completion        made visible, the interrupt still owed; part=interrupt\n\
        \x20                        then decides it; both when absent\n\n\
        Examples:\n  irqstorm ctl release\n  irqstorm ctl release 1\n  \
        irqstorm ctl release queue=0 count=3 newest=true\n  \
        irqstorm ctl release lba=0..8192 min_age=10ms\n  \
        irqstorm ctl release part=completion; irqstorm ctl release part=interrupt"))]
    Release {
        /// A request's number, or request=, count=, newest=, min_age=, part=,
        /// operation=, queue=, lba=, size=
        #[arg(value_name = "N|KEY=VALUE", add = completion::release())]
        words: Vec<String>,
    },
    /// Raise interrupts with no completion behind them
    #[command(after_help = "Examples:\n  irqstorm ctl fire\n  \
        irqstorm ctl fire queue=0,2 count=3\n  irqstorm ctl fire config=true")]
    Fire {
        /// queue=, count=, config=
        #[arg(value_name = "KEY=VALUE", add = completion::fire())]
        words: Vec<String>,
    },
    /// Raise one interrupt on every queue at one instant
    #[command(after_help = "Example:\n  irqstorm ctl volley")]
    Volley,
    /// Have an NVMe controller fail (CSTS.CFS): it completes nothing until its
    /// driver resets it
    #[command(after_help = "Example:\n  irqstorm ctl fail")]
    Fail,
    /// Start or stop the scenario's storms, all or one
    #[command(
        after_help = "Examples:\n  irqstorm ctl storm stop\n  irqstorm ctl storm start noise"
    )]
    Storm {
        /// Which
        action: StormAction,
        /// The storm's name; all of them when absent
        #[arg(value_name = "NAME", add = completion::storms())]
        name: Option<String>,
    },
    /// Replace the scenario for what arrives from now on
    #[command(after_help = "Examples:\n  irqstorm ctl scenario default-storm\n  \
        irqstorm ctl scenario ./my.toml")]
    Scenario {
        /// A file, or a shipped scenario's name
        #[arg(value_name = "NAME|FILE", add = completion::scenarios())]
        scenario: String,
    },
    /// Turn a knob of the scenario
    #[command(after_help = "\
A knob is a path in the scenario ('irqstorm ctl get' shows it); storms, rules
and phases go by their place or name. A value is what a scenario would say:
a number, true or false, a text with its unit, or a table in TOML or JSON.

Examples:
  irqstorm ctl set latency.fixed=80us
  irqstorm ctl set storm.noise.rate=20kHz
  irqstorm ctl set interrupt=per-completion
  irqstorm ctl set 'interrupt={ coalesced = { count = 8, time = \"100us\" } }'")]
    Set {
        /// The knob and its value
        #[arg(value_name = "KNOB=VALUE", add = completion::settings())]
        setting: String,
    },
    /// Show a knob, or the whole scenario
    #[command(after_help = "Examples:\n  irqstorm ctl get\n  irqstorm ctl get storm.0.rate")]
    Get {
        /// Its path; the whole scenario when absent
        #[arg(value_name = "KNOB", add = completion::knobs())]
        knob: Option<String>,
    },
    /// Go on to the next phase, or to the one of this name
    #[command(after_help = "Examples:\n  irqstorm ctl phase\n  irqstorm ctl phase calm")]
    Phase {
        /// Its name; the next one when absent
        #[arg(value_name = "NAME", add = completion::phases())]
        to: Option<String>,
    },
    /// Set a mark: a phase and whoever waits for it go on
    #[command(after_help = "Example:\n  irqstorm ctl mark go")]
    Mark {
        /// The mark
        #[arg(value_name = "NAME", add = completion::marks())]
        name: String,
    },
    /// Wait until a mark is set
    #[command(after_help = "\
  count=N                until it has been set so often since the device's
                         start; once more from now on when absent
  timeout=10s            at most so long; 60s when absent, 3600s at most

Examples:
  irqstorm ctl wait calm
  irqstorm ctl wait sweep count=10 timeout=5s

Exit code 2 if it was not set in time.")]
    Wait {
        /// The mark
        #[arg(value_name = "MARK", add = completion::marks())]
        mark: String,
        /// count=, timeout=
        #[arg(value_name = "KEY=VALUE", add = completion::wait())]
        words: Vec<String>,
    },
    /// Print events as they happen, a line each, until ^C
    #[command(after_help = "\
A device busier than its watcher can read leaves events out and says how many.

Examples:
  irqstorm ctl watch
  irqstorm ctl watch phase-entered marked guard-paused
  irqstorm ctl watch --json completed | jq .event.request")]
    Watch {
        /// The kinds of event; all of them when absent
        #[arg(value_name = "EVENT", add = completion::events())]
        events: Vec<String>,
    },
    /// Print every counter as OpenMetrics text
    #[command(after_help = "Example:\n  \
        irqstorm ctl metrics > /var/lib/node_exporter/irqstorm.prom")]
    Metrics,
}

/// What can be done with storms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StormAction {
    /// They run from now on.
    Start,
    /// They rest.
    Stop,
}
