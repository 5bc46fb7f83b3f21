//! The identity of this database among others.

use uuid::Uuid;

use crate::{Store, StoreError};

impl Store {
    /// The id that the first migration made up. A restored copy keeps it: it is the same installation.
    pub async fn installation_id(&self) -> Result<Uuid, StoreError> {
        let id = sqlx::query_scalar!("select id from installation")
            .fetch_one(&self.pool)
            .await?;
        Ok(id)
    }
}
