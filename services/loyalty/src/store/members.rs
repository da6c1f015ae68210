//! The members' rows.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use oneshelf_values::MemberId;
use sqlx::{PgConnection, PgPool};

use crate::domain::Member;

/// Enrols members, in member order: new ones get a row, ones that a sale named before are adopted with their points.
/// Those that were enrolled before are missing from the answer.
pub(crate) async fn enrol_members(
    conn: &mut PgConnection,
    ids: &BTreeSet<MemberId>,
    now: DateTime<Utc>,
) -> Result<HashMap<MemberId, Member>, sqlx::Error> {
    let ids: Vec<MemberId> = ids.iter().cloned().collect();
    let rows = sqlx::query_as!(
        Member,
        r#"
        INSERT INTO loyalty.members AS m (
            member_id
          , balance
          , earned
          , version
          , enrolled_at
          , created_at
          , updated_at
        )
        SELECT member_id, 0, 0, 1, $2, $2, $2
        FROM UNNEST($1::TEXT[]) WITH ORDINALITY AS new (member_id, nth)
        ORDER BY nth
        ON CONFLICT (member_id) DO UPDATE
        SET enrolled_at = $2
          , updated_at = $2
          , version = m.version + 1
        WHERE m.enrolled_at IS NULL
        RETURNING member_id AS "id: MemberId"
                , balance
                , earned
                , version
                , enrolled_at
        "#,
        &ids as &[MemberId],
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|member| (member.id.clone(), member)).collect())
}

/// Locks members, in member order; ones that nobody knows yet get a row, not enrolled.
pub(crate) async fn lock_members(
    conn: &mut PgConnection,
    ids: &BTreeSet<MemberId>,
    now: DateTime<Utc>,
) -> Result<HashMap<MemberId, Member>, sqlx::Error> {
    let ids: Vec<MemberId> = ids.iter().cloned().collect();
    sqlx::query!(
        r"
        INSERT INTO loyalty.members (
            member_id
          , balance
          , earned
          , version
          , created_at
          , updated_at
        )
        SELECT member_id, 0, 0, 1, $2, $2
        FROM UNNEST($1::TEXT[]) WITH ORDINALITY AS new (member_id, nth)
        ORDER BY nth
        ON CONFLICT (member_id) DO NOTHING
        ",
        &ids as &[MemberId],
        now,
    )
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query_as!(
        Member,
        r#"
        SELECT member_id AS "id: MemberId"
             , balance
             , earned
             , version
             , enrolled_at
        FROM loyalty.members
        WHERE member_id = ANY ($1)
        ORDER BY member_id
        FOR UPDATE
        "#,
        &ids as &[MemberId],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|member| (member.id.clone(), member)).collect())
}

/// Writes back what the group made of locked members.
pub(crate) async fn update_members(
    conn: &mut PgConnection,
    members: &[&Member],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if members.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r"
        UPDATE loyalty.members m
        SET balance = new.balance
          , earned = new.earned
          , version = new.version
          , updated_at = $5
        FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) AS new (member_id, balance, earned, version)
        WHERE m.member_id = new.member_id
        ",
        &members.iter().map(|member| member.id.clone()).collect::<Vec<_>>() as &[MemberId],
        &members.iter().map(|member| member.balance).collect::<Vec<_>>(),
        &members.iter().map(|member| member.earned).collect::<Vec<_>>(),
        &members.iter().map(|member| member.version).collect::<Vec<_>>(),
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// An enrolled member.
pub(crate) async fn find_member(pool: &PgPool, id: &MemberId) -> Result<Option<Member>, sqlx::Error> {
    sqlx::query_as!(
        Member,
        r#"
        SELECT member_id AS "id: MemberId"
             , balance
             , earned
             , version
             , enrolled_at
        FROM loyalty.members
        WHERE member_id = $1
          AND enrolled_at IS NOT NULL
        "#,
        id.as_str(),
    )
    .fetch_optional(pool)
    .await
}

/// One page of enrolled members by id, those after `after`.
pub(crate) async fn list_members(
    pool: &PgPool,
    after: Option<&MemberId>,
    limit: i64,
) -> Result<Vec<Member>, sqlx::Error> {
    sqlx::query_as!(
        Member,
        r#"
        SELECT member_id AS "id: MemberId"
             , balance
             , earned
             , version
             , enrolled_at
        FROM loyalty.members
        WHERE enrolled_at IS NOT NULL
          AND ($1::TEXT IS NULL OR member_id > $1)
        ORDER BY member_id
        LIMIT $2
        "#,
        after.map(MemberId::as_str),
        limit,
    )
    .fetch_all(pool)
    .await
}
