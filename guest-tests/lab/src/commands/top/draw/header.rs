// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The lines above the queues: what is the same for all of them.

use irqstorm_core::control::{PhaseReply, Quantiles, StatusReply};
use irqstorm_core::units::Nanos;
use ratatui::style::Color;
use ratatui::text::{Line, Span};

use super::super::histogram;
use super::super::state::{State, progress};
use super::Theme;
use crate::figures;

/// The lines; what matters comes first, since a narrow terminal cuts the rest.
pub(super) fn lines<'s>(state: &State, status: &'s StatusReply, theme: &Theme) -> Vec<Line<'s>> {
    vec![
        title(state, status, theme),
        phase(status, theme),
        marks(status, theme),
        precision(status, theme),
        losses(status, theme),
    ]
}

fn title<'s>(state: &State, status: &'s StatusReply, theme: &Theme) -> Line<'s> {
    let mut spans = vec![
        Span::styled("irqstorm ", theme.strong()),
        Span::raw(format!("up {}  ", figures::time(status.at))),
        Span::styled(status.scenario.as_str(), theme.strong()),
        Span::raw(format!(", seed {}", status.seed)),
    ];
    for (on, word, colour) in [
        (!status.connected, "no driver", Color::Red),
        (status.holding, "holding", Color::Yellow),
        (status.storming, "storming", Color::Magenta),
        (state.is_paused(), "PAUSED", Color::Yellow),
    ] {
        if on {
            spans.push(Span::raw("  "));
            spans.push(Span::styled(word, theme.colour(colour)));
        }
    }
    Line::from(spans)
}

fn phase<'s>(status: &StatusReply, theme: &Theme) -> Line<'s> {
    const WIDTH: u16 = 20;
    let mut spans = vec![Span::styled("phase   ", theme.faint())];
    if let Some(thousandths) = progress(&status.phase) {
        let bar = histogram::bar(thousandths.into(), 1_000, WIDTH);
        let rest = usize::from(WIDTH).saturating_sub(bar.chars().count());
        spans.push(Span::raw("▕"));
        spans.push(Span::styled(bar, theme.bar()));
        spans.push(Span::raw(format!(
            "{}▏{:>3}%  ",
            " ".repeat(rest),
            thousandths / 10
        )));
    }
    spans.push(Span::raw(place(&status.phase)));
    Line::from(spans)
}

/// Where in the scenario, and for how long.
fn place(phase: &PhaseReply) -> String {
    let so_far = format!(
        "{}, {} requests",
        figures::time(phase.elapsed),
        figures::count(phase.requests)
    );
    if phase.name.is_empty() {
        return format!("none, {so_far}");
    }
    let round = match phase.round {
        0 => String::new(),
        round => format!(" round {}", round.saturating_add(1)),
    };
    format!(
        "{} {}/{}{round}, until {}: {so_far}",
        phase.name,
        phase.index.saturating_add(1),
        phase.of,
        phase.until
    )
}

fn marks<'s>(status: &StatusReply, theme: &Theme) -> Line<'s> {
    let each = status.marks.iter();
    let words: Vec<String> = each
        .map(|(mark, count)| format!("{mark} {count}"))
        .collect();
    let text = match words.is_empty() {
        true => "none yet".to_owned(),
        false => words.join("  "),
    };
    Line::from(vec![Span::styled("marks   ", theme.faint()), text.into()])
}

fn precision<'s>(status: &StatusReply, theme: &Theme) -> Line<'s> {
    let floor = &status.precision.floor;
    let over = |time: Nanos, floor: Nanos| figures::time(Nanos(time.0.saturating_sub(floor.0)));
    let late = |name: &str, times: &Quantiles| match times.count {
        0 => format!("{name} -"),
        _ => format!(
            "{name} +{} +{}",
            over(times.p50, floor.wakeup_p50),
            over(times.p99, floor.wakeup_p99)
        ),
    };
    let text = format!(
        "{}, {}, floor {} {} (p50 p99)",
        late("published", &status.precision.published),
        late("signalled", &status.precision.signalled),
        figures::time(floor.wakeup_p50),
        figures::time(floor.wakeup_p99)
    );
    Line::from(vec![Span::styled("late    ", theme.faint()), text.into()])
}

fn losses<'s>(status: &StatusReply, theme: &Theme) -> Line<'s> {
    let mut spans = vec![
        Span::styled("storms  ", theme.faint()),
        Span::raw(format!(
            "{} guard pauses, {} skipped, {} of the configuration",
            figures::count(status.guard_pauses),
            figures::count(status.storm_skipped),
            figures::count(status.config.signalled)
        )),
    ];
    if let Some(replay) = &status.replay {
        spans.push(Span::raw(format!(
            ", replay {}, {} not in it",
            figures::count(replay.repeated),
            figures::count(replay.unrecorded)
        )));
    }
    if status.events_dropped > 0 {
        let text = format!(", {} events dropped", figures::count(status.events_dropped));
        spans.push(Span::styled(text, theme.colour(Color::Red)));
    }
    Line::from(spans)
}
