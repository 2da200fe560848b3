//! What PostgreSQL's refusals mean: whether waiting helps, and how to fix them where it doesn't.

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// How to fix a refusal that waiting doesn't end.
pub fn mend(error: &ConnectionError) -> Option<&'static str> {
    const TLS: &str = "TLS to PostgreSQL is not supported yet, and this server accepts the role only over TLS (or, by \
        pg_hba.conf, not at all from here): add a `host` line, or stop requiring TLS";
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

/// What PostgreSQL says of each statement that was sent after the one that failed: see [`first_cause`].
const AFTERMATH: &str = "current transaction is aborted";

/// What PostgreSQL says when a retry may help: deadlocks, timeouts of locks and statements, the end of the session, a
/// server that starts, stops or has no room. diesel keeps no SQLSTATE beyond its own kinds, so the English words have
/// to tell.
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

/// Finds out why a group of pipelined statements failed. PostgreSQL only says "transaction is aborted" of the
/// statements behind the one that failed, and their answers may be looked at first. So the caller must wait for all
/// of them.
///
/// # Errors
/// Fails with the first error that has a cause of its own, else with the last error.
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

/// Whether this failed because somebody else held a lock for longer than `lock_timeout`.
pub fn is_lock_timeout(error: &dyn std::error::Error) -> bool {
    error.to_string().contains("canceling statement due to lock timeout") || error.source().is_some_and(is_lock_timeout)
}

/// Whether the same work may succeed when it is retried.
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
        // The connection's fault, not the work's: another connection is taken.
        DieselError::BrokenTransactionManager | DieselError::AlreadyInTransaction | DieselError::NotInTransaction => {
            true
        }
        // The rollback failed too, which only happens when the connection is lost.
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
    fn a_connection_that_is_out_of_step_is_no_fault_of_the_work() {
        for error in [DieselError::AlreadyInTransaction, DieselError::NotInTransaction] {
            assert!(may_pass(&error), "{error}");
        }
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
