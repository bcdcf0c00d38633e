// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A state to a frame, and nothing else: no clock, no device.

mod header;

use irqstorm_core::control::StatusReply;
use irqstorm_core::counters::Counters;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table};

use super::histogram;
use super::keys::HELP;
use super::state::{Figures, State};
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

/// The columns that are there even if nothing was counted and room is scarce.
const ALWAYS: usize = 7;

/// The width of the first column.
const NAME: u16 = 5;

/// What a count takes, with the space before it.
const CELL: u16 = 6;

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
            frame.render_widget(Paragraph::new(header::lines(state, status, &theme)), head);
            body(state, status, &theme, frame, middle);
        }
        None => frame.render_widget("waiting for the device", head),
    }
    frame.render_widget(footer(state, &theme), foot);
    if state.helps() {
        help(&theme, frame);
    }
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
    let columns = columns(status, area.width);
    let what = match figures {
        Figures::Both => "queue",
        Figures::Rates => "/s",
        Figures::Totals => "total",
    };
    let mut heading = vec![Text::from(what)];
    for (short, long, level, _) in &columns {
        let name = if wide { *long } else { *short };
        // Levels stay levels whatever the others are.
        let style = if *level { theme.faint() } else { Style::new() };
        heading.push(Text::styled(name, style).right_aligned());
    }
    let row = |name: String, queue: Option<usize>, counters: &Counters| {
        let cells = columns.iter().map(|(.., level, of)| {
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
    let each = columns.iter().map(|_| Constraint::Fill(1));
    let widths = std::iter::once(Constraint::Length(NAME)).chain(each);
    let table = Table::new(rows, widths)
        .header(Row::new(heading).style(theme.strong()))
        .column_spacing(1);
    frame.render_widget(table, area);
}

/// All columns, or, where there is not the room, those that have counted.
fn columns(status: &StatusReply, width: u16) -> Vec<Column> {
    let all = u16::try_from(COLUMNS.len()).unwrap_or(u16::MAX);
    let room = width.saturating_sub(NAME) >= all.saturating_mul(CELL);
    let numbered = COLUMNS.into_iter().enumerate();
    numbered
        .filter(|(place, (.., of))| room || *place < ALWAYS || of(&status.total) > 0)
        .map(|(_, column)| column)
        .collect()
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
