//! The secrets in the bodies. They are invalid elsewhere and must not appear outside the
//! simulator's responses.

pub(crate) const DATABASE: &str = "sim-secret-db-password-1";
pub(crate) const DATABASE_PRIVATE: &str = "sim-secret-db-private-password-1";
pub(crate) const DATABASE_STANDBY: &str = "sim-secret-db-standby-password-1";
pub(crate) const DATABASE_STANDBY_PRIVATE: &str = "sim-secret-db-standby-private-password-1";
pub(crate) const DATABASE_UI: &str = "sim-secret-db-ui-password-1";
pub(crate) const DATABASE_SCHEMA_REGISTRY: &str = "sim-secret-db-schema-registry-password-1";
pub(crate) const DATABASE_USER: &str = "sim-secret-db-user-password-1";
pub(crate) const DATABASE_OTHER_USER: &str = "sim-secret-db-user-password-2";
pub(crate) const DATABASE_USER_ACCESS_KEY: &str = "sim-secret-db-user-access-key-1";
pub(crate) const REPLICA: &str = "sim-secret-replica-password-1";
pub(crate) const REPLICA_PRIVATE: &str = "sim-secret-replica-private-password-1";
pub(crate) const FUNCTIONS_KEY: &str = "sim-secret-functions-key-1";
pub(crate) const APP_GENERAL: &str = "sim-secret-app-general-env-1";
pub(crate) const APP_ENCRYPTED: &str = "sim-secret-app-encrypted-env-1";
pub(crate) const SERVICE_GENERAL: &str = "sim-secret-app-service-general-env-1";
pub(crate) const SERVICE_ENCRYPTED: &str = "sim-secret-app-service-encrypted-env-1";
pub(crate) const WORKER_GENERAL: &str = "sim-secret-app-worker-general-env-1";
pub(crate) const JOB_GENERAL: &str = "sim-secret-app-job-general-env-1";
pub(crate) const STATIC_SITE_GENERAL: &str = "sim-secret-app-static-site-general-env-1";
pub(crate) const FUNCTIONS_GENERAL: &str = "sim-secret-app-functions-general-env-1";
pub(crate) const APP_DATADOG: &str = "sim-secret-app-datadog-api-key-1";
pub(crate) const APP_LOGTAIL: &str = "sim-secret-app-logtail-token-1";
pub(crate) const APP_OPENSEARCH: &str = "sim-secret-app-opensearch-password-1";
pub(crate) const APP_IMAGE_REGISTRY: &str = "sim-secret-app-registry-credentials-1";
pub(crate) const APP_CLONE_URL: &str = "sim-secret-app-clone-url-token-1";
pub(crate) const SLACK_WEBHOOK: &str = "sim-secret-slack-webhook-1";
pub(crate) const AUTOSCALE_USER_DATA: &str = "sim-secret-autoscale-user-data-1";
pub(crate) const SPACES: &str = "sim-secret-spaces-secret-key-1";
pub(crate) const SAAS_SSO_URL: &str = "sim-secret-saas-sso-token-1";

/// All secrets in the bodies of resources: passwords (in fields and in connection URIs), keys,
/// tokens and values of environment variables; and [`crate::DEMO_SPACES_SECRET`], which is in no
/// body. Programs that store or show data from here must omit them.
pub const SECRETS: &[&str] = &[
    DATABASE,
    DATABASE_PRIVATE,
    DATABASE_STANDBY,
    DATABASE_STANDBY_PRIVATE,
    DATABASE_UI,
    DATABASE_SCHEMA_REGISTRY,
    DATABASE_USER,
    DATABASE_OTHER_USER,
    DATABASE_USER_ACCESS_KEY,
    REPLICA,
    REPLICA_PRIVATE,
    FUNCTIONS_KEY,
    APP_GENERAL,
    APP_ENCRYPTED,
    SERVICE_GENERAL,
    SERVICE_ENCRYPTED,
    WORKER_GENERAL,
    JOB_GENERAL,
    STATIC_SITE_GENERAL,
    FUNCTIONS_GENERAL,
    APP_DATADOG,
    APP_LOGTAIL,
    APP_OPENSEARCH,
    APP_IMAGE_REGISTRY,
    APP_CLONE_URL,
    SLACK_WEBHOOK,
    AUTOSCALE_USER_DATA,
    SAAS_SSO_URL,
    SPACES,
];
