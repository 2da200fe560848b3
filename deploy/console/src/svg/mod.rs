//! Drawings, made as SVG text. Everything in them that somebody else wrote is escaped, and nothing sets a style: a page may
//! load none but its sheet's.

pub mod line;
pub mod map;
pub mod swimlane;

use std::fmt::Write;

/// Text as it may stand in SVG and in HTML, between tags and in attributes. What XML can't hold is left out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char if char.is_control() && !char.is_ascii_whitespace() => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}

/// At most `most` characters of a text, with an ellipsis if there were more.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// SVG that is being written.
#[derive(Default)]
struct Drawing(String);

impl Drawing {
    /// Adds what `arguments` say; texts in it must be escaped.
    fn add(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing into a text can't fail.
        let _ = self.0.write_fmt(arguments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_wrote_is_text_between_tags_and_in_attributes() {
        assert_eq!(escape("<a href=\"x\" on='y'>&\u{0}"), "&lt;a href=&quot;x&quot; on=&#39;y&#39;&gt;&amp;\u{fffd}");
    }

    #[test]
    fn a_long_text_is_cut_at_characters() {
        assert_eq!([shortened("äöü", 3), shortened("äöüß", 3)], ["äöü", "äö…"]);
    }
}
