//! Tables for people: columns as wide as their widest cell.

use std::io::{self, Write};

/// A row of these cells.
pub fn line<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Writes the rows, numbers to the right; the first is the heading.
pub fn aligned(lines: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns).map(width).collect();
    let is_number = |column: usize| {
        lines.iter().skip(1).all(|line| line[column].chars().all(|c| c.is_ascii_digit() || c == '-')) && lines.len() > 1
    };
    let numeric: Vec<_> = (0..columns).map(is_number).collect();
    for line in lines {
        let cells =
            line.iter().zip(&widths).zip(&numeric).map(|((cell, &width), right)| {
                if *right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
            });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_nothing_trails() {
        let mut out = Vec::new();
        aligned(&[line(["TOPIC", "LAG"]), line(["orders.v1", "5"])], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "TOPIC      LAG\norders.v1    5\n");
    }
}
