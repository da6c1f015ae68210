//! The data as the folder has them; its README says what each file means.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, anyhow, ensure};
use chrono::NaiveDate;
use oneshelf_values::Sku;
use serde_json::Value;

use crate::replay::{dataset::fnv1a, expected::rows, source};

/// A thing with a balance of its own: one price version of a product, as the source keeps its books.
#[derive(Debug)]
pub struct Item {
    pub sku: Sku,
    /// On hand before the first day.
    pub opening: i64,
    /// What is recorded at the end, where the whole of the data is read.
    pub end: Option<i64>,
}

/// What is known of one item on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    pub item: usize,
    pub units_in: i64,
    pub units_out: i64,
    /// At the end of the day.
    pub balance: i64,
}

#[derive(Debug)]
pub struct Order {
    pub number: String,
    pub channel: Channel,
    /// Items and units, as the order's lines have them.
    pub lines: Vec<(usize, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Reseller,
    Internet,
}

impl Channel {
    pub const ALL: [Self; 2] = [Self::Reseller, Self::Internet];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reseller => "reseller",
            Self::Internet => "internet",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Reseller => "reseller_sales.csv.gz",
            Self::Internet => "internet_sales.csv.gz",
        }
    }
}

#[derive(Debug, Default)]
pub struct Day {
    pub movements: Vec<Movement>,
    pub orders: Vec<Order>,
}

#[derive(Debug)]
pub struct Books {
    pub items: Vec<Item>,
    pub days: BTreeMap<NaiveDate, Day>,
    /// `expected.json`, where the whole of the data is read.
    pub expected: Option<Value>,
    /// Of the content: what is named by it is the same in every run.
    pub fingerprint: u64,
}

