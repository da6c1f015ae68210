//! The year in memory: documents in order of arrival, with their lines judged by the replay rules.

use std::{collections::HashMap, fmt, path::Path};

use anyhow::Context;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use oneshelf_values::Sku;
use serde::{Deserialize, Serialize};

use super::{
    classify::{self, Kind, Place, SalesChannel},
    source::{self, RawLine},
};

/// A calendar month, counted from year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Month(i32);

impl Month {
    pub fn of(time: DateTime<Utc>) -> Self {
        Self(time.year() * 12 + time.month0().cast_signed())
    }

    /// Reads `YYYY-MM` or the month of `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let year: i32 = parts.next()?.parse().ok()?;
        let month: i32 = parts.next()?.parse().ok()?;
        (1..=12).contains(&month).then_some(Self(year * 12 + month - 1))
    }

    /// The first instant.
    pub fn start(self) -> DateTime<Utc> {
        NaiveDate::from_ymd_opt(self.0.div_euclid(12), self.0.rem_euclid(12).cast_unsigned() + 1, 1)
            .expect("a month that came from a date has a first day")
            .and_time(NaiveTime::MIN)
            .and_utc()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// Number of a SKU in [`Dataset::skus`].
pub type SkuNo = u32;
/// Number of a customer in [`Dataset::customers`].
pub type CustomerNo = u32;
/// Number of a document in [`Dataset::documents`].
pub type DocNo = u32;

#[derive(Debug)]
pub struct Line {
    /// Order of arrival over all lines.
    pub seq: u32,
    pub sku: SkuNo,
    pub quantity: i64,
    pub micros: i64,
    pub kind: Kind,
    /// Kept for lines that become fees.
    pub description: Option<Box<str>>,
}

#[derive(Debug)]
pub struct Document {
    pub number: Box<str>,
    pub time: DateTime<Utc>,
    pub customer: Option<CustomerNo>,
    pub channel: Option<SalesChannel>,
    pub place: Place,
    pub lines: Vec<Line>,
}

impl Document {
    pub fn month(&self) -> Month {
        Month::of(self.time)
    }

    /// Where a line's goods move: adjustments are the warehouse's.
    pub fn place_of(&self, line: &Line) -> Place {
        if line.kind == Kind::Adjust { Place::WAREHOUSE } else { self.place }
    }

    /// What a line does to stock there.
    pub fn stock_change(line: &Line) -> i64 {
        match line.kind {
            // A return's quantity is negative, so the same sign gives the goods back.
            Kind::Sale | Kind::Free | Kind::Return => -line.quantity,
            Kind::Adjust => line.quantity,
            Kind::Service | Kind::BadDebt => 0,
        }
    }
}

#[derive(Debug, Clone)]
pub struct SkuInfo {
    pub code: Sku,
    /// The first description that is not empty.
    pub title: String,
    /// Whether any line moves it: services are no products.
    pub goods: bool,
}

#[derive(Debug)]
pub struct Dataset {
    pub documents: Vec<Document>,
    pub skus: Vec<SkuInfo>,
    pub customers: Vec<Box<str>>,
    pub line_count: usize,
    /// Lines of quantity zero, which mean nothing and are left out.
    pub skipped: usize,
    /// Names the content: another source never shares a request id with this one.
    pub fingerprint: u64,
}

impl Dataset {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut builder = Builder::default();
        for file in source::files(path)? {
            let content = source::content(&file)?;
            builder.add_content(&content).with_context(|| file.display().to_string())?;
        }
        Ok(builder.finish())
    }

    #[cfg(test)]
    pub fn of(content: &str) -> Self {
        let mut builder = Builder::default();
        builder.add_content(content.as_bytes()).unwrap();
        builder.finish()
    }

    /// All lines in order of arrival.
    pub fn lines_in_order(&self) -> Vec<(DocNo, usize)> {
        let mut lines: Vec<(DocNo, usize)> = Vec::with_capacity(self.line_count);
        for (doc, document) in self.documents.iter().enumerate() {
            lines.extend((0..document.lines.len()).map(|line| (doc as DocNo, line)));
        }
        lines.sort_by_key(|(doc, line)| self.documents[*doc as usize].lines[*line].seq);
        lines
    }

    pub fn line(&self, (doc, line): (DocNo, usize)) -> (&Document, &Line) {
        let document = &self.documents[doc as usize];
        (document, &document.lines[line])
    }
}

