//! The picture: for each row with a target, how far it is from it, on a scale of tenfold steps.

use std::fmt::Write;

use crate::targets::Row;

const LEFT: f64 = 360.0;
const WIDTH: f64 = 420.0;
const LINE: f64 = 22.0;
/// The farthest that is shown: a hundred times better or worse.
const DECADES: f64 = 2.0;

/// Bars to the right are better than the target, to the left worse.
pub fn draw(rows: &[Row], machine: &str) -> String {
    let shown: Vec<_> = rows.iter().filter_map(|row| Some((row, row.bound?.missed_by(row.figure?)))).collect();
    #[expect(clippy::cast_precision_loss, reason = "dozens")]
    let height = LINE * (shown.len() as f64 + 3.0);
    let (whole, middle) = (LEFT + WIDTH + 220.0, LEFT + WIDTH / 2.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"16\" font-size=\"10\">{}</text>\n",
        escaped(machine)
    );
    for (place, label) in [(-2.0, "100 x worse"), (-1.0, "10 x"), (0.0, "target"), (1.0, "10 x"), (2.0, "100 x better")]
    {
        let x = middle + place / DECADES * WIDTH / 2.0;
        _ = writeln!(svg, "<text x=\"{x}\" y=\"36\" text-anchor=\"middle\" fill=\"#555\">{label}</text>");
        _ = writeln!(svg, "<line x1=\"{x}\" x2=\"{x}\" y1=\"42\" y2=\"{height}\" stroke=\"#ccc\"/>");
    }
    for (n, (row, missed_by)) in shown.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "dozens")]
        let y = LINE * (n as f64 + 2.0) + 2.0;
        let better = (-missed_by.max(1e-9).log10()).clamp(-DECADES, DECADES) / DECADES * WIDTH / 2.0;
        let (x, colour) = if better < 0.0 { (middle + better, "#c0392b") } else { (middle, "#2e8b57") };
        let (wide, text) = (better.abs().max(1.0), y + 13.0);
        _ = writeln!(svg, "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, escaped(&row.what));
        _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"16\" fill=\"{colour}\"/>");
        let told = escaped(&format!("{}  (target {})", row.now, row.target));
        _ = writeln!(svg, "<text x=\"{}\" y=\"{text}\">{told}</text>", LEFT + WIDTH + 8.0);
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
