//! Reads what a service tells at `/metrics`, in Prometheus' text format.

/// A figure with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric<'a> {
    pub name: &'a str,
    labels: Vec<(&'a str, String)>,
    pub value: f64,
}

impl Metric<'_> {
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// The figures whose names begin with one of these. Lines that can't be read are left out.
pub fn read<'a>(text: &'a str, beginnings: &'a [&'a str]) -> impl Iterator<Item = Metric<'a>> {
    let wanted = move |line: &&str| beginnings.iter().any(|beginning| line.starts_with(beginning));
    text.lines().filter(wanted).filter_map(metric)
}

fn metric(line: &str) -> Option<Metric<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Metric { name, labels, value })
}

/// Labels up to the closing brace, and what comes after it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = rest.split_once("=\"")?;
        let mut text = String::new();
        let mut chars = value.char_indices();
        loop {
            match chars.next()? {
                (end, '"') => {
                    rest = &value[end + 1..];
                    break;
                }
                (_, '\\') => text.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, char) => text.push(char),
            }
        }
        labels.push((name.trim(), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_with_their_labels_and_nonsense_is_left_out() {
        let text = "# HELP lag How far\nlag{topic=\"orders.v1\",note=\"a \\\"b\\\"\\n}\"} 12\nlag 3.5 1700000000\n\
            lag{broken=\"\nlagging\nlag{} x\nother 1\n";
        let read: Vec<_> = read(text, &["lag"]).collect();
        assert_eq!(read.iter().map(|metric| metric.value).collect::<Vec<_>>(), [12.0, 3.5]);
        assert_eq!((read[0].label("topic"), read[0].label("note")), (Some("orders.v1"), Some("a \"b\"\n}")));
        assert_eq!(read[1].label("topic"), None);
    }
}
