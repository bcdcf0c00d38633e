// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Where long work is: a bar on a terminal, plain lines elsewhere. On stderr,
//! so that stdout is the report alone.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use irqstorm_images::Progress;

/// How often the bar moves by itself.
const TICK: Duration = Duration::from_millis(100);

/// Between two plain lines of one stage.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// What stands ahead of each stage: where all of the work is. Shared with who
/// knows.
pub(crate) type Lead = Rc<RefCell<String>>;

/// Draws the stages of a run.
pub(crate) struct Stages {
    terminal: bool,
    silent: bool,
    bar: Option<ProgressBar>,
    lead: Lead,
    stage: String,
    steps: Option<u64>,
    begun: Instant,
    printed: Instant,
}

impl Stages {
    /// On stderr.
    pub(crate) fn new() -> Stages {
        let now = Instant::now();
        Stages {
            terminal: std::io::stderr().is_terminal(),
            silent: false,
            bar: None,
            lead: Lead::default(),
            stage: String::new(),
            steps: None,
            begun: now,
            printed: now,
        }
    }

    /// The same, with this ahead of each stage.
    pub(crate) fn led_by(lead: Lead) -> Stages {
        let mut stages = Stages::new();
        stages.lead = lead;
        stages
    }

    /// On stderr if that is a terminal; elsewhere nothing is said, so that what
    /// others write there is alone.
    pub(crate) fn for_terminals() -> Stages {
        let mut stages = Stages::new();
        stages.silent = !stages.terminal;
        stages
    }

    /// The present stage is over.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let took = self.begun.elapsed().as_secs();
        if !self.stage.is_empty() && took >= 2 && !self.silent {
            eprintln!("{}: {took} s", self.stage);
        }
        self.stage.clear();
    }

    /// Shows where the present stage is, in its own words.
    pub(crate) fn detail(&mut self, text: &str) {
        // It came from the guest: one line, and short.
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.chars().take(70).map(clean).collect();
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {text}", self.stage)),
            None if self.printed.elapsed() >= PLAIN_EVERY && !self.silent => {
                self.printed = Instant::now();
                eprintln!("{} ... {text}", self.stage);
            }
            None => {}
        }
    }

    /// Prints a line for people, above the bar if there is one.
    pub(crate) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None if self.silent => {}
            None => eprintln!("{line}"),
        }
    }

    fn draw(&mut self) {
        let bar = match self.steps {
            Some(steps) => ProgressBar::new(steps),
            None => ProgressBar::new_spinner(),
        };
        let template = match self.steps {
            Some(_) => "{spinner} {msg} [{bar:30}] {percent}% {elapsed}",
            None => "{spinner} {msg} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(self.stage.clone());
        bar.enable_steady_tick(TICK);
        self.bar = Some(bar);
    }
}

impl Progress for Stages {
    fn begin(&mut self, stage: &str, steps: Option<u64>) {
        self.end();
        self.stage = format!("{}{stage}", self.lead.borrow());
        self.steps = steps;
        self.begun = Instant::now();
        self.printed = self.begun;
        match self.terminal {
            true => self.draw(),
            false if self.silent => {}
            false => eprintln!("{} ...", self.stage),
        }
    }

    fn at(&mut self, step: u64) {
        if let Some(bar) = &self.bar {
            // More steps than foreseen: the last one stays the last.
            bar.set_position(self.steps.map_or(step, |steps| step.min(steps)));
            return;
        }
        if self.printed.elapsed() >= PLAIN_EVERY && !self.silent {
            self.printed = Instant::now();
            match self.steps.filter(|&steps| steps > 0) {
                Some(steps) => {
                    let percent = step.min(steps).saturating_mul(100) / steps;
                    eprintln!("{} ... {percent}%", self.stage);
                }
                None => eprintln!("{} ... {step}", self.stage),
            }
        }
    }
}

impl Drop for Stages {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
