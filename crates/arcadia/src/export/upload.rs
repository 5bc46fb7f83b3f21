//! The upload of exported months to a bucket of Spaces, or of another storage with the interface of
//! S3.

use anyhow::Context as _;
use chrono::NaiveDate;
use digitalocean::SpacesKeys;
use digitalocean::spaces::ObjectStore;
use secrecy::SecretString;

use super::directory::{METADATA, MonthDirectory};
use crate::configuration::variable;

#[derive(clap::Args)]
pub(super) struct UploadArguments {
    #[arg(
        long,
        value_name = "URL",
        help = "Bucket to which the months are uploaded, too, with an optional prefix, e.g. \
                https://nyc3.digitaloceanspaces.com/acme-costs/focus. Needs SPACES_ACCESS_KEY_ID and \
                SPACES_SECRET_ACCESS_KEY."
    )]
    upload: Option<String>,
    /// Region of the bucket; that of the endpoint for Spaces, else us-east-1.
    #[arg(long, value_name = "REGION", requires = "upload")]
    upload_region: Option<String>,
}

impl UploadArguments {
    /// Returns the place of the uploads, if there is one.
    pub(super) fn object_store(&self) -> anyhow::Result<Option<ObjectStore>> {
        let Some(address) = &self.upload else {
            return Ok(None);
        };
        let keys = SpacesKeys::new(
            variable(SpacesKeys::ACCESS_KEY_ID),
            variable(SpacesKeys::SECRET_ACCESS_KEY).map(SecretString::from),
        )?;
        let keys = keys.with_context(|| {
            format!(
                "--upload needs {} and {}",
                SpacesKeys::ACCESS_KEY_ID,
                SpacesKeys::SECRET_ACCESS_KEY
            )
        })?;
        let region = self.upload_region.as_deref();
        Ok(Some(ObjectStore::new(address, region, keys)?))
    }
}

fn object(period: NaiveDate, name: &str) -> String {
    format!("{}/{name}", period.format("%Y-%m"))
}

/// Returns true if the bucket has a month.
pub(super) async fn has_month(remote: &ObjectStore, period: NaiveDate) -> anyhow::Result<bool> {
    Ok(remote.get(&object(period, METADATA)).await?.is_some())
}

/// Uploads a complete month, unless the bucket has it. The metadata is deleted first and written
/// last, as in the directory, so that a month with metadata is complete. Objects of earlier exports
/// with other names are deleted, because a reader of the whole prefix would count both. Returns the
/// outcome, to be appended to that of the export.
pub(super) async fn month(
    remote: &ObjectStore,
    directory: &MonthDirectory,
    period: NaiveDate,
) -> anyhow::Result<&'static str> {
    let Some(written) = directory.written() else {
        return Ok("");
    };
    let described = directory.path().join(METADATA);
    let local = tokio::fs::read(&described)
        .await
        .with_context(|| format!("cannot read {}", described.display()))?;
    let metadata = object(period, METADATA);
    if remote.get(&metadata).await?.as_deref() == Some(&local) {
        return Ok(", uploaded before");
    }
    remote.delete(&metadata).await?;
    for file in &written.files {
        let path = directory.path().join(&file.name);
        remote.put_file(&object(period, &file.name), &path).await?;
    }
    for name in written.obsolete_names() {
        remote.delete(&object(period, &name)).await?;
    }
    remote.put_file(&metadata, &described).await?;
    Ok(", uploaded")
}
