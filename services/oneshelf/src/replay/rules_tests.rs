//! The pure rules against the reference totals of the real year. Skipped, in so many words, without the data.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use super::{
    classify::{Kind, SalesChannel},
    dataset::{Dataset, Document},
    expected::{self, ChannelMonth, Expected},
    matching::{Match, tie_returns},
    prices::PriceVersions,
    receipts::{Receipts, smallest_plan},
};

struct Year {
    path: PathBuf,
    data: Dataset,
    expected: Expected,
}

/// The year, read once for all tests; none where ONESHELF_DATA does not name its folder.
fn year() -> Option<&'static Year> {
    static YEAR: LazyLock<Option<Year>> = LazyLock::new(|| {
        let path = PathBuf::from(std::env::var_os("ONESHELF_DATA")?);
        let path = if path.join("online-retail").is_dir() { path.join("online-retail") } else { path };
        let data = Dataset::read(&path).unwrap();
        let expected = Expected::read(&path).unwrap()?;
        Some(Year { path, data, expected })
    });
    if YEAR.is_none() {
        eprintln!("skipped: ONESHELF_DATA does not name the folder of the data");
    }
    YEAR.as_ref()
}

fn mills(micros: i64, quantity: i64) -> i64 {
    micros * quantity / 1_000
}

#[test]
fn every_line_is_of_the_expected_kind() {
    let Some(Year { data, expected, .. }) = year() else { return };
    assert_eq!(Some(data.line_count as i64), expected.total("/lines"));
    assert_eq!(Some(data.documents.len() as i64), expected.total("/invoices"));
    assert_eq!(Some(data.customers.len() as i64), expected.total("/customers"));
    assert_eq!(Some(data.skus.iter().filter(|sku| sku.goods).count() as i64), expected.total("/skus_goods"));
    let mut sums: BTreeMap<Kind, [i64; 3]> = BTreeMap::new();
    for line in data.documents.iter().flat_map(|document| &document.lines) {
        let sum = sums.entry(line.kind).or_default();
        sum[0] += 1;
        sum[1] += line.quantity;
        sum[2] += mills(line.micros, line.quantity);
    }
    for kind in Kind::ALL {
        for (at, name) in ["lines", "quantity", "amount_mills"].into_iter().enumerate() {
            let pointer = format!("/by_kind/{}/{name}", kind.as_str());
            assert_eq!(Some(sums[&kind][at]), expected.total(&pointer), "{pointer}");
        }
    }
}

#[test]
fn channels_and_months_have_the_expected_figures() {
    let Some(Year { data, expected, .. }) = year() else { return };
    let mut revenue: BTreeMap<_, ChannelMonth> = BTreeMap::new();
    for document in &data.documents {
        let Some(channel) = document.channel else { continue };
        if document.lines.iter().all(|line| Document::stock_change(line) == 0) {
            continue;
        }
        let row = revenue.entry((document.month(), channel)).or_default();
        row.documents += 1;
        for line in &document.lines {
            let money = mills(line.micros, line.quantity);
            match line.kind {
                Kind::Sale | Kind::Free => {
                    row.lines += 1;
                    row.units_out += line.quantity;
                    row.gross_mills += money;
                    row.units_free += if line.kind == Kind::Free { line.quantity } else { 0 };
                }
                Kind::Return => {
                    row.lines += 1;
                    row.units_returned -= line.quantity;
                    row.returned_mills -= money;
                }
                Kind::Adjust | Kind::Service | Kind::BadDebt => {}
            }
        }
        row.net_mills = row.gross_mills - row.returned_mills;
    }
    assert_eq!(revenue, expected.revenue);
}

#[test]
fn price_versions_are_the_expected_ones() {
    let Some(Year { data, expected, .. }) = year() else { return };
    let versions = PriceVersions::of(data);
    let found: BTreeMap<_, _> = SalesChannel::ALL
        .into_iter()
        .flat_map(|channel| versions.of_channel(channel).map(move |entry| (channel, entry)))
        .map(|(channel, (sku, month, micros))| {
            ((channel, data.skus[sku as usize].code.to_string(), month), micros / 1_000)
        })
        .collect();
    assert_eq!(found.len(), 19_948);
    assert_eq!(found, expected.prices);

    let mut compared = BTreeMap::new();
    for document in &data.documents {
        let Some(channel) = document.channel else { continue };
        for line in document.lines.iter().filter(|line| line.kind == Kind::Sale) {
            let list = versions.at(channel, line.sku, document.time).unwrap();
            *compared.entry(line.micros.cmp(&list)).or_insert(0) += 1;
        }
    }
    assert_eq!(compared.into_values().collect::<Vec<_>>(), [32_875, 330_841, 55_919], "below, at, above");
}

