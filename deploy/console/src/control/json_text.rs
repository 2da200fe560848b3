//! JSON as text, laid out anew: names stay in their order, and numbers as they were written.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// A line for each value, as people read it; none if it is no JSON.
pub fn laid_out(text: &str) -> Option<String> {
    written(text, true)
}

/// Without spaces between the values, so that two are compared; none if it is no JSON.
pub fn compact(text: &str) -> Option<String> {
    written(text, false)
}

fn written(text: &str, in_lines: bool) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut chars = text.chars().filter(|char| *char >= ' ').peekable();
    while let Some(char) = chars.next() {
        if in_string {
            out.push(char);
            (in_string, is_escaped) = (is_escaped || char != '"', !is_escaped && char == '\\');
            continue;
        }
        match char {
            ' ' => {}
            '{' | '[' => {
                out.push(char);
                while chars.next_if_eq(&' ').is_some() {}
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, in_lines, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, in_lines, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                new_line(&mut out, in_lines, depth);
            }
            ':' => out.push_str(if in_lines { ": " } else { ":" }),
            char => {
                in_string = char == '"';
                out.push(char);
            }
        }
    }
    Some(out)
}

fn new_line(out: &mut String, in_lines: bool, depth: usize) {
    if in_lines {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    }
}

/// The text of what stands under these names, one in the other.
pub fn member<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    names.iter().try_fold(text, |text, name| {
        serde_json::from_str::<HashMap<String, &RawValue>>(text).ok()?.remove(*name).map(RawValue::get)
    })
}

/// The texts of a list's items; none of anything else.
pub fn items(text: &str) -> Vec<&str> {
    let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    items.into_iter().map(RawValue::get).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_order_and_numbers_as_they_were_written() {
        let text = "{\"z\":1.50,\r\n\"a\" : [ ],\"b\":{\"y\":12345678901234567890123,\"x\":[1,  2]}}";
        let expected = "{\n  \"z\": 1.50,\n  \"a\": [],\n  \"b\": {\n    \"y\": 12345678901234567890123,\n    \"x\": [\n      1,\n      2\n    ]\n  }\n}";
        assert_eq!(laid_out(text).as_deref(), Some(expected));
        let compact_text = r#"{"z":1.50,"a":[],"b":{"y":12345678901234567890123,"x":[1,2]}}"#;
        assert_eq!(compact(text).as_deref(), Some(compact_text));
        assert_eq!(compact(expected).as_deref(), Some(compact_text));
    }

    #[test]
    fn what_stands_in_a_string_stays_as_it_is() {
        for text in [r#""a, {b}: \" [c]""#, r#""\\""#, r#"{"a \"":"x  y"}"#, "null", "[]", r#""\u0007 é""#] {
            assert_eq!(compact(text).as_deref(), Some(text));
            assert_eq!(compact(&laid_out(text).unwrap()).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_json_is_not_laid_out() {
        for text in ["", "{", "<script>", "{a: 1}", "[1,]", "\"a\nb\"", "1 2"] {
            assert_eq!(laid_out(text), None, "{text}");
        }
    }

    #[test]
    fn a_part_is_found_as_it_was_written() {
        let text = r#"{"items": [{"payload": {"value": {"b":1, "a":2}}}, 7]}"#;
        let found = items(member(text, &["items"]).unwrap());
        assert_eq!(member(found[0], &["payload", "value"]), Some(r#"{"b":1, "a":2}"#));
        assert_eq!((found[1], member(found[1], &["x"]), member(text, &["none"])), ("7", None, None));
    }
}
