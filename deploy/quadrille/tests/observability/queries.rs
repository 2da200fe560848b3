//! As much of PromQL as it takes to know which metrics a query asks for.

const WORDS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "inf"];

/// The names of metrics in a query.
pub fn metrics(query: &str) -> Vec<String> {
    let query = without_groupings(&outside(query));
    let mut found = Vec::new();
    let mut rest = query.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        rest = &rest[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_function = after.trim_start().starts_with('(');
        if !word.starts_with(|c: char| c.is_ascii_digit()) && !is_function && !WORDS.contains(&word) {
            found.push(word.to_owned());
        }
        rest = after;
    }
    found
}

/// What stands in no braces, brackets or quotes: neither labels nor ranges.
fn outside(query: &str) -> String {
    let (mut depth, mut quoted, mut kept) = (0, false, String::new());
    for c in query.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth -= 1;
                kept.push(' ');
            }
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// Without `by (service, le)` and its like, which name labels.
fn without_groupings(query: &str) -> String {
    let mut query = query.to_owned();
    for word in [" by (", " on (", " without (", " ignoring ("] {
        while let Some(at) = query.find(word) {
            let end = query[at..].find(')').map_or(query.len(), |end| at + end + 1);
            query.replace_range(at..end, " ");
            // what was grouped is still a function's, not a metric's name
            if let Some(function) = query[..at].rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                query.replace_range(function + 1..at, "");
            } else {
                query.replace_range(..at, "");
            }
        }
    }
    query
}

#[test]
fn metrics_are_told_from_functions_labels_and_words() {
    let query = r#"histogram_quantile(0.95, sum by (le, service) (rate(a_bucket{b="c", d=~"e|f"}[5m]))) > 1 and on (g) max(h:i) unless group by (j) (k offset 1h)"#;
    assert_eq!(metrics(query), ["a_bucket", "h:i", "k"]);
    assert_eq!(metrics("a - b{c=\"d\"} or vector(0)"), ["a", "b"]);
}
