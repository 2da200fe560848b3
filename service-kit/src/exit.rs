//! How a program ends: with an exit code that tells why, and the error on standard error.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::config::ConfigError;

/// `EX_CONFIG` of sysexits.h: a restart can't help before the configuration changes.
const BAD_CONFIGURATION: u8 = 78;

/// The exit code for how `program` ended. The error is printed on one line, which container logs keep whole.
pub fn code(program: &str, outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // If standard error is closed, nobody can be told.
    let _ = writeln!(std::io::stderr(), "{program}: {}", in_one_line(&error));
    ExitCode::from(number(&error))
}

/// Like [`code`], for a program that people look at: the error keeps its line breaks.
pub fn code_in_lines(program: &str, outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "{program}: {error:#}");
    ExitCode::from(number(&error))
}

/// An error and its causes, on one line.
pub fn in_one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The standard output of a tool. If its reader is gone (`... | head`), the rest of the output is dropped. The tool
/// still finishes its work, and its exit code tells how that went.
pub fn stdout() -> impl Write {
    Answer { out: io::stdout(), read: true }
}

struct Answer<W> {
    out: W,
    /// Whether the reader is still there.
    read: bool,
}

impl<W: Write> Answer<W> {
    fn unless_nobody_reads<T>(&mut self, dropped: T, work: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if !self.read {
            return Ok(dropped);
        }
        work(&mut self.out).or_else(|error| {
            self.read = error.kind() != ErrorKind::BrokenPipe;
            if self.read { Err(error) } else { Ok(dropped) }
        })
    }
}

impl<W: Write> Write for Answer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_nobody_reads(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_nobody_reads((), Write::flush)
    }
}

fn number(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<ConfigError>()) { BAD_CONFIGURATION } else { 1 }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;
    use crate::config::{Reader, vars};

    #[test]
    fn an_error_with_causes_and_line_breaks_is_one_line() {
        let error = anyhow!("first\n  second\n").context("why");
        assert_eq!(in_one_line(&error), "why: first second");
        assert_eq!(number(&error), 1);
    }

    #[test]
    fn an_answer_that_nobody_reads_any_more_is_dropped_and_is_no_error() {
        let (reader, out) = io::pipe().unwrap();
        let mut answer = Answer { out, read: true };
        writeln!(answer, "read").unwrap();
        drop(reader);
        writeln!(answer, "not read").unwrap();
        answer.flush().unwrap();
        assert!(!answer.read);
    }

    #[test]
    fn a_bad_configuration_has_a_code_of_its_own_and_every_problem_on_one_line() {
        let mut reader = Reader::from_pairs([("DATABASE_POOL_SIZE", "many")]);
        let _ = reader.read::<usize>(&vars::DATABASE_POOL_SIZE);
        let _ = reader.secret(&vars::DATABASE_URL);
        let error = reader.finish().context("start").unwrap_err();
        assert_eq!(number(&error), 78);
        let told = in_one_line(&error);
        assert!(told.contains("DATABASE_POOL_SIZE is \"many\"") && told.contains("DATABASE_URL is not set"), "{told}");
    }
}
