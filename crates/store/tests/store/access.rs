//! API tokens.

use chrono::TimeDelta;
use store::{NewToken, Role, StoreError, Validity};
use uuid::Uuid;

use super::support::{by, fixture};

#[tokio::test]
async fn a_token_authenticates_its_role_until_it_is_revoked() {
    let fixture = fixture().await;
    let role = Role::Tenant("acme".parse().unwrap());
    let id = fixture
        .create_token(
            NewToken {
                name: "acme's own",
                role: &role,
                costs: true,
                token: "arc_1",
                lifetime: None,
            },
            &by("ann"),
        )
        .await
        .unwrap();
    let access = fixture.authenticate("arc_1").await.unwrap().unwrap();
    assert_eq!((access.token_id, access.role), (id, role));
    assert_eq!(fixture.authenticate("arc_2").await.unwrap(), None);

    fixture.revoke_token(id, &by("ann")).await.unwrap();
    assert_eq!(fixture.authenticate("arc_1").await.unwrap(), None);
    let tokens = fixture.tokens().await.unwrap();
    assert!(tokens[0].revoked_at.is_some() && tokens[0].last_used_at.is_some());
    assert!(fixture.revoke_token(Uuid::nil(), &by("ann")).await.is_err());
}

#[tokio::test]
async fn the_database_never_contains_a_token() {
    let fixture = fixture().await;
    let new = NewToken {
        name: "admin",
        role: &Role::PlatformAdmin,
        costs: false,
        token: "arc_this-is-secret",
        lifetime: None,
    };
    fixture.create_token(new, &by("ann")).await.unwrap();
    let found: i64 = sqlx::query_scalar(
        "select count(*) from api_tokens t where t::text like '%this-is-secret%'",
    )
    .fetch_one(&fixture.pool)
    .await
    .unwrap();
    assert_eq!(found, 0);
}

#[tokio::test]
async fn a_token_expires_and_is_warned_about_in_its_last_tenth() {
    let fixture = fixture().await;
    // Age and remaining time in days, and the validity.
    for (number, (age, left, expected)) in [
        (0, 365, Validity::Valid),
        (300, 31, Validity::Valid),
        (335, 29, Validity::ExpiresSoon),
        (89, 11, Validity::Valid),
        (91, 9, Validity::ExpiresSoon),
        (365, 0, Validity::Expired),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("arc_{number}");
        let new = NewToken {
            name: &token,
            role: &Role::PlatformAdmin,
            costs: false,
            token: &token,
            lifetime: Some(TimeDelta::days(1)),
        };
        let id = fixture.create_token(new, &by("ann")).await.unwrap();
        sqlx::query(
            "update api_tokens set created_at = now() - make_interval(days => $2), expires_at = now() + make_interval(days => $3)
             where id = $1",
        )
        .bind(id)
        .bind(age)
        .bind(left)
        .execute(&fixture.pool)
        .await
        .unwrap();
        let tokens = fixture.tokens().await.unwrap();
        let stored = tokens.iter().find(|token| token.id == id).unwrap();
        assert_eq!(stored.validity, expected, "{age} {left}");
        let access = fixture.authenticate(&token).await.unwrap();
        assert_eq!(
            access.is_some(),
            expected != Validity::Expired,
            "{age} {left}"
        );
    }
    let expiring = fixture.expiring_tokens().await.unwrap();
    let names: Vec<&str> = expiring.iter().map(|token| token.name.as_str()).collect();
    assert_eq!(names, ["arc_4", "arc_2"]);
}

#[tokio::test]
async fn a_rotated_token_is_valid_for_the_overlap_but_not_longer_than_before() {
    let fixture = fixture().await;
    let create = async |token: &str, lifetime| {
        let new = NewToken {
            name: "ci",
            role: &Role::PlatformAdmin,
            costs: false,
            token,
            lifetime,
        };
        fixture.create_token(new, &by("ann")).await.unwrap()
    };
    let validity = async |id| {
        let tokens = fixture.tokens().await.unwrap();
        let token = tokens.into_iter().find(|token| token.id == id).unwrap();
        let left = token
            .expires_at
            .map(|end| (end - token.created_at).num_hours());
        (token.validity, left)
    };
    let (week, ann) = (TimeDelta::days(7), by("ann"));
    let endless = create("arc_a", None).await;
    let new = fixture.rotate_token(endless, "arc_b", None, week, &ann);
    let new = new.await.unwrap();
    assert_eq!(validity(endless).await, (Validity::Replaced, Some(7 * 24)));
    assert_eq!(validity(new).await, (Validity::Valid, None));
    for token in ["arc_a", "arc_b"] {
        assert!(fixture.authenticate(token).await.unwrap().is_some());
    }

    let short = create("arc_c", Some(TimeDelta::hours(2))).await;
    let lifetime = Some(TimeDelta::days(30));
    let new = fixture.rotate_token(short, "arc_d", lifetime, week, &ann);
    let new = new.await.unwrap();
    assert_eq!(validity(short).await, (Validity::Replaced, Some(2)));
    assert_eq!(validity(new).await, (Validity::Valid, Some(30 * 24)));

    let again = fixture.rotate_token(short, "arc_e", None, week, &ann).await;
    assert!(matches!(again, Err(StoreError::Rotated { successor, .. }) if successor == new));
    fixture.revoke_token(new, &by("ann")).await.unwrap();
    let revoked = fixture.rotate_token(new, "arc_f", None, week, &ann).await;
    assert!(matches!(revoked, Err(StoreError::InvalidToken { .. })));
    let unknown = fixture
        .rotate_token(Uuid::nil(), "arc_g", None, week, &ann)
        .await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
    assert_eq!(fixture.authenticate("arc_e").await.unwrap(), None);
}
