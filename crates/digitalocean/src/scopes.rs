//! The scopes that a token needs for each purpose, and the data that is missing without each.

use crate::Error;
use crate::client::Client;
use crate::error::Call;
use crate::kinds::{self, ResourceListing};
use crate::pages::PageResponse;
use crate::paging::Paging;
use crate::tokens::Purpose;

/// A list that a purpose reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The path of the smallest request for the list.
    path: String,
    /// The key of the list in the response. None if the response is not a list.
    envelope: Option<&'static str>,
    /// The scope that a token with custom scopes needs (spec).
    pub scope: &'static str,
    /// The data that is missing without the scope, as the start of a sentence.
    pub loss: String,
    /// Whether the purpose cannot be served without the list.
    pub is_essential: bool,
}

impl Need {
    fn of(path: &str, envelope: Option<&'static str>, scope: &'static str, loss: &str) -> Self {
        Self {
            path: path.to_owned(),
            envelope,
            scope,
            loss: loss.to_owned(),
            is_essential: true,
        }
    }

    fn of_kind(listing: &ResourceListing) -> Self {
        let path = listing.paths[0];
        let path = match listing.paging {
            Paging::Whole => path.to_owned(),
            Paging::Pages if path.contains('?') => format!("{path}&per_page=1"),
            Paging::Pages => format!("{path}?per_page=1"),
        };
        let kinds: Vec<_> = listing.kinds().map(|kind| plural(kind.as_str())).collect();
        Self {
            path,
            envelope: Some(listing.envelope),
            scope: listing.scope,
            loss: format!("{} are not mirrored", kinds.join(", ")),
            is_essential: false,
        }
    }

    /// Without the scope, lists of resources omit their tags without an error (spec).
    fn of_tags() -> Self {
        let loss = "tags are not mirrored, and resources that Kubernetes clusters created are not recognized; if the token of another \
                    purpose may read tags, they appear and disappear with each sync";
        Self {
            is_essential: false,
            ..Self::of("/v2/tags?per_page=1", Some("tags"), "tag:read", loss)
        }
    }

    /// Returns the path of the request, as errors name it.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Purpose {
    /// Returns every list that the purpose reads.
    pub fn needs(self) -> Vec<Need> {
        match self {
            Self::CloudSyncFull => {
                let projects = Need::of(
                    "/v2/projects?per_page=1",
                    Some("projects"),
                    "project:read",
                    "resources are not assigned to projects and tenants",
                );
                let kinds = kinds::listings().iter().map(Need::of_kind);
                let others = [projects, Need::of_tags()];
                others.into_iter().chain(kinds).collect()
            }
            Self::CloudSyncFast => vec![
                Need::of(
                    "/v2/droplets?per_page=1",
                    Some("droplets"),
                    "droplet:read",
                    "new and changed droplets are not mirrored within a minute",
                ),
                Need::of_tags(),
            ],
            Self::CloudBilling => [
                (
                    "/v2/customers/my/balance",
                    None,
                    "the balance is not mirrored",
                ),
                (
                    "/v2/customers/my/billing_history?per_page=1",
                    Some("billing_history"),
                    "charges, payments and credits are not mirrored",
                ),
                (
                    "/v2/customers/my/invoices?per_page=1",
                    Some("invoices"),
                    "invoices are not ingested, and costs are unknown",
                ),
            ]
            .map(|(path, envelope, loss)| Need::of(path, envelope, "billing:read", loss))
            .into(),
        }
    }
}

impl Client {
    /// Returns false if the token lacks the scope to read tags, so that lists of resources omit
    /// them. Makes one request.
    pub async fn may_read_tags(&self) -> Result<bool, Error> {
        match self.probe(&Need::of_tags()).await {
            Ok(()) => Ok(true),
            Err(Error::Forbidden { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Requests one item of a list, to check that the token may read it. Fails for every response
    /// that a sync would refuse.
    pub async fn probe(&self, need: &Need) -> Result<(), Error> {
        let call = Call::get(need.path.clone());
        let body = self.get(&call).await?;
        if let Some(envelope) = need.envelope {
            PageResponse::read(&call, &body, envelope, 1)?;
        }
        Ok(())
    }
}

/// Returns the plural of a kind, with spaces.
fn plural(kind: &str) -> String {
    let words = kind.replace('_', " ");
    match words.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if words.ends_with('x') => format!("{words}es"),
        None => format!("{words}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_names_the_kinds_in_plural() {
        let needs = Purpose::CloudSyncFull.needs();
        let of = |scope: &str| {
            let need = needs.iter().find(|need| need.scope == scope);
            need.map(|need| need.loss.as_str())
        };
        assert_eq!(
            of("load_balancer:read"),
            Some("load balancers are not mirrored")
        );
        assert_eq!(of("registry:read"), Some("registries are not mirrored"));
        assert_eq!(
            of("byoip_prefix:read"),
            Some("byoip prefixes are not mirrored")
        );
        assert!(needs.len() > kinds::listings().len());
        for purpose in [Purpose::CloudSyncFull, Purpose::CloudSyncFast] {
            let tags = purpose
                .needs()
                .into_iter()
                .find(|need| need.scope == "tag:read");
            assert!(tags.is_some_and(|tags| !tags.is_essential && tags.loss.starts_with("tags ")));
        }
    }
}
