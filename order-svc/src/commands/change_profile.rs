use diesel_async::AsyncConnection;
use diesel_async::pooled_connection::deadpool::PoolError;
use service_kit::Pool;
use service_kit::versions::{Changed, Expected};
use shared_events::CustomerId;

use crate::domain::Profile;
use crate::store::AnnounceError;
use crate::store::customers::{self, CustomerRoot, StoredProfile};

#[derive(Debug, thiserror::Error)]
pub enum ChangeProfileError {
    /// A version is expected, and there is no profile.
    #[error("there is no profile, so it has no version that is expected")]
    Absent,
    #[error(transparent)]
    Changed(#[from] Changed),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Announce(#[from] AnnounceError),
}

impl From<diesel::result::Error> for ChangeProfileError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Announce(error.into())
    }
}

/// A profile, and whether it is the customer's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChanged {
    pub stored: StoredProfile,
    pub is_new: bool,
}

/// Replaces a customer's profile, or makes it. The same profile again says nothing.
pub async fn change_profile(
    pool: &Pool,
    id: &CustomerId,
    expected: Option<&Expected>,
    profile: Profile,
) -> Result<ProfileChanged, ChangeProfileError> {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        let mut root = customers::lock(conn, id).await?;
        let is_new = root.profile.is_none();
        match expected {
            Some(_) if is_new => return Err(ChangeProfileError::Absent),
            Some(expected) => expected.met_by(root.version)?,
            None => {}
        }
        if root.profile.as_ref() != Some(&profile) {
            (root.profile, root.version, root.updated_at) = (Some(profile.clone()), root.version + 1, root.now);
            customers::announce(conn, std::slice::from_mut(&mut root)).await?;
        }
        let CustomerRoot { id: customer_id, version, updated_at, .. } = root;
        Ok(ProfileChanged { stored: StoredProfile { customer_id, profile, version, updated_at }, is_new })
    })
    .await
}
