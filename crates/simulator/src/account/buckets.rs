//! Spaces buckets.

use chrono::{DateTime, Utc};

use super::Account;

/// A Spaces bucket. Projects identify it by its name, S3 by its name and region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The name, which is also the id.
    pub name: String,
    /// The region's slug.
    pub region: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

impl Account {
    /// The buckets, oldest first.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Returns the objects by bucket and name.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &str, &[u8])> {
        let objects = self.objects.iter();
        objects.map(|((bucket, name), content)| (&**bucket, &**name, &**content))
    }

    /// Creates a bucket. Replaces one of the same name.
    pub fn add_bucket(&mut self, name: &str, region: &str) {
        self.remove_bucket(name);
        self.assign_new(&format!("do:space:{name}"));
        let created_at = self.latest_moment();
        self.buckets.push(Bucket {
            name: name.to_owned(),
            region: region.to_owned(),
            created_at,
        });
    }

    pub(crate) fn remove_bucket(&mut self, name: &str) {
        self.buckets.retain(|bucket| bucket.name != name);
        self.remove_member(&format!("do:space:{name}"));
    }
}