/// FNV-1a: a name for the content, no protection. Begins at 0.
pub fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    let start = if start == 0 { 0xcbf2_9ce4_8422_2325 } else { start };
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[derive(Default)]
struct Builder {
    documents: Vec<Document>,
    countries: Vec<Box<str>>,
    skus: Vec<SkuInfo>,
    customers: Vec<Box<str>>,
    document_nos: HashMap<Box<str>, DocNo>,
    sku_nos: HashMap<Sku, SkuNo>,
    customer_nos: HashMap<Box<str>, CustomerNo>,
    line_count: usize,
    skipped: usize,
    fingerprint: u64,
}

impl Builder {
    fn add_content(&mut self, content: &[u8]) -> anyhow::Result<()> {
        self.fingerprint = fnv1a(self.fingerprint, content);
        source::read(content, |line| self.add(&line))
    }

    fn add(&mut self, raw: &RawLine<'_>) -> anyhow::Result<()> {
        self.line_count += 1;
        if raw.quantity == 0 {
            self.skipped += 1;
            return Ok(());
        }
        let code: Sku = raw.code.parse().with_context(|| format!("StockCode {:?}", raw.code))?;
        let sku = *self.sku_nos.entry(code).or_insert_with_key(|code| {
            self.skus.push(SkuInfo { code: code.clone(), title: String::new(), goods: false });
            (self.skus.len() - 1) as SkuNo
        });
        let customer = raw.customer.map(|customer| {
            *self.customer_nos.entry(customer.into()).or_insert_with_key(|customer| {
                self.customers.push(customer.clone());
                (self.customers.len() - 1) as CustomerNo
            })
        });
        let doc = *self.document_nos.entry(raw.invoice.into()).or_insert_with_key(|number| {
            self.countries.push(raw.country.into());
            self.documents.push(Document {
                number: number.clone(),
                time: raw.time,
                customer,
                channel: None,
                place: Place::WAREHOUSE,
                lines: Vec::new(),
            });
            (self.documents.len() - 1) as DocNo
        });
        self.documents[doc as usize].lines.push(Line {
            seq: self.line_count as u32,
            sku,
            quantity: raw.quantity,
            micros: raw.micros,
            // Judged once the document is whole.
            kind: Kind::Sale,
            description: Some(raw.description.into()),
        });
        Ok(())
    }

    fn finish(mut self) -> Dataset {
        for (document, country) in self.documents.iter_mut().zip(&self.countries) {
            classify::judge(document, country, &self.skus);
            for line in &mut document.lines {
                let description = line.description.take();
                match line.kind {
                    Kind::Service | Kind::BadDebt => line.description = description,
                    Kind::Sale | Kind::Free | Kind::Return | Kind::Adjust => {
                        let info = &mut self.skus[line.sku as usize];
                        info.goods = true;
                        if info.title.is_empty() {
                            info.title = description.map(String::from).unwrap_or_default();
                        }
                    }
                }
            }
        }
        // The rules speak of the order of arrival. A file that is not in order of time is put so, document by document.
        if !self.documents.is_sorted_by_key(|document| document.time) {
            self.documents.sort_by_key(|document| document.time);
            let mut seq = 0;
            for line in self.documents.iter_mut().flat_map(|document| &mut document.lines) {
                seq += 1;
                line.seq = seq;
            }
        }
        Dataset {
            documents: self.documents,
            skus: self.skus,
            customers: self.customers,
            line_count: self.line_count,
            skipped: self.skipped,
            fingerprint: self.fingerprint,
        }
    }
}
