//! Spaces keys, CDN endpoints and network file shares.

use serde_json::{Value, json};

use crate::{bodies::New, catalogue::default_vpc};

/// An endpoint of the bucket with its name.
pub(crate) fn cdn_endpoint(new: &New<'_>) -> Value {
    let New { name, region, .. } = new;
    json!({
        "id": new.id,
        "origin": format!("{name}.{region}.digitaloceanspaces.com"),
        "endpoint": format!("{name}.{region}.cdn.digitaloceanspaces.com"),
        "ttl": 3600,
        "created_at": new.created_at,
    })
}

/// A key with full access, represented as a grant for the bucket with an empty name. The API shows
/// the secret key only at its creation.
pub(crate) fn spaces_key(new: &New<'_>) -> Value {
    json!({
        "name": new.name,
        "access_key": new.id,
        "grants": [{ "bucket": "", "permission": "fullaccess" }],
        "created_at": new.created_at,
    })
}

pub(crate) fn nfs_share(new: &New<'_>) -> Value {
    json!({
        "id": new.id,
        "name": new.name,
        "size_gib": 1024,
        "region": new.region,
        "status": "ACTIVE",
        "created_at": new.created_at,
        "vpc_ids": [default_vpc(new.region)],
        "performance_tier": "PERFORMANCE_TIER_HIGH",
        "mount_path": format!("/123456/{}", new.id),
        "host": "10.128.32.2",
        "access_points": [{
            "id": new.part("access point"),
            "name": "default",
            "share_id": new.id,
            "path": "/",
            "status": "ACCESS_POINT_ACTIVE",
            "access_policy": {
                "anonuid": 65534,
                "anongid": 65534,
                "protocols": ["NFS4", "NFS"],
                "squash_config": "ROOT_SQUASH",
                "identity_enforcement_enabled": false,
            },
            "created_at": new.created_at,
            "updated_at": new.created_at,
            "is_default": true,
        }],
    })
}

/// A snapshot of the parent, or of a deleted share.
pub(crate) fn nfs_snapshot(new: &New<'_>) -> Value {
    let deleted = || new.part("gone share").to_string();
    json!({
        "id": new.id,
        "name": new.name,
        "size_gib": 1024,
        "region": new.region,
        "status": "ACTIVE",
        "created_at": new.created_at,
        "share_id": new.parent.as_ref().map_or_else(deleted, |share| share.id.clone()),
    })
}
