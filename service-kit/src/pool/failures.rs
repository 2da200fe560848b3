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
    // said of the statements behind one that failed, where several are under way at once: the first says why
    "current transaction is aborted",
    "connection",
];

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
