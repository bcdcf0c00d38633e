// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The timeline as one HTML file that needs nothing else: the slices as JSON
//! within it, and a script that draws them. Colours follow the reader's.

use std::collections::HashMap;

use askama::Template;
use irqstorm_core::request::Operation;
use serde::Serialize;

use super::timeline::{GROUPS, Kind, Request, Timeline};

/// Slices that a page still draws at once; trace.json has the others as well.
pub(super) const MOST_SLICES: usize = 120_000;

/// The page.
#[derive(Template)]
#[template(path = "timeline.html")]
struct Page<'a> {
    title: &'a str,
    about: &'a [String],
    kinds: Vec<&'static str>,
    data: String,
}

/// What the script draws. Times are in ns from the first slice on.
#[derive(Serialize)]
struct Data<'t> {
    end: i64,
    groups: [&'static str; 4],
    kinds: Vec<&'static str>,
    /// Kinds that are drawn faintly, and moments that are drawn from above.
    faint: Vec<usize>,
    above: Vec<usize>,
    operations: Vec<&'static str>,
    /// Group and name.
    rows: Vec<(u8, &'t str)>,
    names: Vec<&'t str>,
    /// One after the other: row, begin, length, kind, name, request.
    slices: Vec<i64>,
    /// Number, operation, sector, bytes, tagged.
    requests: Vec<(u64, usize, u64, u64, Option<bool>)>,
    /// Of each request, one after the other: slice, time.
    ways: Vec<Vec<i64>>,
    /// The request that is shown first.
    first: i64,
}

/// The page as text; what it is about stands below its title.
pub(super) fn html(timeline: &Timeline, title: &str, about: &[String]) -> askama::Result<String> {
    let data = Data::of(timeline);
    let json = serde_json::to_string(&data).map_err(|error| askama::Error::Custom(error.into()))?;
    let page = Page {
        title,
        about,
        kinds: data.kinds,
        // Names come from a guest: none of them ends the script.
        data: json.replace('<', "\\u003c"),
    };
    page.render()
}

impl Data<'_> {
    fn of(timeline: &Timeline) -> Data<'_> {
        let (begin, end) = timeline.span();
        let rows: HashMap<_, _> = timeline.rows.keys().zip(0_i64..).collect();
        let mut names = Vec::new();
        let mut known = HashMap::new();
        let mut slices = Vec::new();
        for slice in timeline.slices.iter().take(MOST_SLICES) {
            let name = *known.entry(slice.name.as_str()).or_insert_with(|| {
                names.push(slice.name.as_str());
                number(names.len() - 1)
            });
            slices.extend([
                rows.get(&slice.row).copied().unwrap_or_default(),
                slice.begin - begin,
                slice.end - slice.begin,
                slice.kind as i64,
                name,
                slice.request.map_or(-1, number),
            ]);
        }
        let ways: Vec<Vec<i64>> = timeline
            .requests
            .iter()
            .map(|request| way(request, begin))
            .collect();
        Data {
            end: end - begin,
            groups: GROUPS,
            kinds: Kind::ALL.map(Kind::name).to_vec(),
            faint: [Kind::Run, Kind::Off].map(|kind| kind as usize).to_vec(),
            above: [Kind::Take, Kind::Issue, Kind::Complete]
                .map(|kind| kind as usize)
                .to_vec(),
            operations: Operation::ALL.map(Operation::name).to_vec(),
            rows: timeline
                .rows
                .iter()
                .map(|(row, name)| (row.place().0, name.as_str()))
                .collect(),
            names,
            slices,
            requests: timeline.requests.iter().map(described).collect(),
            first: typical(timeline, &ways).map_or(-1, number),
            ways,
        }
    }
}

fn number(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// Nothing of a way that goes over slices that are not drawn.
fn way(request: &Request, begin: i64) -> Vec<i64> {
    let drawn = request.way.iter().all(|(slice, _)| *slice < MOST_SLICES);
    let steps = request.way.iter().filter(|_| drawn);
    steps
        .flat_map(|&(slice, at)| [number(slice), at - begin])
        .collect()
}

fn described(request: &Request) -> (u64, usize, u64, u64, Option<bool>) {
    let operation = Operation::ALL
        .iter()
        .position(|one| *one == request.operation);
    (
        request.number,
        operation.unwrap_or_default(),
        request.sector,
        request.bytes,
        request.tagged,
    )
}

/// Of the requests with the longest ways, tagged ones if there are any, the one
/// that took neither short nor long.
fn typical(timeline: &Timeline, ways: &[Vec<i64>]) -> Option<usize> {
    let rank = |index: &usize| {
        let tagged = timeline.requests.get(*index).and_then(|one| one.tagged);
        (ways.get(*index).map_or(0, Vec::len), tagged == Some(true))
    };
    let drawn = |index: &usize| ways.get(*index).is_some_and(|way| way.len() >= 4);
    let all: Vec<usize> = (0..ways.len()).filter(drawn).collect();
    let best = all.iter().map(rank).max()?;
    let mut alike: Vec<usize> = all.into_iter().filter(|one| rank(one) == best).collect();
    alike.sort_by_key(|index| {
        let way = ways.get(*index);
        way.and_then(|way| Some(way.last()? - way.get(1)?))
    });
    alike.get(alike.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::super::{guest, join, samples};
    use super::*;

    fn sample() -> Timeline {
        join::join(guest::follow(&samples::records()), &samples::events()).timeline
    }

    #[test]
    fn the_page_is_whole_and_needs_nothing_else() {
        let page = html(&sample(), "x on y", &["right to within 8 us".into()]).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
        for part in [
            "<h1>x on y</h1>",
            "right to within 8 us",
            "kworker/1:1",
            "dark",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for outside in ["http://", "https://", "url(", "@import", "<link", "src="] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn what_a_guest_names_is_text_and_never_markup() {
        let mut timeline = sample();
        for name in timeline.rows.values_mut() {
            name.push_str("</script><img src=x onerror=y>");
        }
        let page = html(&timeline, "<b>\"", &[]).unwrap();
        assert!(!page.contains("<img") && !page.contains("<b>"), "{page}");
        assert_eq!(page.matches("</script>").count(), 2);
    }

    #[test]
    fn a_tagged_request_with_all_of_its_way_is_shown_first() {
        let timeline = sample();
        let data = Data::of(&timeline);
        assert_eq!(data.first, 0);
        assert_eq!(data.requests[0].4, Some(true));
        assert_eq!(data.ways[0].len(), 10);
        assert_eq!(data.slices.len(), timeline.slices.len() * 6);
    }
}
