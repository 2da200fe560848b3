//! What PostgreSQL's refusals mean: whether waiting helps, and what does where it doesn't.

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// How to mend a refusal that waiting does not mend.
pub fn mend(error: &ConnectionError) -> Option<&'static str> {
    const TLS: &str = "TLS to PostgreSQL is not spoken yet, and this server lets the role in over TLS alone (or, by \
        pg_hba.conf, not at all from here): give it a `host` line, or turn the demand for TLS off";
    let refusals: [(&[&str], _); 12] = [
        (&["password authentication failed"], "correct user and password, or set the role's password"),
        (&["role \"", "does not exist"], "correct the user, or create the role"),
        (&["database \"", "does not exist"], "correct the name, or create the database"),
        (&["pg_hba.conf", "no encryption"], TLS),
        (&["pg_hba.conf", "SSL off"], TLS),
        (&["SSL required"], TLS),
        (&["sslmode=require"], TLS),
        (&["SSL connection is required"], TLS),
        (&["no pg_hba.conf entry"], "pg_hba.conf must let the role in from here"),
        (&["pg_hba.conf rejects"], "pg_hba.conf must let the role in from here"),
        (&["permission denied"], "grant the role connect on the database"),
        (&["not permitted to log in"], "alter the role with login"),
    ];
    let said = error.to_string();
    let refusal = refusals.into_iter().find(|(words, _)| words.iter().all(|word| said.contains(word)));
    refusal.map(|(_, mend)| mend)
}

/// Said of the statements behind one that failed, where several are under way at once: see [`first_cause`].
const AFTERMATH: &str = "current transaction is aborted";

/// What PostgreSQL says when waiting helps. diesel keeps no SQLSTATE beyond its own kinds, so these are told by their
/// words (as PostgreSQL says them in English): deadlock, lock and statement timeouts, an end of the session, a server
/// that starts, stops, or has no room.
const PASSING: &[&str] = &[
    "deadlock detected",
    "canceling statement due to",
    "terminating connection",
    "the database system is",
    "too many connections",
    "too many clients",
    "remaining connection slots",
    "could not",
    "out of memory",
    "out of shared memory",
    "no space left",
    AFTERMATH,
    "connection",
];

/// Of statements that were under way at once, why they failed: of those behind the one that failed PostgreSQL says no more
/// than that the transaction is aborted, and their answers may come to be looked at first. All must have been waited for.
///
/// # Errors
/// The first that failed for a reason of its own; else the last.
pub fn first_cause<E: std::error::Error>(outcomes: impl IntoIterator<Item = Result<(), E>>) -> Result<(), E> {
    let mut aftermath = Ok(());
    for outcome in outcomes {
        match outcome {
            Err(error) if is_aftermath(&error) => aftermath = Err(error),
            outcome => outcome?,
        }
    }
    aftermath
}

fn is_aftermath(error: &dyn std::error::Error) -> bool {
    error.to_string().contains(AFTERMATH) || error.source().is_some_and(is_aftermath)
}

/// Whether the same work may succeed when it is tried again.
pub fn may_pass(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(kind, information) => match kind {
            DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction => true,
            DatabaseErrorKind::Unknown => {
                let message = information.message().to_lowercase();
                PASSING.iter().any(|passing| message.contains(passing))
            }
            _ => false,
        },
        DieselError::BrokenTransactionManager => true,
        // the rollback failed too, which only a lost connection explains
        DieselError::RollbackErrorOnCommit { commit_error, .. } => may_pass(commit_error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the table")]
    struct Said(#[source] std::io::Error);

    fn said(words: &str) -> Result<(), Said> {
        Err(Said(std::io::Error::other(words.to_owned())))
    }

    #[test]
    fn the_statement_that_failed_by_itself_says_why_in_whatever_order_the_answers_come() {
        let aborted = || said("current transaction is aborted, commands ignored until end of transaction block");
        let cause = || said("violates check constraint");
        for answers in [[Ok(()), cause(), aborted()], [aborted(), cause(), Ok(())], [aborted(), aborted(), cause()]] {
            let why = first_cause(answers).unwrap_err();
            assert!(why.0.to_string().contains("check constraint"), "{why:?}");
        }
        assert!(first_cause([Ok(()), aborted()]).is_err(), "it is a failure in any case");
        assert!(first_cause::<Said>([Ok(()), Ok(())]).is_ok());
    }
}
