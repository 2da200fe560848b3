//! What PostgreSQL's refusals mean: whether waiting helps, and how to fix them where it doesn't.

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::encrypted::NO_TLS;
use super::tls::Way;

/// What refusals say, and how to fix them. The first that fits counts.
const REFUSALS: &[(&[&str], &str)] = &[
    (&["password authentication failed"], "correct user and password, or set the role's password"),
    (&["role \"", "does not exist"], "correct the user, or create the role"),
    (&["database \"", "does not exist"], "correct the name, or create the database"),
    (&["invalid peer certificate: UnknownIssuer"], OTHER_CA),
    (&["invalid peer certificate: BadSignature"], OTHER_CA),
    (&["certificate not valid for name"], "name the host as its certificate does, or give it one for this name"),
    (&["CaUsedAsEndEntity"], "the server shows a CA's own certificate: give it one that the CA signed"),
    (&["certificate expired"], "renew the server's certificate"),
    (&["invalid peer certificate"], "give the server a certificate of version 3 that the CA of sslrootcert signed"),
    (&[HANDSHAKE, "no name that a certificate can have"], "name the host as its certificate does"),
    (&[NO_TLS], "turn ssl on at the server, or use sslmode=prefer if nobody can listen in"),
    (&["received fatal alert"], "the server must speak TLS 1.2 or 1.3 and ask for no certificate"),
    (&["valid client certificate"], "clients' certificates are not supported: let the role in with a password"),
    (&["did not use channel binding"], "channel_binding=require needs TLS and a scram-sha-256 password"),
    (&["pg_hba.conf", "SSL encryption"], LET_IN),
    (&["pg_hba.conf", "SSL on"], LET_IN),
    (&["pg_hba.conf", "no encryption"], WANTS_TLS),
    (&["pg_hba.conf", "SSL off"], WANTS_TLS),
    // what poolers and clouds say
    (&["SSL required"], WANTS_TLS),
    (&["sslmode=require"], WANTS_TLS),
    (&["SSL connection is required"], WANTS_TLS),
    (&["no pg_hba.conf entry"], LET_IN),
    (&["pg_hba.conf rejects"], LET_IN),
    (&["permission denied"], "grant the role connect on the database"),
    (&["not permitted to log in"], "alter the role with login"),
];
const OTHER_CA: &str = "sslrootcert must be the file of the CA that signed the server's certificate";
const LET_IN: &str = "pg_hba.conf must let the role in from here";
const WANTS_TLS: &str = "the server takes the role over TLS alone, or not at all from here: use sslmode=verify-full or \
    require and turn ssl on at the server, or add a `host` line to pg_hba.conf";
/// How tokio-postgres begins when the way to an encrypted connection failed.
const HANDSHAKE: &str = "error performing TLS handshake";

/// How to fix a refusal that waiting doesn't end.
pub fn mend(error: &ConnectionError) -> Option<&'static str> {
    let said = error.to_string();
    let refusal = REFUSALS.iter().find(|(words, _)| words.iter().all(|word| said.contains(word)));
    refusal.map(|(_, mend)| *mend)
}

/// Whether a server that refused a connection with TLS may take one without, or the other way round.
pub(super) fn other_way_may_help(tried: Way, error: &ConnectionError) -> bool {
    let said = error.to_string();
    let wants_tls = mend(error) == Some(WANTS_TLS);
    match tried {
        Way::Plain => wants_tls,
        Way::IfOffered => said.contains(HANDSHAKE) || said.contains("pg_hba.conf") && !wants_tls,
        Way::Tls => false,
    }
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
