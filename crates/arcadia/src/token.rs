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
        /// Permits the token to read the costs of its tenant; for the role `tenant` only.
        #[arg(long)]
        costs: bool,
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
    /// Reads one tenant's inventory, and with --costs its costs; no other billing.
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
        Command::Create {
            role,
            tenant,
            costs,
            name,
        } => {
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
            if costs && role.tenant().is_none() {
                bail!("--costs requires --role tenant: a platform admin reads all costs")
            }
            let token = create(&store, &name, &role, costs).await?;
            writeln!(out, "{}", token.expose_secret())?;
        }
        Command::List => {
            writeln!(
                out,
                "{:<36}  {:<14}  {:<20}  {:<5}  {:<20}  STATE  NAME",
                "ID", "ROLE", "TENANT", "COSTS", "CREATED"
            )?;
            for token in store.tokens().await? {
                let state = if token.revoked_at.is_some() {
                    "revoked"
                } else {
                    "valid"
                };
                let tenant = token.role.tenant().map_or("-", TenantId::as_str);
                let costs = if token.costs { "yes" } else { "-" };
                let created = token.created_at.format("%Y-%m-%d %H:%M:%S");
                writeln!(
                    out,
                    "{}  {:<14}  {tenant:<20}  {costs:<5}  {created}  {state}  {}",
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
pub(crate) async fn create(
    store: &Store,
    name: &str,
    role: &Role,
    costs: bool,
) -> anyhow::Result<SecretString> {
    let token = api::generate_token();
    store
        .create_token(NewToken {
            name,
            role,
            costs,
            token: token.expose_secret(),
        })
        .await?;
    Ok(token)
}
