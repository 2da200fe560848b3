//! Who says what and who hears it: services, topics, services, with a line for each that says or hears.

use super::{Drawing, escape, shortened};

const COLUMN: i64 = 190;
const GAP: i64 = 150;
const ROW: i64 = 58;
const BOX: i64 = 40;
const HEAD: i64 = 34;

/// How a line stands between what is declared and what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As declared.
    Agrees,
    /// Declared, and not seen yet.
    Quiet,
    /// Seen without being declared.
    Differs,
}

impl Seen {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agrees => "as declared",
            Self::Quiet => "declared, not seen yet",
            Self::Differs => "differs from what is declared",
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Agrees => "line-good",
            Self::Quiet => "arrow",
            Self::Differs => "line-bad",
        }
    }
}

/// A service that says something on a topic, or hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub service: String,
    pub topic: String,
    pub seen: Seen,
}

/// Draws who says (on the left) what (in the middle) to whom (on the right).
pub fn draw(says: &[Line], topics: &[String], hears: &[Line]) -> String {
    let (left, right) = (services(says), services(hears));
    let rows = left.len().max(right.len()).max(topics.len());
    let (width, height) = (3 * COLUMN + 2 * GAP + 4, HEAD + ROW * number(rows));
    let mut drawing = Drawing::default();
    drawing.add(format_args!(
        r#"<svg class="draw-in" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="Who says what and who hears it; the tables below tell the same"><title>Who says what and who hears it</title>"#
    ));
    for (column, name) in ["says", "topic", "hears"].into_iter().enumerate() {
        drawing.add(format_args!(r#"<text class="soft" x="{}" y="18">{name}</text>"#, left_of(number(column)) + 8));
    }
    let line = |drawing: &mut Drawing, line: &Line, from: Option<(i64, i64)>, to: Option<(i64, i64)>, verb: &str| {
        let (Some(from), Some(to)) = (from, to) else { return };
        let ((a, b), (c, d)) = ((from.0 + COLUMN, from.1 + BOX / 2), (to.0, to.1 + BOX / 2));
        let middle = i64::midpoint(a, c);
        drawing.add(format_args!(
            r#"<g><title>{} {verb} {}: {}</title><path class="{}" d="M{a} {b}C{middle} {b} {middle} {d} {c} {d}"/></g>"#,
            escape(&line.service),
            escape(&line.topic),
            line.seen.name(),
            line.seen.class()
        ));
    };
    let place = |column: i64, names: &[String], name: &str, rows: usize| {
        let at = names.iter().position(|known| known == name)?;
        Some((left_of(column), top_of(at, names.len(), rows)))
    };
    for says in says {
        let (from, to) = (place(0, &left, &says.service, rows), place(1, topics, &says.topic, rows));
        line(&mut drawing, says, from, to, "says something on");
    }
    for hears in hears {
        let (from, to) = (place(1, topics, &hears.topic, rows), place(2, &right, &hears.service, rows));
        line(&mut drawing, hears, from, to, "hears");
    }
    for (column, names) in [(0, left.as_slice()), (1, topics), (2, right.as_slice())] {
        for (index, name) in names.iter().enumerate() {
            let (x, y) = (left_of(column), top_of(index, names.len(), rows));
            drawing.add(format_args!(
                r#"<rect class="box" x="{x}" y="{y}" width="{COLUMN}" height="{BOX}" rx="8"/><text x="{}" y="{}">{}</text>"#,
                x + 12,
                y + 25,
                escape(&shortened(name, 26))
            ));
        }
    }
    drawing.add(format_args!("</svg>"));
    drawing.0
}

/// The services of these lines, in the order in which they come.
fn services(lines: &[Line]) -> Vec<String> {
    let mut services = Vec::<String>::new();
    for line in lines {
        if !services.contains(&line.service) {
            services.push(line.service.clone());
        }
    }
    services
}

const fn left_of(column: i64) -> i64 {
    2 + column * (COLUMN + GAP)
}

/// Boxes of a column stand evenly over the height of the longest column.
fn top_of(index: usize, of: usize, rows: usize) -> i64 {
    HEAD + ROW * number(rows) * (2 * number(index) + 1) / (2 * number(of.max(1))) - BOX / 2 - 6
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(service: &str, topic: &str, seen: Seen) -> Line {
        Line { service: service.to_owned(), topic: topic.to_owned(), seen }
    }

    #[test]
    fn what_differs_is_red_and_everything_else_is_not() {
        let says = [line("order-svc", "orders.v1", Seen::Agrees), line("/evil\"><script>", "orders.v1", Seen::Differs)];
        let hears = [line("stock-svc", "orders.v1", Seen::Quiet)];
        let drawn = draw(&says, &["orders.v1".to_owned()], &hears);
        assert_eq!((drawn.matches("line-bad").count(), drawn.matches("line-good").count()), (1, 1));
        let bad = drawn.split("<g>").find(|group| group.contains("line-bad")).unwrap();
        assert!(bad.contains("evil") && !drawn.contains("<script"), "{drawn}");
    }

    #[test]
    fn a_topic_that_is_not_drawn_has_no_line() {
        assert!(!draw(&[line("a", "b", Seen::Agrees)], &[], &[]).contains("<path"));
    }
}
