//! A picture of a run: its faults as bars over time, and below them how orders came, waited and were caught up with.

use std::fmt::Write;
use std::time::Duration;

use super::faults::Done;
use super::figures::Point;

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 130.0;
const BAR: f64 = 14.0;
const CHART: f64 = 90.0;
const GAP: f64 = 26.0;

/// The picture as SVG, of a run that took so long.
pub(super) fn draw(done: &[Done], points: &[Point], over: Duration, title: &str) -> String {
    // More are not seen.
    let points: Vec<Point> = points.iter().copied().step_by(points.len() / 1_000 + 1).collect();
    let points = points.as_slice();
    let mut kinds: Vec<_> = done.iter().map(|fault| fault.planned.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let seconds = over.as_secs_f64().max(1.0);
    let x = |at: Duration| LEFT + at.as_secs_f64() / seconds * (WIDTH - LEFT - 10.0);
    let charts = f64::from(u32::try_from(CHARTS.len()).unwrap_or_default());
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let bars = 40.0 + kinds.len() as f64 * (BAR + 3.0);
    let height = bars + GAP + charts * (CHART + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"sans-serif\" \
         font-size=\"11\"><title>{title}</title><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
         <text x=\"10\" y=\"20\" font-size=\"14\">{title}</text>"
    );
    for (row, kind) in kinds.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        let y = 34.0 + row as f64 * (BAR + 3.0);
        let _ = write!(out, "<text x=\"10\" y=\"{}\">{}</text>", y + BAR - 3.0, kind.name());
        for fault in done.iter().filter(|fault| fault.planned.kind == *kind && fault.missed.is_none()) {
            let (from, to) = (x(fault.began), x(fault.ended));
            let whom = fault.planned.whom;
            let _ = write!(
                out,
                "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"#b3261e\" fill-opacity=\".7\">\
                 <title>{whom}</title></rect>",
                (to - from).max(2.0)
            );
        }
    }
    for (place, (name, value)) in CHARTS.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let top = bars + GAP + place as f64 * (CHART + GAP);
        line(&mut out, name, top, &points.iter().map(|point| (x(point.at), value(points, point))).collect::<Vec<_>>());
    }
    out.push_str("</svg>\n");
    out
}

type Value = fn(&[Point], &Point) -> f64;

const CHARTS: [(&str, Value); 4] = [
    ("accepted a second", |points, point| rate(points, point)),
    ("orders that go on", |_, point| f64::from(u32::try_from(point.open).unwrap_or(u32::MAX))),
    ("pending rows", |_, point| point.pending),
    ("lag, records", |_, point| point.lag),
];

/// Over the last five seconds, or from the point before, if that is longer ago.
fn rate(points: &[Point], now: &Point) -> f64 {
    let before = points.partition_point(|point| point.at + Duration::from_secs(5) <= now.at).checked_sub(1);
    let before = before.and_then(|place| points.get(place));
    let (count, since) = before.map_or((0, Duration::ZERO), |before| (before.accepted, before.at));
    let seconds = (now.at.saturating_sub(since)).as_secs_f64().max(1.0);
    f64::from(u32::try_from(now.accepted - count).unwrap_or(u32::MAX)) / seconds
}

fn line(out: &mut String, name: &str, top: f64, points: &[(f64, f64)]) {
    let most = points.iter().map(|(_, value)| *value).fold(1.0, f64::max);
    let y = |value: f64| top + CHART - value / most * CHART;
    let path: Vec<_> = points.iter().map(|(x, value)| format!("{x:.1},{:.1}", y(*value))).collect();
    let (bottom, label) = (top + CHART, top + 12.0);
    let path = path.join(" ");
    let _ = write!(
        out,
        "<text x=\"10\" y=\"{label}\">{name}</text><text x=\"10\" y=\"{bottom}\" fill=\"#666\">up to {most:.0}</text>\
         <line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{bottom}\" y2=\"{bottom}\" stroke=\"#ccc\"/>\
         <polyline points=\"{path}\" fill=\"none\" stroke=\"#0b6e4f\" stroke-width=\"1.5\"/>"
    );
}
