//! Resumes long listings that fail midway, in a later attempt of the same run.
//!
//! From its tenth page on, a listing records the pages that it read and their resources. The next
//! attempt takes the listing over by assigning a new id to it and to its staged rows. If the
//! earlier attempt is still running, no row has its id any more, so its next page or sweep is
//! rejected.

use std::mem;

use chrono::{DateTime, Utc};
use domain::{RecordedPage, ResourceKind};
use sqlx::PgConnection;
use uuid::Uuid;

use super::observed::Observations;
use super::pages::{Page, Pages};
use crate::{Run, Store, StoreError};

/// Shorter listings are read again rather than recorded, so that most accounts never record a page.
const RECORD_FROM_PAGE: usize = 10;

impl Store {
    /// Resumes the listing of these kinds of an earlier attempt of the same run, if that attempt
    /// failed less than ten minutes ago and began less than an hour ago. Otherwise begins a new
    /// listing like [`Store::observe`]. Must be called before the first request.
    pub async fn resume_or_observe(
        &self,
        run: &Run,
        kinds: &[ResourceKind],
    ) -> Result<Observations, StoreError> {
        let mut pages = Pages::new(run, kinds);
        let found = sqlx::query!(
            r#"
            select clock_timestamp() as "now!", begun.listing as "listing?",
                coalesce(begun.started_at > clock_timestamp() - interval '1 hour'
                    and begun.taken_at > clock_timestamp() - interval '10 minutes', false) as "is_fresh!"
            from (select) as always
            left join cloud_resumable_listings begun on begun.run_id = $1 and begun.kinds = $2
            "#,
            pages.run_id,
            &pages.kinds,
        )
        .fetch_one(&self.pool)
        .await?;
        let mut seen = None;
        match found.listing {
            Some(listing) if found.is_fresh => {
                seen = self.take_over(listing, kinds, &mut pages).await?;
            }
            Some(listing) => self.delete_listing(listing).await?,
            None => {}
        }
        let mut seen = match seen {
            Some(seen) => seen,
            None => self.begin(Uuid::now_v7(), found.now, kinds).await?,
        };
        seen.pages = Some(pages);
        Ok(seen)
    }

