//! Configuration from the environment. It is parsed once and checked as a whole, before anything is bound.
//!
//! Every variable is a [`Var`]. A [`Reader`] collects all problems, so that one start reports all of them. It also
//! remembers which variables were asked for, so that the documentation is generated from the same source.

mod common;
mod seconds;
mod secrets;

pub(crate) use common::{Bootstrap, is_loopback};
pub use common::{DatabaseConfig, HttpConfig, KafkaConfig, LogFormat, TelemetryConfig, vars};
pub use seconds::Seconds;
pub use secrets::{ChangingSecret, is_known};

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

/// An environment variable: how it is read and how it is documented.
#[derive(Debug, PartialEq, Eq)]
pub struct Var {
    /// Its name.
    pub name: &'static str,
    /// What it is for, one sentence.
    pub what: &'static str,
    /// What a value must look like.
    pub expected: &'static str,
    /// A value that works.
    pub example: &'static str,
    /// The value that holds if the variable isn't set. A variable without a default must be set, unless it is read as
    /// optional.
    pub default: Option<&'static str>,
}

impl Var {
    /// `HTTP_ADDR`, of which every service has its own default.
    pub const fn http_addr(default: &'static str, example: &'static str) -> Self {
        Self {
            name: "HTTP_ADDR",
            what: "Where the service listens.",
            expected: "an address and a port; port 0 takes a free one",
            example,
            default: Some(default),
        }
    }

    /// The variable that names a file with the value, if the value is a secret.
    pub fn file(&self) -> String {
        format!("{}_FILE", self.name)
    }
}

/// Reads variables, collects problems and remembers what was asked for.
pub struct Reader {
    values: BTreeMap<String, String>,
    problems: Vec<String>,
    seen: Vec<&'static Var>,
    secrets: Vec<&'static Var>,
    /// Those whose value everybody knows.
    known_secrets: Vec<&'static Var>,
    /// Where others than this machine's programs reach the service, unless it is a sandbox.
    exposed: Option<SocketAddr>,
}

