//! A month in which the costs of two tenants are entangled, and the check that one of them sees
//! nothing of the other.

use store::Role;

use super::{TestApi, rows, token_with_costs};

impl TestApi {
    /// Creates an account in which the tenant `acme` has a droplet for half of April; then the
    /// other tenant has it, and has renamed it. It also has a resource in the project of the other
    /// tenant, by an override.
    pub(crate) async fn entangled() -> Self {
        let api = Self::with_account().await;
        let bill = [
            "Droplets,,SECRET-RENAMED (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$10.00,alpha,iaas",
            "Droplets,,web-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$6.00,SECRET-PROJECT,iaas",
            "Droplets,,db-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$24.50,beta,iaas",
            "Droplets,SECRET-GROUP,SECRET-SHARED (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$7.77,beta,iaas",
            "Taxes,,SECRET-TAX of db-1,,2026-04-01 00:00:00 +0000,2026-04-30 23:59:59 +0000,$3.06,,iaas",
        ];
        api.invoice("2026-04", "51.33", &bill.join("\n")).await;
        let alpha = format!("/api/v1/projects/{}", api.project_id("alpha").await);
        let change = r#"{"tenant_id": "globex", "since": "2026-04-16"}"#;
        api.patch(&api.admin, &alpha, change).await.ok();
        let web = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
        let change = r#"{"tenant_id": "acme", "since": "2020-01-01"}"#;
        api.patch(&api.admin, &web, change).await.ok();
        let path = "/api/v1/billing/cost-lines?period=2026-04&limit=500";
        let lines = api.get(&api.admin, path).await.ok();
        let to_share = rows(&lines).iter().find(|row| {
            row["description"]
                .as_str()
                .unwrap()
                .contains("SECRET-SHARED")
        });
        let path = format!(
            "/api/v1/billing/cost-lines/{}/match",
            to_share.unwrap()["id"].as_str().unwrap()
        );
        api.put(&api.admin, &path, r#"{"resource_id": null}"#)
            .await
            .ok();
        api
    }
}

/// Creates a token of a tenant that may read its costs.
pub(crate) async fn token_of(api: &TestApi, tenant: &str) -> String {
    let role = Role::Tenant(tenant.parse().unwrap());
    token_with_costs(&api.store, &role).await.1
}

/// Names of the other tenant, its projects and its resources in [`TestApi::entangled`].
const FOREIGN_NAMES: [&str; 6] = ["SECRET", "globex", "beta", "db-1 (", ">db-1<", "\"db-1\""];

/// Amounts in USD of the other tenant, of whole lines, of the month and of its invoices; the ratios
/// of the allocation.
const FOREIGN_AMOUNTS: [&str; 15] = [
    "84.99", "51.33", "33.66", "64.55", "54.00", "10.55", "71.10", "13.89", "24.50", "10.00",
    "7.77", "3.06", "24.1", "75.9", "50.0",
];

/// Checks that a response to `acme` has nothing of the other tenant, nothing of the account, and
/// nothing from which these follow.
#[track_caller]
pub(crate) fn assert_nothing_foreign(path: &str, text: &str) {
    for name in FOREIGN_NAMES {
        assert!(!text.contains(name), "{name} in {path}: {text}");
    }
    for amount in FOREIGN_AMOUNTS {
        assert!(!has_number(text, amount), "{amount} in {path}: {text}");
    }
}

/// Returns true if the text has the number, and not only as a part of another number or of a time.
fn has_number(text: &str, number: &str) -> bool {
    let is_digit = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit());
    text.match_indices(number).any(|(place, _)| {
        let before = text[..place].chars().next_back();
        let after = text[place + number.len()..].chars().next();
        !is_digit(before) && !is_digit(after)
    })
}
