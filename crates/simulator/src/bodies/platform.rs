//! Apps, functions, container registries, `SaaS` add-ons, uptime checks and alert policies.

use serde_json::{Value, json};

use crate::{bodies::New, identifiers::OWNER_UUID, secrets};

/// An app with a component of every sort. Its environment variables are on the app and on every
/// component, and once more in the deployment that is active. `GENERAL` ones are in plain text;
/// `SECRET` ones are encrypted.
pub(crate) fn app(new: &New<'_>) -> Value {
    // `nyc` for `nyc3`: apps know no data centres.
    let region = new
        .region
        .trim_end_matches(|letter: char| letter.is_ascii_digit());
    let spec = spec(new, region);
    let url = format!("https://{}-{}.ondigitalocean.app", new.name, new.number);
    json!({
        "id": new.id,
        "owner_uuid": OWNER_UUID,
        "project_id": new.project,
        "spec": spec,
        "active_deployment": {
            "id": new.part("deployment"),
            "spec": spec,
            "services": [{ "name": "web", "source_commit_hash": "54d4a727f457231062439895000d45437c7bb405" }],
            "phase": "ACTIVE",
            "phase_last_updated_at": new.created_at,
            "created_at": new.created_at,
            "updated_at": new.created_at,
            "cause": "app spec updated",
            "tier_slug": "basic",
        },
        "default_ingress": url,
        "live_url": url,
        "live_url_base": url,
        "live_domain": url.trim_start_matches("https://"),
        "last_deployment_created_at": new.created_at,
        "created_at": new.created_at,
        "updated_at": new.created_at,
        "tier_slug": "basic",
        "region": {
            "slug": region,
            "label": region,
            "flag": region,
            "continent": "Earth",
            "data_centers": [new.region],
        },
        "dedicated_ips": [],
        "vpc": { "id": "", "egress_ips": [] },
    })
}

fn spec(new: &New<'_>, region: &str) -> Value {
    json!({
        "name": new.name,
        "region": region,
        "envs": envs(secrets::APP_GENERAL, Some(secrets::APP_ENCRYPTED)),
        "services": [{
            "name": "web",
            "git": {
                "repo_clone_url": format!("https://ci:{}@git.example.com/web.git", secrets::APP_CLONE_URL),
                "branch": "main",
            },
            "run_command": "bin/web",
            "instance_size_slug": "apps-s-1vcpu-0.5gb",
            "instance_count": 2,
            "http_port": 8080,
            "envs": envs(secrets::SERVICE_GENERAL, Some(secrets::SERVICE_ENCRYPTED)),
            "log_destinations": [
                {
                    "name": "datadog",
                    "datadog": {
                        "endpoint": "https://http-intake.logs.datadoghq.com",
                        "api_key": secrets::APP_DATADOG,
                    },
                },
                {
                    "name": "logtail",
                    "logtail": { "endpoint": "https://in.logtail.com", "token": secrets::APP_LOGTAIL },
                },
                {
                    "name": "opensearch",
                    "open_search": {
                        "endpoint": "https://logs.example.com:9300",
                        "basic_auth": { "user": "apps", "password": secrets::APP_OPENSEARCH },
                        "index_name": "logs",
                    },
                },
            ],
        }],
        "workers": [{
            "name": "mailer",
            "image": {
                "registry_type": "GHCR",
                "registry": "example",
                "repository": "mailer",
                "tag": "latest",
                "registry_credentials": format!("ci:{}", secrets::APP_IMAGE_REGISTRY),
            },
            "instance_size_slug": "apps-s-1vcpu-0.5gb",
            "instance_count": 1,
            "envs": envs(secrets::WORKER_GENERAL, None),
        }],
        "jobs": [{
            "name": "migrate",
            "kind": "PRE_DEPLOY",
            "instance_size_slug": "apps-s-1vcpu-0.5gb",
            "instance_count": 1,
            "envs": envs(secrets::JOB_GENERAL, None),
        }],
        "static_sites": [{ "name": "docs", "envs": envs(secrets::STATIC_SITE_GENERAL, None) }],
        "functions": [{ "name": "hooks", "envs": envs(secrets::FUNCTIONS_GENERAL, None) }],
        "databases": [],
        "domains": [],
    })
}

fn envs(general: &str, encrypted: Option<&str>) -> Value {
    let variable = |key: &str, kind: &str, value: String| json!({ "key": key, "scope": "RUN_AND_BUILD_TIME", "type": kind, "value": value });
    let general = variable("API_KEY", "GENERAL", general.to_owned());
    let encrypted =
        encrypted.map(|text| variable("PASSWORD", "SECRET", format!("EV[1:{text}:c2Vhb]")));
    std::iter::once(general).chain(encrypted).collect()
}

pub(crate) fn function_namespace(new: &New<'_>) -> Value {
    json!({
        "api_host": format!("https://faas-{}-{}.doserverless.co", new.region, new.number),
        "namespace": new.id,
        "uuid": new.id.trim_start_matches("fn-"),
        "label": new.name,
        "region": new.region,
        "created_at": new.created_at,
        "updated_at": new.created_at,
        "key": secrets::FUNCTIONS_KEY,
    })
}

pub(crate) fn registry(new: &New<'_>) -> Value {
    json!({
        "name": new.name,
        "region": new.region,
        "storage_usage_bytes": 29_393_920,
        "storage_usage_bytes_updated_at": new.created_at,
        "created_at": new.created_at,
        "subscription": {
            "tier": {
                "name": "Basic",
                "slug": "basic",
                "included_repositories": 5,
                "included_storage_bytes": 5_368_709_120_u64,
                "allow_storage_overage": true,
                "included_bandwidth_bytes": 5_368_709_120_u64,
                "monthly_price_in_cents": 500,
                "storage_overage_price_in_cents": 2,
            },
            "created_at": new.created_at,
            "updated_at": new.created_at,
        },
    })
}

pub(crate) fn saas_addon(new: &New<'_>) -> Value {
    json!({
        "uuid": new.id,
        "name": new.name,
        "state": "provisioned",
        "app_name": "Example Mail",
        "app_slug": "example_mail",
        "plan_name": "Basic Plan",
        "plan_slug": "basic_plan",
        "plan_price_per_month": 10,
        "has_config": true,
        "metadata": [{ "name": "plan_owner", "value": "operations" }],
        "sso_url": format!("https://mail.example.com/sso?token={}", secrets::SAAS_SSO_URL),
        "message": "Resource is provisioned successfully.",
    })
}

pub(crate) fn uptime_check(new: &New<'_>) -> Value {
    json!({
        "id": new.id,
        "name": new.name,
        "type": "https",
        "target": "https://www.example.com",
        "regions": ["us_east", "eu_west"],
        "enabled": true,
    })
}

pub(crate) fn alert_policy(new: &New<'_>) -> Value {
    let hook = format!(
        "https://hooks.slack.com/services/T1234567/{}",
        secrets::SLACK_WEBHOOK
    );
    json!({
        "uuid": new.id,
        "type": "v1/insights/droplet/cpu",
        "description": new.name,
        "compare": "GreaterThan",
        "value": 80.0,
        "window": "5m",
        "entities": [],
        "tags": ["web"],
        "alerts": { "slack": [{ "url": hook, "channel": "Alerts" }], "email": ["operations@example.com"] },
        "enabled": true,
    })
}
