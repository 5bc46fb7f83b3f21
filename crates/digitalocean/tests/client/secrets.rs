//! Tests that no secret of a body is kept.

use digitalocean::kinds;
use domain::ResourceKind;
use serde_json::{Value, json};
use simulator::{Account, SECRETS};

use crate::examples::{self, fixture};
use crate::listed::{Listed, list};
use crate::simulated;

/// The prefix of every secret in the fixtures.
const PLANTED: &str = "planted-secret-";

/// Kinds with secrets in their bodies, which keep only named parts.
const WITH_SECRETS: &[ResourceKind] = &[
    ResourceKind::ALERT_POLICY,
    ResourceKind::APP,
    ResourceKind::AUTOSCALE_POOL,
    ResourceKind::BYOIP_PREFIX,
    ResourceKind::DATABASE_CLUSTER,
    ResourceKind::DATABASE_REPLICA,
    ResourceKind::DEDICATED_INFERENCE,
    ResourceKind::FUNCTION_NAMESPACE,
    ResourceKind::GENAI_AGENT,
    ResourceKind::GENAI_KNOWLEDGE_BASE,
    ResourceKind::PARTNER_ATTACHMENT,
    ResourceKind::SAAS_ADDON,
    ResourceKind::SPACES_KEY,
    ResourceKind::VECTOR_DATABASE,
];

fn assert_contains_no(listed: &Listed, secret: &str) {
    let text = format!("{listed:?}");
    assert!(!text.contains(secret), "{secret} in {text}");
}

#[tokio::test]
async fn no_secret_of_a_body_is_kept() {
    for listing in kinds::listings() {
        let listed = examples::read_fixtures(listing).await;
        assert_contains_no(&listed, PLANTED);
    }
    for kind in WITH_SECRETS {
        let text = fixture(kind).to_string();
        assert!(text.contains(PLANTED), "the fixture of {kind} has none");
    }
}

/// Adds unknown keys to every object.
fn with_unknown_keys(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            for part in object.values_mut() {
                *part = with_unknown_keys(part.take());
            }
            object.insert("news".to_owned(), json!(format!("{PLANTED}news")));
            object.insert(
                "more_news".to_owned(),
                json!({ "name": format!("{PLANTED}more-news") }),
            );
        }
        Value::Array(array) => {
            for part in array {
                *part = with_unknown_keys(part.take());
            }
        }
        _ => {}
    }
    value
}

#[tokio::test]
async fn unknown_keys_of_a_body_with_secrets_are_not_kept() {
    for kind in WITH_SECRETS {
        let listing = kinds::listing(kind).unwrap();
        let children = listing.children.as_ref();
        let children = children.map_or(json!({}), |children| {
            with_unknown_keys(fixture(&children.kind))
        });
        let response = with_unknown_keys(fixture(&listing.kind));
        let listed = examples::read(listing, &response, &children).await;
        assert!(listed.completeness.is_complete(), "{listed:?}");
        assert_contains_no(&listed, PLANTED);
    }
}

#[tokio::test]
async fn an_account_with_all_kinds_is_read_without_its_secrets() {
    let (_simulator, client) = simulated(Account::everything()).await;
    for listing in kinds::listings()
        .iter()
        .chain([kinds::zones_with_records()])
    {
        let listed = list(&client, listing).await;
        for secret in SECRETS {
            assert_contains_no(&listed, secret);
        }
        for listed in listed.all() {
            assert!(listed.completeness.is_complete(), "{listed:?}");
            assert!(!listed.items.is_empty(), "no {} in it", listed.kind);
        }
    }
}
