//! The copy of what quotes need to know of partners.

use oneshelf_values::{PartnerId, PriceListId};
use sqlx::PgConnection;

use crate::domain::partner::{Partner, PartnerState};

/// Writes partners, each only where it is newer than the row. At most one per partner.
pub async fn save_newer_partners(
    conn: &mut PgConnection,
    partners: &[Partner],
    head_version: i64,
) -> Result<(), sqlx::Error> {
    let ids: Vec<&str> = partners.iter().map(|p| p.partner_id.as_str()).collect();
    let lists: Vec<Option<&str>> = partners.iter().map(|p| p.price_list.as_ref().map(PriceListId::as_str)).collect();
    let states: Vec<&str> = partners.iter().map(|p| p.state.as_str()).collect();
    let versions: Vec<i64> = partners.iter().map(|p| p.version).collect();
    sqlx::query!(
        r#"
        INSERT INTO catalog.partners (partner_id, price_list_id, state, version, head_version)
        SELECT new.partner_id, new.price_list_id, new.state, new.version, $5
        FROM UNNEST($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[])
            AS new (partner_id, price_list_id, state, version)
        ON CONFLICT (partner_id) DO UPDATE
        SET price_list_id = excluded.price_list_id
          , state = excluded.state
          , version = excluded.version
          , head_version = excluded.head_version
        WHERE partners.version < excluded.version
        "#,
        &ids as _,
        &lists as _,
        &states as _,
        &versions,
        head_version,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The partners written after `head_version`.
pub async fn list_partners_after(conn: &mut PgConnection, head_version: i64) -> Result<Vec<Partner>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        SELECT
            partner_id AS "partner_id: PartnerId"
          , price_list_id AS "price_list_id: PriceListId"
          , state
          , version
        FROM catalog.partners
        WHERE head_version > $1
        "#,
        head_version,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Partner {
                partner_id: row.partner_id,
                price_list: row.price_list_id,
                state: PartnerState::parse(&row.state).ok_or_else(|| {
                    sqlx::Error::Decode(format!("catalog.partners.state holds {:?}", row.state).into())
                })?,
                version: row.version,
            })
        })
        .collect()
}
