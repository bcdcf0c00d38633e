// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A state to a frame, and nothing else: no clock, no device.

use irqstorm_core::control::{Quantiles, StatusReply};
use irqstorm_core::counters::Counters;
use irqstorm_core::units::Nanos;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table};

use super::histogram;
use super::keys::HELP;
use super::state::{Figures, State, progress};
use crate::commands::ctl::show;
use crate::figures;

/// A column: what it is called where there is little room and where there is
/// much, whether it is a level, and where it is.
type Column = (&'static str, &'static str, bool, fn(&Counters) -> u64);

const COLUMNS: [Column; 13] = [
    ("reqs", "requests", false, |c| c.requests),
    ("fly", "in flight", true, |c| c.in_flight),
    ("held", "held", true, |c| c.held),
    ("publ", "published", false, |c| c.published),
    ("want", "wanted", false, |c| c.wanted),
    ("sign", "signalled", false, |c| c.signalled),
    ("supp", "suppressed", false, |c| c.suppressed),
    ("early", "early", false, |c| c.early),
    ("drop", "dropped", false, |c| c.dropped),
    ("resc", "rescued", false, |c| c.rescued),
    ("dupl", "duplicated", false, |c| c.duplicated),
    ("spur", "spurious", false, |c| c.spurious),
    ("withh", "withheld", false, |c| c.withheld),
];

/// From this width on columns have their whole names.
const WIDE: u16 = 140;

/// Lines above the queues.
const HEADER: u16 = 5;

/// The least that the latencies get, their heading included, if it is there.
const LEAST_LATENCIES: u16 = 7;

/// The longest of the words before a bar, as in "65.5us - 131us".
const LABEL: usize = 17;

/// The longest count behind a bar.
const COUNT: u16 = 7;

/// Styles with colours, or without.
struct Theme {
    plain: bool,
}

impl Theme {
    fn strong(&self) -> Style {
        Style::new().bold()
    }

    fn faint(&self) -> Style {
        Style::new().dim()
    }

    fn colour(&self, colour: Color) -> Style {
        match self.plain {
            true => Style::new().bold(),
            false => Style::new().fg(colour).bold(),
        }
    }

    fn bar(&self) -> Style {
        match self.plain {
            true => Style::new(),
            false => Style::new().fg(Color::Cyan),
        }
    }
}