impl Books {
    /// The days up to and with `through`.
    pub fn read(folder: &Path, through: NaiveDate) -> anyhow::Result<Self> {
        let mut fingerprint = 0;
        for name in ["product_key.csv", "inventory_opening.csv", "inventory_movement.csv.gz"] {
            fingerprint = fnv1a(fingerprint, &source::content(&folder.join(name))?);
        }
        let mut products: BTreeMap<u32, String> = BTreeMap::new();
        rows(&folder.join("product_key.csv"), ["ProductKey", "ProductNumber"], |[key, number]| {
            products.insert(key.parse()?, number.to_owned());
            Ok(())
        })?;
        let mut numbers = BTreeMap::new();
        let mut items = Vec::new();
        rows(&folder.join("inventory_opening.csv"), ["ProductKey", "Opening"], |[key, opening]| {
            let key: u32 = key.parse()?;
            let product = products.get(&key).ok_or_else(|| anyhow!("ProductKey {key} is no product"))?;
            // The same product has a key, and a balance, per price version.
            let sku = format!("{product}/{key}").parse()?;
            ensure!(numbers.insert(key, items.len()).is_none(), "ProductKey {key} stands twice");
            items.push(Item { sku, opening: opening.parse()?, end: None });
            Ok(())
        })?;
        let item = |key: &str| {
            let found = numbers.get(&key.parse::<u32>()?).copied();
            found.ok_or_else(|| anyhow!("ProductKey {key} has no opening balance"))
        };

        let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
        let mut left_out = false;
        let mut day = |text: &str| {
            let date = text.parse().with_context(|| format!("day {text:?}"))?;
            left_out |= date > through;
            anyhow::Ok((date <= through).then_some(date))
        };
        let columns = ["ProductKey", "MovementDate", "UnitsIn", "UnitsOut", "UnitsBalance"];
        rows(&folder.join("inventory_movement.csv.gz"), columns, |[key, on, units_in, units_out, balance]| {
            let Some(date) = day(on)? else { return Ok(()) };
            let (units_in, units_out) = (units_in.parse()?, units_out.parse()?);
            let movement = Movement { item: item(key)?, units_in, units_out, balance: balance.parse()? };
            days.entry(date).or_default().movements.push(movement);
            Ok(())
        })?;
        for channel in Channel::ALL {
            let mut orders: BTreeMap<(NaiveDate, String), Vec<(usize, i64)>> = BTreeMap::new();
            let columns = ["SalesOrderNumber", "OrderDate", "ProductKey", "OrderQuantity"];
            rows(&folder.join(channel.file()), columns, |[number, on, key, quantity]| {
                let Some(date) = day(on)? else { return Ok(()) };
                orders.entry((date, number.to_owned())).or_default().push((item(key)?, quantity.parse()?));
                Ok(())
            })?;
            for ((date, number), lines) in orders {
                days.entry(date).or_default().orders.push(Order { number, channel, lines });
            }
        }
        ensure!(!days.is_empty(), "{}: nothing moved up to {through}", folder.display());

        let mut books = Self { items, days, expected: None, fingerprint };
        let expected = folder.join("expected").join("expected.json");
        if !left_out && expected.is_file() {
            books.expected = Some(serde_json::from_slice(&source::content(&expected)?).context("expected.json")?);
            let columns = ["product_key", "balance"];
            rows(&folder.join("expected").join("balance_end.csv"), columns, |[key, balance]| {
                let key: u32 = key.parse()?;
                let item = numbers.get(&key).ok_or_else(|| anyhow!("product_key {key} has no opening balance"))?;
                books.items[*item].end = Some(balance.parse()?);
                Ok(())
            })?;
        }
        Ok(books)
    }

    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.days.values().flat_map(|day| &day.orders)
    }

    pub fn movements(&self) -> impl Iterator<Item = (NaiveDate, &Movement)> {
        self.days.iter().flat_map(|(date, day)| day.movements.iter().map(|movement| (*date, movement)))
    }

    pub fn order_count(&self) -> usize {
        self.orders().count()
    }

    pub fn line_count(&self) -> usize {
        self.orders().map(|order| order.lines.len()).sum()
    }

    /// The balance of each item after the last day, as the source's own rows have it.
    pub fn last_balances(&self) -> Vec<i64> {
        let mut balances: Vec<i64> = self.items.iter().map(|item| item.opening).collect();
        for (_, movement) in self.movements() {
            balances[movement.item] = movement.balance;
        }
        balances
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    fn packed(folder: &Path, name: &str, text: &str) {
        let file = fs::File::create(folder.join(name)).unwrap();
        let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        writer.write_all(text.as_bytes()).unwrap();
        writer.finish().unwrap();
    }

    fn folder(orders: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("oneshelf-books-{}-{}", std::process::id(), orders.len()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("product_key.csv"), "ProductKey,ProductNumber\n7,BK-1\n8,BK-1\n").unwrap();
        fs::write(folder.join("inventory_opening.csv"), "ProductKey,Opening\n7,4\n8,1\n").unwrap();
        packed(
            &folder,
            "inventory_movement.csv.gz",
            "ProductKey,MovementDate,UnitsIn,UnitsOut,UnitsBalance\n7,2011-01-01,0,6,-2\n7,2011-01-02,5,0,3\n",
        );
        packed(&folder, "reseller_sales.csv.gz", orders);
        packed(&folder, "internet_sales.csv.gz", "SalesOrderNumber,OrderDate,ProductKey,OrderQuantity\n");
        folder
    }

    #[test]
    fn versions_of_a_product_have_books_of_their_own_and_days_may_be_left_out() {
        let folder = folder(
            "SalesOrderNumber,OrderDate,ProductKey,OrderQuantity\nSO1,2011-01-01,7,4\nSO2,2011-01-01,7,1\nSO1,2011-01-01,7,1\n",
        );
        let whole = Books::read(&folder, NaiveDate::MAX).unwrap();
        let first = Books::read(&folder, "2011-01-01".parse().unwrap()).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(whole.items.iter().map(|item| item.sku.as_str()).collect::<Vec<_>>(), ["BK-1/7", "BK-1/8"]);
        assert_eq!((whole.order_count(), whole.line_count()), (2, 3));
        assert_eq!(whole.last_balances(), [3, 1]);
        assert_eq!(first.last_balances(), [-2, 1]);
        assert_eq!(first.days.len(), 1);
    }

    #[test]
    fn a_line_of_an_unknown_product_is_named() {
        let folder = folder("SalesOrderNumber,OrderDate,ProductKey,OrderQuantity\nSO1,2011-01-01,9,4\n");
        let error = format!("{:#}", Books::read(&folder, NaiveDate::MAX).unwrap_err());
        fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("reseller_sales.csv.gz line 2") && error.contains("ProductKey 9"), "{error}");
    }
}
