//! The droplets API. GPU droplets have a separate list.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use serde::Deserialize;

use super::tags;
use crate::{
    Droplet, answers::one, caller::Caller, errors::ApiError, paging::PageRequest, state::Shared,
};

#[derive(Deserialize)]
pub(crate) struct Filter {
    #[serde(rename = "type")]
    kind: Option<String>,
    tag_name: Option<String>,
    name: Option<String>,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    caller.needs("droplet:read")?;
    if filter.kind.is_some() && filter.tag_name.is_some() {
        return Err(ApiError::unprocessable(
            "type and tag_name cannot be combined",
        ));
    }
    let account = shared.account();
    let with_tags = caller.may(tags::SCOPE);
    let all = match filter.kind.as_deref() {
        None | Some("droplets") => &account.droplets,
        Some("gpus") => &account.gpu_droplets,
        Some(_) => return Err(ApiError::unprocessable("type must be droplets or gpus")),
    };
    let matches = |droplet: &&Droplet| {
        let tag = filter.tag_name.as_ref();
        let name = filter.name.as_ref();
        tag.is_none_or(|tag| droplet.tags.contains(tag))
            && name.is_none_or(|name| droplet.name.eq_ignore_ascii_case(name))
    };
    let matching: Vec<&Droplet> = all.iter().filter(matches).collect();
    Ok(page.answer("droplets", &matching, |droplet| droplet.body(with_tags)))
}

pub(crate) async fn get(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("droplet:read")?;
    let account = shared.account();
    let id = id.parse().map_err(|_| ApiError::not_found())?;
    let droplet = account.droplet(id).ok_or_else(ApiError::not_found)?;
    Ok(one("droplet", &droplet.body(caller.may(tags::SCOPE))))
}
