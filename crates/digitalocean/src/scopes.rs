//! What a token must be granted for each purpose, and what is lost where it is not.

use crate::Error;
use crate::client::Client;
use crate::error::Call;
use crate::kinds::{self, ResourceListing};
use crate::pages::PageAnswer;
use crate::paging::Paging;
use crate::tokens::Purpose;

/// A list that a purpose reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What to ask for, for as little as possible.
    path: String,
    /// The key of the list in the answer; none for what is no list.
    envelope: Option<&'static str>,
    /// What a token with custom scopes must be granted for it (spec).
    pub scope: &'static str,
    /// What is missing without it, as a sentence's beginning.
    pub loss: String,
    /// Whether the purpose comes to nothing without it.
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
        let kinds: Vec<_> = listing.kinds().map(|kind| many(kind.as_str())).collect();
        Self {
            path,
            envelope: Some(listing.envelope),
            scope: listing.scope,
            loss: format!("{} are not mirrored", kinds.join(", ")),
            is_essential: false,
        }
    }

    /// Without it lists of resources leave their tags out, without a word (spec).
    fn of_tags() -> Self {
        let loss = "tags are not seen, and so not what a Kubernetes cluster made; they come and go with every sync where the token of \
                    another purpose sees them";
        Self {
            is_essential: false,
            ..Self::of("/v2/tags?per_page=1", Some("tags"), "tag:read", loss)
        }
    }

    /// What is asked, as errors name it.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Purpose {
    /// Every list that the purpose reads.
    pub fn needs(self) -> Vec<Need> {
        match self {
            Self::CloudSyncFull => {
                let projects = Need::of(
                    "/v2/projects?per_page=1",
                    Some("projects"),
                    "project:read",
                    "no resource is given to a project or a tenant",
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
                    "new and changed droplets are not seen within a minute",
                ),
                Need::of_tags(),
            ],
            Self::CloudBilling => [
                ("/v2/customers/my/balance", None, "the balance is not read"),
                (
                    "/v2/customers/my/billing_history?per_page=1",
                    Some("billing_history"),
                    "charges, payments and credits are not read",
                ),
                (
                    "/v2/customers/my/invoices?per_page=1",
                    Some("invoices"),
                    "no invoice is ingested, so that no cost is known",
                ),
            ]
            .map(|(path, envelope, loss)| Need::of(path, envelope, "billing:read", loss))
            .into(),
        }
    }
}

impl Client {
    /// Asks for one item of a list, to see whether it may be read. An answer that the syncs would refuse is refused.
    pub async fn probe(&self, need: &Need) -> Result<(), Error> {
        let call = Call::get(need.path.clone());
        let body = self.get(&call).await?;
        if let Some(envelope) = need.envelope {
            PageAnswer::read(&call, &body, envelope, 1)?;
        }
        Ok(())
    }
}

/// A kind as people say it of several.
fn many(kind: &str) -> String {
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
    fn a_loss_is_told_in_plain_words() {
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
            assert!(tags.is_some_and(
                |tags| !tags.is_essential && tags.loss.starts_with("tags are not seen")
            ));
        }
    }
}
