//! API tokens.

use store::{NewToken, Role};
use uuid::Uuid;

use super::support::fixture;

#[tokio::test]
async fn a_token_authenticates_its_role_until_it_is_revoked() {
    let fixture = fixture().await;
    let role = Role::Tenant("acme".parse().unwrap());
    let id = fixture
        .create_token(NewToken {
            name: "acme's own",
            role: &role,
            costs: true,
            token: "arc_1",
        })
        .await
        .unwrap();
    let access = fixture.authenticate("arc_1").await.unwrap().unwrap();
    assert_eq!((access.token_id, access.role), (id, role));
    assert_eq!(fixture.authenticate("arc_2").await.unwrap(), None);

    fixture.revoke_token(id).await.unwrap();
    assert_eq!(fixture.authenticate("arc_1").await.unwrap(), None);
    let tokens = fixture.tokens().await.unwrap();
    assert!(tokens[0].revoked_at.is_some() && tokens[0].last_used_at.is_some());
    assert!(fixture.revoke_token(Uuid::nil()).await.is_err());
}

#[tokio::test]
async fn the_database_never_contains_a_token() {
    let fixture = fixture().await;
    let new = NewToken {
        name: "admin",
        role: &Role::PlatformAdmin,
        costs: false,
        token: "arc_this-is-secret",
    };
    fixture.create_token(new).await.unwrap();
    let found: i64 = sqlx::query_scalar(
        "select count(*) from api_tokens t where t::text like '%this-is-secret%'",
    )
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    assert_eq!(found, 0);
}
