//! The id that distinguishes this database from other installations.

use uuid::Uuid;

use crate::{Store, StoreError};

impl Store {
    /// Returns the id that the first migration generated. A restored copy keeps it and so counts as
    /// the same installation.
    pub async fn installation_id(&self) -> Result<Uuid, StoreError> {
        let id = sqlx::query_scalar!("select id from installation")
            .fetch_one(&self.pool)
            .await?;
        Ok(id)
    }
}
