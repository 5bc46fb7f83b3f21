//! Long listings that break off, and go on in a later attempt of the same run.
//!
//! From its tenth page on a listing is written down: which pages it took, and what was on them. The next attempt takes it over by
//! giving it an id of its own, with all that is staged. The attempt before, should it still be alive, is left with an id that
//! nothing belongs to, and is refused when it notes its next page or sweeps.

use std::mem;

use chrono::{DateTime, Utc};
use domain::{ResourceKind, TakenPage};
use sqlx::PgConnection;
use uuid::Uuid;

use super::observed::Observations;
use super::pages::{Page, Pages};
use crate::{Run, Store, StoreError};

/// So many pages are asked for again rather than written down: of most accounts nothing ever is.
const WRITTEN_DOWN_FROM: usize = 10;

impl Store {
    /// Goes on with what an earlier attempt of the same run observed of these kinds, where that broke off less than ten minutes
    /// ago and began less than an hour ago; otherwise begins, as [`Store::observe`] does. To be called before the first request.
    pub async fn observe_again(
        &self,
        run: &Run,
        kinds: &[ResourceKind],
    ) -> Result<Observations, StoreError> {
        let mut pages = Pages::of(run, kinds);
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
            Some(listing) => self.forget(listing).await?,
            None => {}
        }
        let mut seen = match seen {
            Some(seen) => seen,
            None => self.begin(Uuid::now_v7(), found.now, kinds).await?,
        };
        seen.pages = Some(pages);
        Ok(seen)
    }

    /// None if it has come to its end, or somebody else has taken it over meanwhile.
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
            let of_list = pages.before.entry(page.path).or_default();
            of_list.push(TakenPage {
                total: u64::try_from(page.total).unwrap_or_default(),
                ids: page.item_ids,
                has_next: page.has_next,
            });
        }
        for row in staged {
            seen.remember(ResourceKind::named(row.kind), row.provider_id, true);
        }
        pages.is_written_down = true;
        Ok(Some(seen))
    }

    /// Removes all that is left of a listing.
    async fn forget(&self, listing: Uuid) -> Result<(), StoreError> {
        sqlx::query!(
            "with gone as (delete from cloud_resumable_listings where listing = $1)
             delete from cloud_staged_resources where listing = $1",
            listing,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

impl Observations {
    /// The pages that earlier attempts took of a list, from the first on. Given once.
    pub fn taken_before(&mut self, path: &str) -> Vec<TakenPage> {
        let pages = self.pages.as_mut();
        let before = pages.and_then(|pages| pages.before.remove(path));
        before.unwrap_or_default()
    }

    /// Notes that what was added last is a page of this list, the next after those noted before. Fails where a later attempt goes
    /// on with the listing.
    pub async fn note(
        &mut self,
        path: &str,
        number: u64,
        taken: TakenPage,
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
        if !pages.is_written_down {
            if pages.waiting.len() < WRITTEN_DOWN_FROM {
                return Ok(());
            }
            pages.is_written_down =
                write_down(&self.store, self.listing, self.started_at, pages).await?;
            if !pages.is_written_down {
                // Another attempt was the first: this one goes on by itself, and nobody goes on with it.
                self.pages = None;
                return Ok(());
            }
        }
        for page in pages.waiting.drain(..) {
            write_page(&self.store, self.listing, page).await?;
        }
        Ok(())
    }

    /// Forgets the pages of a list that is read from its start again.
    pub async fn begin_again(&mut self, path: &str) -> Result<(), StoreError> {
        let Some(pages) = &mut self.pages else {
            return Ok(());
        };
        pages.waiting.retain(|page| page.path != path);
        if pages.is_written_down {
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

    /// The listing has come to its end, and all of it is swept: no attempt goes on with it.
    pub async fn finish(self) -> Result<(), StoreError> {
        if self.pages.is_some_and(|pages| pages.is_written_down) {
            self.store.forget(self.listing).await?;
        }
        Ok(())
    }

    /// Keeps others from taking the listing over until the transaction ends. Fails if somebody has.
    pub(super) async fn hold(&self, tx: &mut PgConnection) -> Result<(), StoreError> {
        let pages = self.pages.as_ref();
        if !pages.is_some_and(|pages| pages.is_written_down) {
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

    /// Fails where some of what was staged of a kind is gone: a crash of the database empties its table, and to sweep without it
    /// would store less than was seen.
    pub(super) async fn check_staged(
        &self,
        tx: &mut PgConnection,
        kind: &ResourceKind,
    ) -> Result<(), StoreError> {
        let expected = self.staged(kind);
        if expected == 0 {
            return Ok(());
        }
        let there = sqlx::query_scalar!(
            r#"select count(*) as "count!" from cloud_staged_resources where listing = $1 and kind = $2"#,
            self.listing,
            kind.as_str(),
        )
        .fetch_one(tx)
        .await?;
        if usize::try_from(there).is_ok_and(|there| there >= expected) {
            Ok(())
        } else {
            Err(StoreError::TakenOver)
        }
    }
}

/// Says whether it is the only listing of these kinds that its run has.
async fn write_down(
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
    let item_ids = page.taken.ids.iter();
    // Such a page will look changed, and the list be read from its start.
    let item_ids: Vec<String> = item_ids.map(|id| id.replace('\0', "\u{fffd}")).collect();
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
        &item_ids,
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
