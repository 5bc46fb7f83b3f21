//! Managed databases, their replicas, and vector databases.

use serde_json::{Value, json};

use crate::{bodies::New, catalogue::default_vpc, identifiers::OWNER_UUID, secrets};

/// A connection with its password twice: in a field and in the URI.
fn connection(scheme: &str, host: &str, port: u16, password: &str) -> Value {
    json!({
        "uri": format!("{scheme}://doadmin:{password}@{host}:{port}/defaultdb?sslmode=require"),
        "database": "defaultdb",
        "host": host,
        "port": port,
        "user": "doadmin",
        "password": password,
        "ssl": true,
    })
}

fn host(new: &New<'_>, prefix: &str) -> String {
    format!(
        "{prefix}{}-do-user-{}-0.db.ondigitalocean.com",
        new.name, new.number
    )
}

/// A PostgreSQL cluster of two nodes, with every kind of connection that any engine has.
pub(crate) fn cluster(new: &New<'_>) -> Value {
    let postgres =
        |prefix: &str, password| connection("postgres", &host(new, prefix), 25060, password);
    json!({
        "id": new.id,
        "name": new.name,
        "engine": "pg",
        "version": "16",
        "semantic_version": "16.4",
        "num_nodes": 2,
        "size": "db-s-2vcpu-4gb",
        "region": new.region,
        "status": "online",
        "created_at": new.created_at,
        "private_network_uuid": default_vpc(new.region),
        "tags": ["databases"],
        "db_names": ["defaultdb"],
        "connection": postgres("", secrets::DATABASE),
        "private_connection": postgres("private-", secrets::DATABASE_PRIVATE),
        "standby_connection": postgres("replica-", secrets::DATABASE_STANDBY),
        "standby_private_connection": postgres("private-replica-", secrets::DATABASE_STANDBY_PRIVATE),
        "ui_connection": connection("https", &host(new, ""), 443, secrets::DATABASE_UI),
        "schema_registry_connection":
            connection("https", &host(new, ""), 20835, secrets::DATABASE_SCHEMA_REGISTRY),
        "users": [
            { "name": "doadmin", "role": "primary", "password": secrets::DATABASE_USER },
            {
                "name": "reporting",
                "role": "normal",
                "password": secrets::DATABASE_OTHER_USER,
                "access_cert": "-----BEGIN CERTIFICATE-----\nMIIFFjCC\n-----END CERTIFICATE-----\n",
                "access_key": format!(
                    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                    secrets::DATABASE_USER_ACCESS_KEY
                ),
            },
        ],
        "maintenance_window": { "day": "saturday", "hour": "08:45:12", "pending": false, "description": [] },
        "project_id": new.project,
        "rules": [],
        "version_end_of_life": "2028-11-09T00:00:00Z",
        "version_end_of_availability": "2028-05-09T00:00:00Z",
        "storage_size_mib": 61440,
        "metrics_endpoints": [{ "host": host(new, ""), "port": 9273 }],
    })
}

pub(crate) fn replica(new: &New<'_>) -> Value {
    let postgres =
        |prefix: &str, password| connection("postgres", &host(new, prefix), 25060, password);
    json!({
        "id": new.id,
        "name": new.name,
        "region": new.region,
        "size": "db-s-2vcpu-4gb",
        "status": "online",
        "tags": [],
        "created_at": new.created_at,
        "private_network_uuid": default_vpc(new.region),
        "connection": postgres("", secrets::REPLICA),
        "private_connection": postgres("private-", secrets::REPLICA_PRIVATE),
        "storage_size_mib": 61440,
    })
}

pub(crate) fn vector_database(new: &New<'_>) -> Value {
    let host = format!("{}-{}", new.name, new.region);
    json!({
        "id": new.id,
        "name": new.name,
        "owner_uuid": OWNER_UUID,
        "project_id": new.project,
        "region": new.region,
        "size": "small",
        "status": "active",
        "tags": [],
        "config": { "default_quantization": "rq-8", "enable_auto_schema": true, "weaviate_version": "1.32.0" },
        "endpoints": {
            "http": format!("https://{host}.weaviate.ondigitalocean.com"),
            "grpc": format!("{host}-grpc.weaviate.ondigitalocean.com"),
        },
        "created_at": new.created_at,
        "updated_at": new.created_at,
    })
}
