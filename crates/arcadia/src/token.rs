//! `arcadia token`: creates, lists and revokes API tokens.

use std::io::Write as _;

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use domain::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use store::{NewToken, Role, Store};
use uuid::Uuid;

use crate::instance::InstanceArguments;

/// Create, list and revoke API tokens.
#[derive(clap::Args)]
#[command(
    after_help = "Uses the database of DATABASE_URL, or of --state-dir, and names it on stderr."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a token and print it; it cannot be shown again.
    Create {
        /// Access of the token.
        #[arg(long, value_enum)]
        role: RoleName,
        /// Tenant that the token may read; for the role `tenant` only.
        #[arg(long, value_name = "TENANT")]
        tenant: Option<TenantId>,
        /// Purpose or holder of the token, shown by `token list`.
        #[arg(long)]
        name: String,
    },
    /// Show all tokens, without their secrets.
    List,
    /// Revoke a token permanently.
    Revoke {
        /// Id of the token, as shown by `token list`.
        id: Uuid,
    },
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RoleName {
    /// Reads all inventory and billing.
    PlatformAdmin,
    /// Reads one tenant's inventory, and no billing.
    Tenant,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let database = arguments.instance.database(1).await?;
    let store = database.store;
    // On stderr, because scripts read the token from stdout.
    eprintln!("database: {}", database.description);
    store.check_ready().await?;
    let mut out = std::io::stdout();
    match arguments.command {
        Command::Create { role, tenant, name } => {
            let role = match (role, tenant) {
                (RoleName::PlatformAdmin, None) => Role::PlatformAdmin,
                (RoleName::Tenant, Some(tenant)) => Role::Tenant(tenant),
                (RoleName::PlatformAdmin, Some(_)) => {
                    bail!("--tenant requires --role tenant: a platform admin reads all tenants")
                }
                (RoleName::Tenant, None) => {
                    bail!("--role tenant requires --tenant: add the tenant that the token may read")
                }
            };
            writeln!(
                out,
                "{}",
                create(&store, &name, &role).await?.expose_secret()
            )?;
        }
        Command::List => {
            writeln!(
                out,
                "{:<36}  {:<14}  {:<20}  {:<20}  STATE  NAME",
                "ID", "ROLE", "TENANT", "CREATED"
            )?;
            for token in store.tokens().await? {
                let state = if token.revoked_at.is_some() {
                    "revoked"
                } else {
                    "valid"
                };
                let tenant = token.role.tenant().map_or("-", TenantId::as_str);
                let created = token.created_at.format("%Y-%m-%d %H:%M:%S");
                writeln!(
                    out,
                    "{}  {:<14}  {tenant:<20}  {created}  {state}  {}",
                    token.id,
                    token.role.name(),
                    token.name
                )?;
            }
        }
        Command::Revoke { id } => store.revoke_token(id).await?,
    }
    Ok(())
}

/// Generates a token, stores its hash and returns the secret.
pub(crate) async fn create(store: &Store, name: &str, role: &Role) -> anyhow::Result<SecretString> {
    let token = api::generate_token();
    store
        .create_token(NewToken {
            name,
            role,
            token: token.expose_secret(),
        })
        .await?;
    Ok(token)
}