    /// Returns `None` if the listing is finished, or if another attempt has taken it over.
    async fn take_over(
        &self,
        before: Uuid,
        kinds: &[ResourceKind],
        pages: &mut Pages,
    ) -> Result<Option<Observations>, StoreError> {
        let listing = Uuid::now_v7();
        let mut tx = self.pool.begin().await?;
        let started_at = sqlx::query_scalar!(
            "update cloud_resumable_listings set listing = $2 where listing = $1 returning started_at",
            before,
            listing,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(started_at) = started_at else {
            return Ok(None);
        };
        let staged = sqlx::query!(
            "update cloud_staged_resources set listing = $2 where listing = $1 returning kind, provider_id",
            before,
            listing,
        )
        .fetch_all(&mut *tx)
        .await?;
        let taken = sqlx::query!(
            "select path, total, has_next, item_ids, kinds, provider_ids from cloud_listing_pages
             where listing = $1 order by path, number",
            listing,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;

        let mut seen = self.begin(listing, started_at, kinds).await?;
        for page in taken {
            let kinds = page.kinds.into_iter().map(ResourceKind::named);
            for (kind, provider_id) in kinds.zip(page.provider_ids) {
                seen.remember(kind, provider_id, false);
            }
            let earlier = pages.earlier.entry(page.path).or_default();
            earlier.push(RecordedPage {
                total: u64::try_from(page.total).unwrap_or_default(),
                ids: page.item_ids,
                has_next: page.has_next,
            });
        }
        for row in staged {
            seen.remember(ResourceKind::named(row.kind), row.provider_id, true);
        }
        pages.is_recorded = true;
        Ok(Some(seen))
    }

    /// Deletes all rows of a listing.
    async fn delete_listing(&self, listing: Uuid) -> Result<(), StoreError> {
        sqlx::query!(
            "with deleted as (delete from cloud_resumable_listings where listing = $1)
             delete from cloud_staged_resources where listing = $1",
            listing,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

impl Observations {
    /// Returns the pages of a list that earlier attempts read, in order. A second call returns
    /// none.
    pub fn resumable_pages(&mut self, path: &str) -> Vec<RecordedPage> {
        let pages = self.pages.as_mut();
        let earlier = pages.and_then(|pages| pages.earlier.remove(path));
        earlier.unwrap_or_default()
    }

    /// Records the resources of the last [`Observations::add`] as the next page of this list.
    ///
    /// # Errors
    ///
    /// [`StoreError::TakenOver`] if a later attempt has taken the listing over.
    pub async fn record_page(
        &mut self,
        path: &str,
        number: u64,
        taken: RecordedPage,
    ) -> Result<(), StoreError> {
        let Some(pages) = &mut self.pages else {
            return Ok(());
        };
        pages.waiting.push(Page {
            path: path.to_owned(),
            number: i32::try_from(number).unwrap_or(i32::MAX),
            taken,
            resources: mem::take(&mut self.latest),
        });
        if !pages.is_recorded {
            if pages.waiting.len() < RECORD_FROM_PAGE {
                return Ok(());
            }
            pages.is_recorded =
                record_listing(&self.store, self.listing, self.started_at, pages).await?;
            if !pages.is_recorded {
                // A concurrent attempt recorded its listing first. This one continues without
                // recording.
                self.pages = None;
                return Ok(());
            }
        }
        for page in pages.waiting.drain(..) {
            write_page(&self.store, self.listing, page).await?;
        }
        Ok(())
    }

    /// Deletes the recorded pages of a list that is read from its start again.
    pub async fn restart_list(&mut self, path: &str) -> Result<(), StoreError> {
        let Some(pages) = &mut self.pages else {
            return Ok(());
        };
        pages.waiting.retain(|page| page.path != path);
        if pages.is_recorded {
            sqlx::query!(
                "delete from cloud_listing_pages where listing = $1 and path = $2",
                self.listing,
                path,
            )
            .execute(&self.store.pool)
            .await?;
        }
        Ok(())
    }

    /// Deletes the record of the listing, after all of it is swept.
    pub async fn finish(self) -> Result<(), StoreError> {
        if self.pages.is_some_and(|pages| pages.is_recorded) {
            self.store.delete_listing(self.listing).await?;
        }
        Ok(())
    }

    /// Prevents other attempts from taking the listing over until the transaction ends. Fails if
    /// one already has.
    pub(super) async fn lock(&self, tx: &mut PgConnection) -> Result<(), StoreError> {
        let pages = self.pages.as_ref();
        if !pages.is_some_and(|pages| pages.is_recorded) {
            return Ok(());
        }
        sqlx::query_scalar!(
            "select listing from cloud_resumable_listings where listing = $1 for share",
            self.listing,
        )
        .fetch_optional(tx)
        .await?
        .map(drop)
        .ok_or(StoreError::TakenOver)
    }

    /// Checks that no staged row of the kind is missing. A crash of the database empties the
    /// unlogged table of staged rows, and a sweep without them would miss resources.
    pub(super) async fn check_staged(
        &self,
        tx: &mut PgConnection,
        kind: &ResourceKind,
    ) -> Result<(), StoreError> {
        let expected = self.staged(kind);
        if expected == 0 {
            return Ok(());
        }
        let stored = sqlx::query_scalar!(
            r#"select count(*) as "count!" from cloud_staged_resources where listing = $1 and kind = $2"#,
            self.listing,
            kind.as_str(),
        )
        .fetch_one(tx)
        .await?;
        if usize::try_from(stored).is_ok_and(|stored| stored >= expected) {
            Ok(())
        } else {
            Err(StoreError::TakenOver)
        }
    }
}

/// Records the listing; returns false if its run already has a recorded listing of these kinds.
async fn record_listing(
    store: &Store,
    listing: Uuid,
    started_at: DateTime<Utc>,
    pages: &Pages,
) -> Result<bool, StoreError> {
    let written = sqlx::query!(
        "insert into cloud_resumable_listings (listing, run_id, kinds, started_at) values ($1, $2, $3, $4)
         on conflict (run_id, kinds) do nothing",
        listing,
        pages.run_id,
        &pages.kinds,
        started_at,
    )
    .execute(&store.pool)
    .await?;
    Ok(written.rows_affected() == 1)
}

async fn write_page(store: &Store, listing: Uuid, page: Page) -> Result<(), StoreError> {
    let resources = page.resources.iter();
    let (kinds, provider_ids): (Vec<&str>, Vec<&str>) = resources
        .map(|(kind, id)| (kind.as_str(), id.as_str()))
        .unzip();
    let written = sqlx::query!(
        "with mine as (
             update cloud_resumable_listings set taken_at = clock_timestamp() where listing = $1 returning listing
         )
         insert into cloud_listing_pages (listing, path, number, total, has_next, item_ids, kinds, provider_ids)
         select listing, $2, $3, $4, $5, $6, $7, $8 from mine",
        listing,
        page.path,
        page.number,
        i64::try_from(page.taken.total).unwrap_or(i64::MAX),
        page.taken.has_next,
        &page.taken.ids,
        &kinds as &[&str],
        &provider_ids as &[&str],
    )
    .execute(&store.pool)
    .await?;
    if written.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::TakenOver)
    }
}