/// Draws the whole of it.
pub(super) fn draw(state: &State, frame: &mut Frame) {
    let theme = Theme {
        plain: state.is_plain(),
    };
    let parts = [
        Constraint::Length(HEADER),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [head, middle, foot] = Layout::vertical(parts).areas(frame.area());
    match state.status() {
        Some(status) => {
            frame.render_widget(Paragraph::new(header(state, status, &theme)), head);
            body(state, status, &theme, frame, middle);
        }
        None => frame.render_widget("waiting for the device", head),
    }
    frame.render_widget(footer(state, &theme), foot);
    if state.helps() {
        help(&theme, frame);
    }
}

fn header<'s>(state: &State, status: &'s StatusReply, theme: &Theme) -> Vec<Line<'s>> {
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
    spans.push(Span::raw(show::phase(&status.phase)));
    Line::from(spans)
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
            "{name} p50 +{} p99 +{}",
            over(times.p50, floor.wakeup_p50),
            over(times.p99, floor.wakeup_p99)
        ),
    };
    let text = format!(
        "{}, {}, over a floor of {} and {}",
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
            "{} guard pauses, {} instants skipped, configuration {}",
            figures::count(status.guard_pauses),
            figures::count(status.storm_skipped),
            figures::count(status.config.signalled)
        )),
    ];
    if let Some(replay) = &status.replay {
        spans.push(Span::raw(format!(
            ", replay {} repeated, {} not recorded",
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

/// The queues, and below them the latencies with what room is left.
fn body(state: &State, status: &StatusReply, theme: &Theme, frame: &mut Frame, area: Rect) {
    let queues = status.queues.len().saturating_sub(state.first_queue());
    // A heading, the queues, and the sum of all.
    let lines = |of_each: usize| {
        let lines = queues.saturating_add(1).saturating_mul(of_each);
        u16::try_from(lines.saturating_add(1)).unwrap_or(u16::MAX)
    };
    let room = area.height.saturating_sub(LEAST_LATENCIES);
    let figures = match state.figures() {
        Figures::Both if lines(2) > room => Figures::Rates,
        figures => figures,
    };
    let wanted = lines(if figures == Figures::Both { 2 } else { 1 });
    let least = room.max(area.height.min(3));
    let parts = [
        Constraint::Length(wanted.min(least)),
        Constraint::Length(1),
        Constraint::Fill(1),
    ];
    let [upper, _, lower] = Layout::vertical(parts).areas(area);
    table(state, status, figures, theme, frame, upper);
    latencies(status, theme, frame, lower);
}

fn table(
    state: &State,
    status: &StatusReply,
    figures: Figures,
    theme: &Theme,
    frame: &mut Frame,
    area: Rect,
) {
    let wide = area.width >= WIDE;
    let what = match figures {
        Figures::Both => "queue",
        Figures::Rates => "/s",
        Figures::Totals => "total",
    };
    let mut heading = vec![Text::from(what)];
    for (short, long, level, _) in COLUMNS {
        let name = if wide { long } else { short };
        // Levels stay levels whatever the others are.
        let style = if level { theme.faint() } else { Style::new() };
        heading.push(Text::styled(name, style).right_aligned());
    }
    let row = |name: String, queue: Option<usize>, counters: &Counters| {
        let cells = COLUMNS.iter().map(|(.., level, of)| {
            let rate = match level {
                true => None,
                false => state.rate(queue, *of).map(figures::count),
            };
            cell(*level, figures::count(of(counters)), rate, figures, theme)
        });
        let height = if figures == Figures::Both { 2 } else { 1 };
        let name = match figures {
            Figures::Both => Text::from(vec![Line::raw(name), Line::styled(" /s", theme.faint())]),
            _ => Text::from(name),
        };
        Row::new(std::iter::once(name).chain(cells)).height(height)
    };
    // The sum first: what is cut when there is no room are the last queues.
    let mut rows = vec![row("all".into(), None, &status.total).style(theme.strong())];
    let queues = status.queues.iter().enumerate().skip(state.first_queue());
    rows.extend(queues.map(|(queue, counters)| row(queue.to_string(), Some(queue), counters)));
    let widths = std::iter::once(Constraint::Length(5)).chain(COLUMNS.map(|_| Constraint::Fill(1)));
    let table = Table::new(rows, widths)
        .header(Row::new(heading).style(theme.strong()))
        .column_spacing(1);
    frame.render_widget(table, area);
}

fn cell<'t>(
    level: bool,
    total: String,
    rate: Option<String>,
    figures: Figures,
    theme: &Theme,
) -> Text<'t> {
    let text = match (figures, rate) {
        (Figures::Both, Some(rate)) => {
            Text::from(vec![Line::raw(total), Line::styled(rate, theme.faint())])
        }
        (Figures::Rates, Some(rate)) => Text::from(rate),
        // Nothing was counted a second yet.
        (Figures::Rates, None) if !level => Text::from("-"),
        _ => Text::from(total),
    };
    text.right_aligned()
}

fn latencies(status: &StatusReply, theme: &Theme, frame: &mut Frame, area: Rect) {
    let (count, mean) = histogram::mean(status);
    let mut lines = vec![Line::styled(
        match mean {
            Some(mean) => format!(
                "latency, from arrival to visible: {} completions, mean {}",
                figures::count(count),
                figures::time(mean)
            ),
            None => "latency, from arrival to visible: none yet".to_owned(),
        },
        theme.strong(),
    )];
    let buckets = histogram::buckets(status, area.height.saturating_sub(1).into());
    let largest = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    let words = u16::try_from(LABEL).unwrap_or(u16::MAX) + 2 + COUNT + 1;
    let width = area.width.saturating_sub(words);
    for bucket in buckets {
        let label = format!(
            "{} - {}",
            figures::time(bucket.from),
            figures::time(bucket.to)
        );
        lines.push(Line::from(vec![
            Span::raw(format!("{label:>LABEL$}  ")),
            Span::styled(histogram::bar(bucket.count, largest, width), theme.bar()),
            Span::styled(format!(" {}", figures::count(bucket.count)), theme.faint()),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn footer<'s>(state: &'s State, theme: &Theme) -> Line<'s> {
    match state.message() {
        Some((text, true)) => Line::styled(text, theme.colour(Color::Red)),
        Some((text, false)) => Line::from(vec![
            Span::styled(text, theme.colour(Color::Green)),
            Span::styled("   ? help", theme.faint()),
        ]),
        None => Line::styled(
            "h hold  s step  r release  f fire  v volley  p phase  space pause  q quit  ? help",
            theme.faint(),
        ),
    }
}

fn help(theme: &Theme, frame: &mut Frame) {
    let lines: Vec<Line> = HELP
        .iter()
        .map(|(key, does)| {
            Line::from(vec![
                Span::styled(format!(" {key:<9}"), theme.strong()),
                Span::raw(format!(" {does} ")),
            ])
        })
        .collect();
    let height = u16::try_from(lines.len().saturating_add(2)).unwrap_or(u16::MAX);
    let area = frame
        .area()
        .centered(Constraint::Length(52), Constraint::Length(height));
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" keys ")),
        area,
    );
}

#[cfg(test)]
mod tests;