#[test]
fn the_computed_receipts_are_the_expected_ones_and_no_shelf_goes_below_zero() {
    let Some(Year { path, data, .. }) = year() else { return };
    let plan = smallest_plan(data);
    assert_eq!(plan.len(), 50_109);
    assert_eq!(Some(&plan), expected::receipts(path, data).unwrap().as_ref());
    // Documents are booked whole; also then nothing is ever short.
    assert_eq!(lowest_level_by_document(data, &plan), 0);
}

/// Books the plan and the documents, each as a whole, in order.
fn lowest_level_by_document(data: &Dataset, plan: &Receipts) -> i64 {
    let mut levels = HashMap::new();
    let mut lowest = 0;
    let mut plan = plan.iter().peekable();
    for document in &data.documents {
        while let Some(((_, place, sku), units)) = plan.next_if(|((month, ..), _)| *month <= document.month()) {
            *levels.entry((*place, *sku)).or_insert(0) += units;
        }
        for line in &document.lines {
            let level: &mut i64 = levels.entry((document.place_of(line), line.sku)).or_default();
            *level += Document::stock_change(line);
            lowest = lowest.min(*level);
        }
    }
    lowest
}

#[test]
fn the_end_stock_is_the_expected_one() {
    let Some(Year { data, expected, .. }) = year() else { return };
    let mut levels: BTreeMap<(String, String), i64> = BTreeMap::new();
    let code = |sku: u32| data.skus[sku as usize].code.to_string();
    for ((_, place, sku), units) in smallest_plan(data) {
        *levels.entry((code(sku), place.code().to_owned())).or_default() += units;
    }
    for document in &data.documents {
        for line in document.lines.iter().filter(|line| Document::stock_change(line) != 0) {
            let place = document.place_of(line).code().to_owned();
            *levels.entry((code(line.sku), place)).or_default() += Document::stock_change(line);
        }
    }
    assert_eq!(levels, expected.on_hand);
}

#[test]
fn returns_find_the_expected_sales() {
    let Some(Year { data, expected, .. }) = year() else { return };
    let ties = tie_returns(data);
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    let mut units = 0;
    let mut tied_pairs = BTreeSet::new();
    for (doc, document) in data.documents.iter().enumerate() {
        for (at, line) in document.lines.iter().enumerate().filter(|(_, line)| line.kind == Kind::Return) {
            let of_line = ties.get(&(doc as u32, at)).map_or(&[][..], Vec::as_slice);
            let tied = of_line.iter().map(|tie| tie.quantity).sum();
            units += tied;
            *counts.entry(Match::of(document.customer.is_some(), -line.quantity, tied).as_str()).or_default() += 1;
            assert!(of_line.iter().all(|tie| (tie.doc as usize) < doc), "a return takes back an earlier sale");
            tied_pairs.extend(of_line.iter().map(|tie| (tie.doc, tie.line)));
        }
    }
    for (name, count) in counts {
        assert_eq!(Some(count), expected.total(&format!("/returns_matched/lines/{name}")), "{name}");
    }
    assert_eq!(Some(units), expected.total("/returns_matched/units_matched"));
    assert!(!tied_pairs.is_empty());
}

#[test]
fn the_public_one_file_form_of_a_day_reads_like_the_folder() {
    let Some(Year { path, data, .. }) = year() else { return };
    let day = Dataset::read(Path::new(&path.join("sample-2010-12-01.csv"))).unwrap();
    assert_eq!(day.line_count, 3_108);
    for (of_day, of_year) in day.documents.iter().zip(&data.documents) {
        assert_eq!((&of_day.number, of_day.channel, of_day.place), (&of_year.number, of_year.channel, of_year.place));
        let kinds = |document: &Document| document.lines.iter().map(|line| line.kind).collect::<Vec<_>>();
        assert_eq!(kinds(of_day), kinds(of_year));
    }
}