impl Reader {
    /// Reads the environment of this process. A value that isn't UTF-8 counts as not set.
    pub fn from_env() -> Self {
        Self::from_pairs(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))))
    }

    /// Reads from the given pairs, for tests and documentation.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let values = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        let (problems, seen, secrets, known_secrets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { values, problems, seen, secrets, known_secrets, exposed: None }
    }

    /// Sets a value that was given other than by the environment, in the place of what the environment says.
    #[must_use]
    pub fn with(mut self, var: &Var, value: impl Into<String>) -> Self {
        self.values.remove(&var.file());
        self.values.insert(var.name.to_owned(), value.into());
        self
    }

    /// The value of `var` or its default. `None`, with a problem noted, if it is missing or invalid.
    pub fn read<T: FromStr>(&mut self, var: &'static Var) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match self.text(var).or_else(|| var.default.map(str::to_owned)) {
            Some(text) => self.parse(var, &text),
            None => {
                self.problem(var, "is not set".to_owned());
                None
            }
        }
    }

    /// The value of `var`, or `Some(None)` if it is not set. `None`, with a problem noted, if it is invalid.
    pub fn optional<T: FromStr>(&mut self, var: &'static Var) -> Option<Option<T>>
    where
        T::Err: fmt::Display,
    {
        match self.text(var) {
            Some(text) => self.parse(var, &text).map(Some),
            None => Some(None),
        }
    }

    /// How long rows are kept, from a day to a century.
    pub fn time_to_live(&mut self, var: &'static Var) -> Option<Duration> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        self.duration(var, DAY..=36_500 * DAY)
    }

    /// A duration in this range.
    pub fn duration(&mut self, var: &'static Var, range: RangeInclusive<Duration>) -> Option<Duration> {
        let Seconds(given) = self.read(var)?;
        if range.contains(&given) {
            return Some(given);
        }
        self.refuse(var, format!("{given:?} is not in that range"));
        None
    }

    /// A secret value, from the variable or from the file that `<NAME>_FILE` names. It appears in no problem, log or
    /// debug output.
    pub fn secret(&mut self, var: &'static Var) -> Option<SecretString> {
        let text = self.secret_text(var)?.or_else(|| var.default.map(str::to_owned));
        if text.is_none() {
            self.problem(var, "is not set".to_owned());
        }
        text.map(SecretString::from)
    }

    /// A secret value that may be missing.
    pub fn optional_secret(&mut self, var: &'static Var) -> Option<SecretString> {
        self.secret_text(var)?.map(SecretString::from)
    }

    /// A secret value that may be missing, and may change where it is in a file.
    pub fn optional_changing_secret(&mut self, var: &'static Var) -> Option<ChangingSecret> {
        let now = self.optional_secret(var)?;
        Some(self.value(&var.file()).map_or(ChangingSecret::Fixed(now), |path| ChangingSecret::File(path.into())))
    }

    /// The value of a secret, if it is set. `None`, with a problem noted, if it can't be read.
    fn secret_text(&mut self, var: &'static Var) -> Option<Option<String>> {
        if !self.secrets.contains(&var) {
            self.secrets.push(var);
        }
        let text = match (self.text(var), self.value(&var.file())) {
            (text, None) => text,
            (Some(_), Some(_)) => {
                self.problem(var, format!("is set, and so is {}: set one of them", var.file()));
                return None;
            }
            (None, Some(path)) => match secrets::in_file(&path) {
                Ok(text) => Some(text),
                Err(why) => {
                    self.problems.push(format!(
                        "{file} is {path:?}, which is refused: {why}; expected a file with {}, for example \
                         {file}=/run/secrets/{}",
                        var.expected,
                        var.name.to_lowercase(),
                        file = var.file()
                    ));
                    return None;
                }
            },
        };
        if text.as_deref().is_some_and(is_known) && !self.known_secrets.contains(&var) {
            self.known_secrets.push(var);
        }
        Some(text)
    }

    /// Notes that others than this machine's programs reach the service, so that no secret may be one that everybody
    /// knows.
    pub(crate) const fn exposed(&mut self, addr: SocketAddr) {
        self.exposed = Some(addr);
    }

    fn refuse_known_secrets(&mut self) {
        let Some(addr) = self.exposed else { return };
        for var in std::mem::take(&mut self.known_secrets) {
            self.refuse(
                var,
                format!(
                    "everybody knows this secret or password, and others reach {addr}; choose another, or set \
                     SANDBOX=1 if this is a sandbox"
                ),
            );
        }
    }

    /// Notes that `var` is not set although another setting needs it, unless its value is already known to be wrong.
    pub fn lacks(&mut self, var: &'static Var, because: &str) {
        let (of_var, of_file) = (format!("{} is", var.name), format!("{} is", var.file()));
        if !self.problems.iter().any(|told| told.starts_with(&of_var) || told.starts_with(&of_file)) {
            self.problem(var, format!("is not set, and {because}"));
        }
    }

    /// Notes that the value of `var` is refused for a reason that was found after reading it. The value is not shown.
    pub fn refuse(&mut self, var: &'static Var, why: impl fmt::Display) {
        self.problem(var, format!("is refused: {why}"));
    }

    /// Every variable that was asked for, in that order.
    pub fn seen(&self) -> &[&'static Var] {
        &self.seen
    }

    /// Reads a whole configuration with `read` and ends the reading.
    ///
    /// # Errors
    /// Fails with all problems, if there are any.
    pub fn whole<T>(mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, ConfigError> {
        let read = read(&mut self);
        self.refuse_known_secrets();
        match read {
            Some(config) if self.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(self.problems)),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Fails with all problems, if there are any.
    pub fn finish(self) -> Result<(), ConfigError> {
        self.whole(|_| Some(()))
    }

    fn text(&mut self, var: &'static Var) -> Option<String> {
        if !self.seen.contains(&var) {
            self.seen.push(var);
        }
        self.value(var.name)
    }

    /// A variable that is set to an empty text counts as not set, because compose files and shells can't easily unset
    /// one.
    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn parse<T: FromStr>(&mut self, var: &'static Var, text: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(var, format!("is {text:?}, which can't be read ({error})"));
                None
            }
        }
    }

    fn problem(&mut self, var: &'static Var, what: String) {
        self.problems
            .push(format!("{} {what}; expected {}, for example {}={}", var.name, var.expected, var.name, var.example));
    }
}

/// Everything that is wrong with the configuration, on one line.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not complete: {}", self.0.join(" | "))
    }
}

impl std::error::Error for ConfigError {}

