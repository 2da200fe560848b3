//! A line over time, small enough to stand under a figure.

use super::{Drawing, escape};

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 40.0;
/// More points than this are not seen; the last ones are drawn.
const MOST: usize = 400;

/// Draws values that are equally far apart in time, the oldest first, from 0 up to the largest. One that is no number was not measured:
/// the line has a gap there. `title` says what they are.
pub fn line(values: &[f64], title: &str) -> String {
    let values = &values[values.len().saturating_sub(MOST)..];
    let largest = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let mut drawing = Drawing::default();
    drawing.add(format_args!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{0}"><title>{0}</title>"#,
        escape(&format!("{title}; at most {}", short(largest)))
    ));
    drawing.add(format_args!(r#"<path class="grid-line" d="M0 {0}H{WIDTH}"/>"#, HEIGHT - 1.0));
    if values.len() > 1 {
        let (mut area, mut curve) = (Drawing::default(), Drawing::default());
        for stretch in stretches(values, largest) {
            let [(first, _), .., (last, _)] = stretch[..] else { continue };
            let mut drawn = Drawing::default();
            for (index, (x, y)) in stretch.iter().enumerate() {
                drawn.add(format_args!("{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" }));
            }
            area.add(format_args!("{0}L{last:.1} {1}H{first:.1}Z", drawn.0, HEIGHT - 1.0));
            curve.add(format_args!("{}", drawn.0));
        }
        drawing.add(format_args!(r#"<path class="area" d="{}"/>"#, area.0));
        drawing.add(format_args!(r#"<path class="curve" vector-effect="non-scaling-stroke" d="{}"/>"#, curve.0));
    }
    drawing.add(format_args!("</svg>"));
    drawing.0
}

/// The points between gaps. One by itself is as wide as a step, so that it is seen.
#[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
fn stretches(values: &[f64], largest: f64) -> Vec<Vec<(f64, f64)>> {
    let step = WIDTH / (values.len() - 1) as f64;
    let mut stretches = vec![Vec::new()];
    for (index, value) in values.iter().enumerate() {
        match stretches.last_mut() {
            Some(stretch) if value.is_finite() => {
                let part = if largest > 0.0 { (value / largest).clamp(0.0, 1.0) } else { 0.0 };
                stretch.push((index as f64 * step, (HEIGHT - 4.0).mul_add(-part, HEIGHT - 2.0)));
            }
            _ => stretches.push(Vec::new()),
        }
    }
    for stretch in &mut stretches {
        if let [(x, y)] = stretch[..] {
            *stretch = vec![((x - step).max(0.0), y), (x, y)];
        }
    }
    stretches
}

/// A figure with as many digits as matter.
pub fn short(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_its_oldest_value_to_its_newest_between_0_and_the_largest() {
        let drawn = line(&[0.0, 2.0, 4.0], "orders");
        assert!(drawn.contains("M0.0 38.0L120.0 20.0L240.0 2.0"), "{drawn}");
        assert!(drawn.contains("orders; at most 4"), "{drawn}");
    }

    #[test]
    fn what_was_not_measured_is_a_gap() {
        let drawn = line(&[f64::NAN, 4.0, 4.0, f64::NAN, 2.0], "orders");
        assert!(drawn.contains(r#"d="M60.0 2.0L120.0 2.0M180.0 20.0L240.0 20.0""#), "{drawn}");
    }

    #[test]
    fn nothing_and_nonsense_are_drawn_as_nothing() {
        for values in [&[][..], &[1.0], &[f64::NAN, f64::INFINITY, 0.0]] {
            let drawn = line(values, "<b>");
            assert!(!drawn.contains("NaN") && !drawn.contains("inf") && !drawn.contains("<b>"), "{drawn}");
        }
    }

    #[test]
    fn a_long_series_stays_small() {
        assert!(line(&vec![1.0; 100_000], "many").len() < 20_000);
    }
}
