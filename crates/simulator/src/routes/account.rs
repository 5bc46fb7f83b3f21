//! The account and its balance.

use axum::{extract::State, response::Response};
use serde_json::json;

use crate::{
    answers::{amount, ok},
    caller::Caller,
    errors::ApiError,
    state::Shared,
};

/// The user who created the tokens, as opposed to the team.
const USER_UUID: &str = "b6fc48dbf6d9906cace5f3c78dc9851e757381ef";

pub(crate) async fn balance(
    State(shared): State<Shared>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("billing:read")?;
    let balance = shared.account().balance;
    let body = json!({
        "month_to_date_balance": amount(balance.month_to_date_balance()),
        "account_balance": amount(balance.account_balance),
        "month_to_date_usage": amount(balance.month_to_date_usage),
        "generated_at": balance.generated_at,
    });
    Ok(ok(&body))
}

pub(crate) async fn account(
    State(shared): State<Shared>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("account:read")?;
    let account = shared.account();
    let team = &account.team;
    let body = json!({ "account": {
        "droplet_limit": 25,
        "floating_ip_limit": 5,
        "volume_limit": 100,
        "email": "ops@kestrel.example",
        "name": "Kestrel Operations",
        "uuid": USER_UUID,
        "email_verified": true,
        "status": "active",
        "status_message": "",
        "team": { "uuid": team.uuid, "name": team.name },
    }});
    Ok(ok(&body))
}
