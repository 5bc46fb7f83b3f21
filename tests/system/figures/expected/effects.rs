//! Pages that show the amounts that a change would move.

use serde_json::{Value, json};

use super::{Expected, JsonApi, month_name, parameter, tenant_name, text, usd};

/// The amounts of the effect of a change.
fn effect_of(effect: &Value) -> Expected {
    let mut expected = Expected::default();
    for month in effect["months"].as_array().unwrap() {
        let state = match (month["is_final"] == true, month["is_estimate"] == true) {
            (true, _) => "final",
            (false, true) => "estimate",
            (false, false) => "open",
        };
        let name = format!("{} {state}", month_name(text(&month["period"])));
        for tenant in month["tenants"].as_array().unwrap() {
            let (before, after) = (usd(&tenant["before"]), usd(&tenant["after"]));
            assert!(!tenant_name(&tenant["tenant_id"]).is_empty());
            expected.row(&name, [before, after, after - before]);
        }
    }
    let moved = [&effect["moved"], &effect["with_since"]["moved"]];
    expected.others(moved.into_iter().filter(|moved| moved.is_string()).map(usd));
    expected
}

impl JsonApi<'_> {
    /// The dry run of marking a line as a shared cost.
    pub(super) async fn line_match(&self, path: &str) -> Expected {
        let line = path.trim_end_matches("/match").rsplit('/').next().unwrap();
        let address = format!("/api/v1/billing/cost-lines/{line}");
        let change = json!({ "resource_id": null, "reason": "a test" });
        let change = self
            .dry_run("PUT", &format!("{address}/match"), &change)
            .await;
        let mut expected = effect_of(&change["meta"]["effect"]);
        expected.others([usd(&self.get(&address).await["data"]["amount"])]);
        expected
    }

    /// The dry run of an assignment, or of the removal of all.
    pub(super) async fn project_tenant(&self, address: &str) -> Expected {
        let Some((path, _)) = address.split_once('?') else {
            return Expected::default();
        };
        let project = path.trim_end_matches("/tenant").rsplit('/').next().unwrap();
        let mut change = json!({ "tenant_id": parameter(address, "tenant") });
        if let Some(since) = parameter(address, "since") {
            change["since"] = json!(since.replace("%3A", ":"));
        }
        let path = format!("/api/v1/projects/{project}");
        effect_of(&self.dry_run("PATCH", &path, &change).await["meta"]["effect"])
    }

    async fn dry_run(&self, method: &str, path: &str, change: &Value) -> Value {
        let path = format!("{path}?dry_run=true");
        let (status, body) = self.api.change(method, &path, change, self.token).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}
