//! `arcadia token`: creates, lists, rotates and revokes API tokens.

use std::io::Write as _;
use std::str::FromStr;

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Subcommand, ValueEnum};
use domain::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use store::{Actor, NewToken, Role, Store};
use uuid::Uuid;

use crate::instance::InstanceArguments;
use crate::operator;

/// Create, list, rotate and revoke API tokens.
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
        /// Time until the token expires, such as 90d; or never.
        #[arg(long, value_name = "DURATION|never", default_value = "1y")]
        expires: Lifetime,
        /// Reason, recorded in the audit.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Show all tokens, without their secrets.
    List,
    /// Create a token with the name and the access of another one, and print it; the other one
    /// expires after the overlap.
    Rotate {
        /// Id of the token, as shown by `token list`.
        id: Uuid,
        /// Time until the new token expires, such as 90d; or never.
        #[arg(long, value_name = "DURATION|never", default_value = "1y")]
        expires: Lifetime,
        /// Time during which both tokens are valid.
        #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_time)]
        overlap: TimeDelta,
        /// Reason, recorded in the audit.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Revoke a token permanently.
    Revoke {
        /// Id of the token, as shown by `token list`.
        id: Uuid,
        /// Reason, recorded in the audit.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
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

/// The longest lifetime and overlap.
const LONGEST: TimeDelta = TimeDelta::days(36_525);

/// The time until a token expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lifetime(Option<TimeDelta>);

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" {
            return Ok(Self(None));
        }
        let time = parse_time(text).map_err(|error| format!("{error}, or never"))?;
        if time.is_zero() {
            return Err("expected a time of at least a second, such as 90d, or never".to_owned());
        }
        Ok(Self(Some(time)))
    }
}

/// Parses a time such as `90d`, up to a hundred years.
fn parse_time(text: &str) -> Result<TimeDelta, String> {
    humantime::parse_duration(text)
        .ok()
        .and_then(|time| TimeDelta::from_std(time).ok())
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| "expected a time such as 12h, 90d or 1y, up to 100y".to_owned())
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
            expires,
            reason,
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
            let actor = operator::actor().because(reason);
            let Lifetime(lifetime) = expires;
            let token = create(&store, &name, &role, costs, lifetime, &actor).await?;
            writeln!(out, "{}", token.expose_secret())?;
        }
        Command::Rotate {
            id,
            expires: Lifetime(lifetime),
            overlap,
            reason,
        } => {
            let token = api::generate_token();
            let secret = token.expose_secret();
            let actor = operator::actor().because(reason);
            let rotation = store.rotate_token(id, secret, lifetime, overlap, &actor);
            rotation.await?;
            writeln!(out, "{secret}")?;
        }
        Command::List => {
            writeln!(
                out,
                "{:<36}  {:<10}  {:<14}  {:<20}  {:<5}  {:<19}  {:<19}  {:<12}  NAME",
                "ID", "PREFIX", "ROLE", "TENANT", "COSTS", "CREATED", "EXPIRES", "STATE"
            )?;
            let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S").to_string();
            for token in store.tokens().await? {
                let tenant = token.role.tenant().map_or("-", TenantId::as_str);
                let costs = if token.costs { "yes" } else { "-" };
                let created = time(token.created_at);
                let expires = token.expires_at.map_or_else(|| "never".to_owned(), time);
                writeln!(
                    out,
                    "{}  {:<10}  {:<14}  {tenant:<20}  {costs:<5}  {created}  {expires:<19}  {:<12}  {}",
                    token.id,
                    token.prefix,
                    token.role.name(),
                    token.validity.name(),
                    token.name
                )?;
            }
        }
        Command::Revoke { id, reason } => {
            let actor = operator::actor().because(reason);
            store.revoke_token(id, &actor).await?;
        }
    }
    Ok(())
}

/// Generates a token, stores its hash and returns the secret.
pub(crate) async fn create(
    store: &Store,
    name: &str,
    role: &Role,
    costs: bool,
    lifetime: Option<TimeDelta>,
    actor: &Actor,
) -> anyhow::Result<SecretString> {
    let token = api::generate_token();
    let new = NewToken {
        name,
        role,
        costs,
        token: token.expose_secret(),
        lifetime,
    };
    store.create_token(new, actor).await?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_time_or_never() {
        assert_eq!("never".parse(), Ok(Lifetime(None)));
        assert_eq!("90d".parse(), Ok(Lifetime(Some(TimeDelta::days(90)))));
        for text in ["", "0s", "90", "101y", "next year", "99999999999999999y"] {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
        assert_eq!(parse_time("0s"), Ok(TimeDelta::zero()));
    }
}
