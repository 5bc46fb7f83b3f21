//! Nothing secret leaves the client.

use digitalocean::kinds;
use domain::ResourceKind;
use serde_json::{Value, json};
use simulator::{Account, SECRETS};

use crate::examples::{self, fixture};
use crate::listed::{Listed, list};
use crate::simulated;

/// How every secret in the fixtures begins.
const PLANTED: &str = "planted-secret-";

/// Kinds whose bodies hold secrets. Of these, only what is named is kept.
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

fn assert_tells_nothing(listed: &Listed, secret: &str) {
    let text = format!("{listed:?}");
    assert!(!text.contains(secret), "{secret} in {text}");
}

#[tokio::test]
async fn no_secret_of_a_body_is_in_what_is_read() {
    for listing in kinds::listings() {
        let listed = examples::read_fixtures(listing).await;
        assert_tells_nothing(&listed, PLANTED);
    }
    for kind in WITH_SECRETS {
        let text = fixture(kind).to_string();
        assert!(text.contains(PLANTED), "the fixture of {kind} has none");
    }
}

/// Puts a key that nobody has heard of into every object.
fn with_news(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            for part in object.values_mut() {
                *part = with_news(part.take());
            }
            object.insert("news".to_owned(), json!(format!("{PLANTED}news")));
            object.insert(
                "more_news".to_owned(),
                json!({ "name": format!("{PLANTED}more-news") }),
            );
        }
        Value::Array(array) => {
            for part in array {
                *part = with_news(part.take());
            }
        }
        _ => {}
    }
    value
}

#[tokio::test]
async fn what_is_added_tomorrow_to_a_body_with_secrets_is_not_kept() {
    for kind in WITH_SECRETS {
        let listing = kinds::listing(kind).unwrap();
        let children = listing.children.as_ref();
        let children = children.map_or(json!({}), |children| with_news(fixture(&children.kind)));
        let answer = with_news(fixture(&listing.kind));
        let listed = examples::read(listing, &answer, &children).await;
        assert!(listed.completeness.is_complete(), "{listed:?}");
        assert_tells_nothing(&listed, PLANTED);
    }
}

#[tokio::test]
async fn an_account_with_everything_is_read_whole_and_without_its_secrets() {
    let (_simulator, client) = simulated(Account::everything()).await;
    for listing in kinds::listings()
        .iter()
        .chain([kinds::zones_with_records()])
    {
        let listed = list(&client, listing).await;
        for secret in SECRETS {
            assert_tells_nothing(&listed, secret);
        }
        for listed in listed.all() {
            assert!(listed.completeness.is_complete(), "{listed:?}");
            assert!(!listed.items.is_empty(), "no {} in it", listed.kind);
        }
    }
}
