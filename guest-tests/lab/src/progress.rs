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

/// A stage that took less is not spoken of when it is over.
const WORTH_A_LINE: Duration = Duration::from_secs(2);

/// What stands ahead of each stage: where all of the work is. Shared with who
/// knows.
pub(crate) type Lead = Rc<RefCell<String>>;

/// Draws the stages of a run.
pub(crate) struct Stages {
    terminal: bool,
    /// Ahead of the first plain line of a stage; one that is over by then has
    /// none.
    patience: Duration,
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
            patience: Duration::ZERO,
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

    /// On stderr. If that is no terminal only what takes long is said, so that
    /// what others write there is alone as a rule.
    pub(crate) fn patient() -> Stages {
        let mut stages = Stages::new();
        if !stages.terminal {
            stages.patience = PLAIN_EVERY;
        }
        stages
    }

    /// The present stage is over.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let took = self.begun.elapsed();
        if !self.stage.is_empty() && took >= self.patience.max(WORTH_A_LINE) {
            eprintln!("{}: {} s", self.stage, took.as_secs());
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
            None if self.printed.elapsed() >= PLAIN_EVERY => {
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
            None if self.patience.is_zero() => eprintln!("{line}"),
            None => {}
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
            false if self.patience.is_zero() => eprintln!("{} ...", self.stage),
            false => {}
        }
    }

    fn at(&mut self, step: u64) {
        if let Some(bar) = &self.bar {
            // More steps than foreseen: the last one stays the last.
            bar.set_position(self.steps.map_or(step, |steps| step.min(steps)));
            return;
        }
        if self.printed.elapsed() >= PLAIN_EVERY {
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