/// The variables that `read` asks for, as a table for the documentation.
pub fn markdown(read: impl FnOnce(&mut Reader)) -> String {
    let mut reader = Reader::from_pairs::<String, String>([]);
    read(&mut reader);
    let rows = reader.seen().iter().map(|var| {
        let must_be_set = reader.problems.iter().any(|told| told.starts_with(&format!("{} is not set;", var.name)));
        let none = if must_be_set { "must be set" } else { "" };
        let default = var.default.map_or(none.to_owned(), |value| format!("`{value}`"));
        let file = if reader.secrets.contains(var) { format!("; or `{}`", var.file()) } else { String::new() };
        format!("| `{}` | {} | {}{file} | {default} | `{}` |\n", var.name, var.what, var.expected, var.example)
    });
    format!(
        "| variable | what it is for | expected | default | example |\n|---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    static PORT: Var = Var { name: "PORT", what: "Where.", expected: "a port", example: "8080", default: None };
    static PACE: Var =
        Var { name: "PACE", what: "How fast.", expected: "a duration", example: "5s", default: Some("1s") };

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let mut reader = Reader::from_pairs([("PACE", "soon")]);
        assert_eq!(reader.read::<u16>(&PORT), None);
        assert!(reader.read::<Seconds>(&PACE).is_none());
        let told = reader.finish().unwrap_err().to_string();
        assert!(told.contains("PORT is not set; expected a port, for example PORT=8080"), "{told}");
        assert!(told.contains("PACE is \"soon\""), "{told}");
    }

    #[test]
    fn a_default_holds_when_a_variable_is_not_set_or_empty() {
        let mut reader = Reader::from_pairs([("PACE", " ")]);
        assert_eq!(reader.read::<Seconds>(&PACE).map(|s| s.0.as_secs()), Some(1));
        assert_eq!(reader.optional::<u16>(&PORT), Some(None));
        assert!(reader.finish().is_ok());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let mut reader = Reader::from_pairs([("PORT", "hunter2")]);
        assert!(reader.secret(&PORT).is_some());
        reader.refuse(&PORT, "too short");
        assert!(!reader.finish().unwrap_err().to_string().contains("hunter2"));
    }

    static KEY: Var = Var { name: "KEY", what: "What.", expected: "a key", example: "k-1", default: Some("k-0") };

    fn secret(pairs: &[(&str, &str)]) -> Result<String, String> {
        let read = Reader::from_pairs(pairs.iter().copied()).whole(|reader| reader.secret(&KEY));
        read.map(|text| text.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_read_from_its_variable_or_from_the_file_that_another_one_names() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(secret(&[("KEY_FILE", path)]).unwrap(), "hunter2");
        assert_eq!(secret(&[("KEY_FILE", path), ("KEY", " ")]).unwrap(), "hunter2");
        assert_eq!(secret(&[("KEY_FILE", ""), ("KEY", "k-2")]).unwrap(), "k-2");
        assert_eq!(secret(&[]).unwrap(), "k-0");
    }

    #[test]
    fn a_secrets_file_that_can_not_be_had_is_named_with_its_variable_and_is_not_said_to_be_missing_too() {
        let told = secret(&[("KEY_FILE", "/no/such/file")]).unwrap_err();
        assert!(told.contains("KEY_FILE is \"/no/such/file\", which is refused: it can't be read"), "{told}");
        assert!(told.contains("for example KEY_FILE=/run/secrets/key"), "{told}");
        let told = secret(&[("KEY_FILE", "/no/such/file"), ("KEY", "hunter2")]).unwrap_err();
        assert!(told.contains("KEY is set, and so is KEY_FILE") && !told.contains("hunter2"), "{told}");
        let mut reader = Reader::from_pairs([("KEY_FILE", "/no/such/file")]);
        assert!(reader.optional_secret(&KEY).is_none());
        reader.lacks(&KEY, "PORT is");
        let told = reader.finish().unwrap_err().to_string();
        assert!(told.contains("KEY_FILE is") && !told.contains("not set"), "{told}");
    }

    #[test]
    fn a_value_from_the_command_line_takes_the_place_of_a_file_too() {
        let mut reader = Reader::from_pairs([("KEY_FILE", "/no/such/file")]).with(&KEY, "k-3");
        assert_eq!(reader.secret(&KEY).unwrap().expose_secret(), "k-3");
        assert!(reader.finish().is_ok());
    }

    #[test]
    fn a_table_says_of_secrets_alone_that_a_file_may_hold_them() {
        let table = markdown(|reader| {
            let _ = (reader.secret(&KEY), reader.read::<Seconds>(&PACE));
        });
        assert!(table.contains("| a key; or `KEY_FILE` |") && !table.contains("PACE_FILE"), "{table}");
    }
}
