//! Real codes typed by real people: 20,724 barcodes of Open Food Facts, and the stock codes of a wholesaler's year.
//! `ONESHELF_DATA` names the folder with the data sets; without it these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use oneshelf_values::{Gtin, GtinError, Sku};

#[expect(clippy::disallowed_methods, reason = "a test of the crate that knows no configuration")]
fn data(name: &str) -> Option<PathBuf> {
    let path = std::env::var("ONESHELF_DATA").ok().map(|root| Path::new(&root).join(name));
    let found = path.filter(|path| path.exists());
    if found.is_none() {
        println!("skipped: ONESHELF_DATA has no {name}");
    }
    found
}

fn column(path: &Path, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(MultiGzDecoder::new(File::open(path).unwrap()));
    let index = reader.headers().unwrap().iter().position(|header| header == name).unwrap();
    reader.records().map(|record| record.unwrap()[index].to_owned()).collect()
}

#[test]
fn real_barcodes_are_told_apart_by_their_check_digit() {
    let Some(path) = data("reference/barcodes.csv.gz") else {
        return;
    };
    let (mut valid, mut wrong_digit, mut wrong_length) = (BTreeMap::new(), 0, 0);
    let barcodes = column(&path, "barcode");
    for text in &barcodes {
        match text.parse::<Gtin>() {
            Ok(gtin) => {
                assert_eq!(&gtin.to_string(), text);
                assert_eq!(gtin.canonical().parse::<Gtin>(), Ok(gtin));
                *valid.entry(gtin.digits()).or_insert(0) += 1;
            }
            Err(GtinError::CheckDigit { .. }) => wrong_digit += 1,
            Err(GtinError::Length { .. }) => wrong_length += 1,
            Err(GtinError::NotDigits) => panic!("{text:?} is not numeric"),
        }
    }
    assert_eq!(barcodes.len(), 20_724);
    assert_eq!(valid, BTreeMap::from([(8, 972), (12, 2), (13, 18_406), (14, 3)]));
    assert_eq!((wrong_digit, wrong_length), (856, 485));
}

#[test]
fn every_stock_code_of_a_real_year_is_a_sku() {
    let Some(folder) = data("online-retail") else {
        return;
    };
    let mut skus = BTreeSet::new();
    let mut respelt = BTreeSet::new();
    for month in [
        "2010-12", "2011-01", "2011-02", "2011-03", "2011-04", "2011-05", "2011-06", "2011-07", "2011-08", "2011-09",
        "2011-10",
    ] {
        for text in column(&folder.join(format!("lines-{month}.csv.gz")), "StockCode") {
            let sku: Sku = text.parse().unwrap();
            assert_eq!(sku.as_str(), text.trim().to_uppercase());
            if sku.as_str() != text {
                respelt.insert(text);
            }
            skus.insert(sku);
        }
    }
    assert!(skus.contains("BANK CHARGES") && skus.contains("GIFT_0001_20"));
    assert!(respelt.contains("15056bl"), "codes in two spellings are one SKU");
    assert!(skus.len() > 3_897, "{} SKUs: goods and service codes", skus.len());
}
