//! The gen-ai products: agents, knowledge bases, dedicated inference.

use serde_json::{Value, json};

use crate::{bodies::New, catalogue::default_vpc, identifiers::OWNER_ID};

pub(crate) fn agent(new: &New<'_>) -> Value {
    json!({
        "uuid": new.id,
        "name": new.name,
        "description": "Answers questions about our products",
        "instruction": "You answer questions briefly.",
        "region": new.region,
        "project_id": new.project,
        "user_id": OWNER_ID.to_string(),
        "tags": ["support"],
        "model": {
            "uuid": new.part("model"),
            "name": "Llama 3.3 Instruct (70B)",
            "inference_name": "llama3.3-70b-instruct",
            "provider": "MODEL_PROVIDER_DIGITALOCEAN",
        },
        "deployment": {
            "uuid": new.part("deployment"),
            "name": new.name,
            "status": "STATUS_RUNNING",
            "visibility": "VISIBILITY_PRIVATE",
            "url": format!("https://{}.agents.do-ai.run", new.id),
            "created_at": new.created_at,
            "updated_at": new.created_at,
        },
        "k": 5,
        "max_tokens": 512,
        "temperature": 0.5,
        "top_p": 0.9,
        "retrieval_method": "RETRIEVAL_METHOD_NONE",
        "url": format!("https://{}.agents.do-ai.run", new.id),
        "created_at": new.created_at,
        "updated_at": new.created_at,
    })
}

pub(crate) fn knowledge_base(new: &New<'_>) -> Value {
    json!({
        "uuid": new.id,
        "name": new.name,
        "region": new.region,
        "project_id": new.project,
        "database_id": new.part("knowledge database"),
        "embedding_model_uuid": new.part("embedding model"),
        "is_public": false,
        "tags": [],
        "user_id": OWNER_ID.to_string(),
        "added_to_agent_at": new.created_at,
        "created_at": new.created_at,
        "updated_at": new.created_at,
    })
}

pub(crate) fn dedicated_inference(new: &New<'_>) -> Value {
    let vpc = default_vpc(new.region);
    let host = |side: &str| {
        format!(
            "https://{}-{side}-dedicated-inference.do-infra.ai",
            new.number
        )
    };
    json!({
        "id": new.id,
        "status": "active",
        "region": new.region,
        "vpc_uuid": vpc,
        "spec": {
            "version": 1,
            "name": new.name,
            "region": new.region,
            "vpc": { "uuid": vpc },
            "enable_public_endpoint": true,
            "model_deployments": [{
                "model_id": new.part("deployed model"),
                "model_slug": "mistral/mistral-7b-instruct-v3",
                "model_provider": "hugging_face",
                "workload_config": {},
                "accelerators": [{
                    "scale": 1,
                    "type": "prefill_decode",
                    "accelerator_slug": "gpu-mi300x1-192gb",
                    "status": "active",
                }],
            }],
        },
        "endpoints": {
            "public_endpoint_fqdn": host("public"),
            "private_endpoint_fqdn": host("private"),
        },
        "created_at": new.created_at,
        "updated_at": new.created_at,
    })
}
