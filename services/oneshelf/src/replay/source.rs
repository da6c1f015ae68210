//! Reads invoice lines: a folder of monthly `lines-YYYY-MM.csv[.gz]` files in order, or one CSV file of the public form.
//!
//! The public form is copied around with small changes, all of which are understood: a byte order mark, Latin-1 bytes,
//! `;` between the columns, customer numbers with `.0`, dates as `12/1/2010 8:26` (month first, unless a day above 12
//! proves the other order) or as `2010-12-01 08:26:00`, and the column names of the second edition.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use csv::ByteRecord;
use flate2::read::GzDecoder;

/// One line as read, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLine<'a> {
    pub invoice: &'a str,
    pub code: &'a str,
    pub description: &'a str,
    pub quantity: i64,
    /// Local time, taken as UTC.
    pub time: DateTime<Utc>,
    /// Price of one unit in millionths.
    pub micros: i64,
    pub customer: Option<&'a str>,
    pub country: &'a str,
}

/// The files of a source, in the order of their lines.
pub fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        ensure!(path.is_file(), "{}: no such file or folder", path.display());
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let file = entry?.path();
        let name = file.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let stem = name.strip_suffix(".gz").unwrap_or(&name);
        if stem.starts_with("lines-") && Path::new(stem).extension().is_some_and(|extension| extension == "csv") {
            found.push(file);
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "{}: holds no lines-YYYY-MM.csv.gz", path.display());
    Ok(found)
}

/// The whole content of a file, unpacked.
pub fn content(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let reader = BufReader::new(File::open(file).with_context(|| file.display().to_string())?);
    if file.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(reader).read_to_end(&mut bytes)
    } else {
        { reader }.read_to_end(&mut bytes)
    }
    .with_context(|| file.display().to_string())?;
    Ok(bytes)
}

/// Hands every line of one file's content to `sink`; an error names the line.
pub fn read(content: &[u8], mut sink: impl FnMut(RawLine<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let header = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let delimiter = if header.contains(&b';') && !header.contains(&b',') { b';' } else { b',' };
    let reader = || csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(content);
    let columns = Columns::of(reader().byte_headers().context("header")?)?;
    let day_first = has_day_first(&mut reader(), columns.time)?;

    let mut rows = reader();
    let mut record = ByteRecord::new();
    while rows.read_byte_record(&mut record).context("not CSV")? {
        let line_no = record.position().map_or(0, csv::Position::line);
        (|| {
            let fields = Fields::of(&record, &columns)?;
            sink(fields.line(day_first)?)
        })()
        .with_context(|| format!("line {line_no}"))?;
    }
    Ok(())
}

/// Where each column stands.
struct Columns {
    invoice: usize,
    code: usize,
    description: Option<usize>,
    quantity: usize,
    time: usize,
    price: usize,
    customer: Option<usize>,
    country: Option<usize>,
}

impl Columns {
    fn of(header: &ByteRecord) -> anyhow::Result<Self> {
        let names: Vec<String> = header
            .iter()
            .map(|name| {
                name.iter().filter(|b| b.is_ascii_alphanumeric()).map(|b| b.to_ascii_lowercase() as char).collect()
            })
            .collect();
        let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let need = |name: &str, wanted: &[&str]| find(wanted).ok_or_else(|| anyhow!("the header has no column {name}"));
        Ok(Self {
            invoice: need("InvoiceNo", &["invoiceno", "invoice"])?,
            code: need("StockCode", &["stockcode"])?,
            description: find(&["description"]),
            quantity: need("Quantity", &["quantity"])?,
            time: need("InvoiceDate", &["invoicedate"])?,
            price: need("UnitPrice", &["unitprice", "price"])?,
            customer: find(&["customerid"]),
            country: find(&["country"]),
        })
    }
}

/// The fields of a record as text.
struct Fields([String; 8]);

impl Fields {
    fn of(record: &ByteRecord, columns: &Columns) -> anyhow::Result<Self> {
        let need = |at: usize, name: &str| record.get(at).map(text).ok_or_else(|| anyhow!("no {name}"));
        let maybe = |at: Option<usize>| at.and_then(|at| record.get(at)).map(text).unwrap_or_default();
        Ok(Self([
            need(columns.invoice, "InvoiceNo")?,
            need(columns.code, "StockCode")?,
            maybe(columns.description),
            need(columns.quantity, "Quantity")?,
            need(columns.time, "InvoiceDate")?,
            need(columns.price, "UnitPrice")?,
            maybe(columns.customer),
            maybe(columns.country),
        ]))
    }

    fn line(&self, day_first: bool) -> anyhow::Result<RawLine<'_>> {
        let [invoice, code, description, quantity, time, price, customer, country] = &self.0;
        ensure!(!invoice.is_empty(), "InvoiceNo is empty");
        let customer = customer.strip_suffix(".0").unwrap_or(customer);
        Ok(RawLine {
            invoice,
            code,
            description,
            quantity: parse_quantity(quantity)?,
            time: parse_time(time, day_first)?,
            micros: parse_micros(price)?,
            customer: Some(customer).filter(|customer| !customer.is_empty()),
            country,
        })
    }
}

/// UTF-8, or else Latin-1, where every byte is the character of its number.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().trim().to_owned(),
    }
}

fn parse_quantity(text: &str) -> anyhow::Result<i64> {
    let whole =
        text.split_once('.').map_or(text, |(whole, rest)| if rest.bytes().all(|b| b == b'0') { whole } else { text });
    whole.parse().map_err(|_| anyhow!("Quantity {text:?} is not a whole number"))
}

/// Decimal text to millionths, exactly.
fn parse_micros(text: &str) -> anyhow::Result<i64> {
    let wrong = || anyhow!("UnitPrice {text:?} is not a number of at most 6 decimals");
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let good = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() && !digits.contains('0')
        || fraction.len() > 6
        || !good(whole)
        || !good(fraction)
    {
        return Err(wrong());
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
    let fraction: i64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
    let micros = whole.checked_mul(1_000_000).and_then(|micros| micros.checked_add(fraction)).ok_or_else(wrong)?;
    Ok(if negative { -micros } else { micros })
}

/// The numbers of a date and time text, whatever stands between them, and whether the first is a year.
fn time_numbers(text: &str) -> Option<(bool, Vec<u32>)> {
    let numbers: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let year_first = text.find(|c: char| !c.is_ascii_digit()) == Some(4);
    (numbers.len() >= 3).then_some((year_first, numbers))
}

fn has_day_first(rows: &mut csv::Reader<&[u8]>, time: usize) -> anyhow::Result<bool> {
    let mut record = ByteRecord::new();
    while rows.read_byte_record(&mut record).context("not CSV")? {
        let numbers = record.get(time).map(text).and_then(|text| time_numbers(&text));
        if matches!(numbers, Some((false, numbers)) if numbers[0] > 12) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn parse_time(text: &str, day_first: bool) -> anyhow::Result<DateTime<Utc>> {
    let wrong = || anyhow!("InvoiceDate {text:?} is not a date and time");
    let (year_first, numbers) = time_numbers(text).ok_or_else(wrong)?;
    let (year, month, day) = match (year_first, day_first) {
        (true, _) => (numbers[0], numbers[1], numbers[2]),
        (false, true) => (numbers[2], numbers[1], numbers[0]),
        (false, false) => (numbers[2], numbers[0], numbers[1]),
    };
    let year = if year < 100 { 2000 + year } else { year };
    let part = |at: usize| numbers.get(at).copied().unwrap_or(0);
    let mut hour = part(3);
    let suffix = text.to_ascii_uppercase();
    if suffix.ends_with("PM") && hour < 12 {
        hour += 12;
    } else if suffix.ends_with("AM") && hour == 12 {
        hour = 0;
    }
    let Some(time) = i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
        .and_then(|date| date.and_hms_opt(hour, part(4), part(5)))
    else {
        bail!(wrong());
    };
    Ok(time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code, quantity, time, micros, customer, description.
    type Found = (String, i64, String, i64, Option<String>, String);

    fn lines(content: &[u8]) -> anyhow::Result<Vec<Found>> {
        let mut found = Vec::new();
        read(content, |line| {
            found.push((
                line.code.to_owned(),
                line.quantity,
                line.time.format("%F %T").to_string(),
                line.micros,
                line.customer.map(str::to_owned),
                line.description.to_owned(),
            ));
            Ok(())
        })?;
        Ok(found)
    }

    const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn row(text: &str) -> anyhow::Result<Found> {
        Ok(lines(format!("{HEADER}{text}\n").as_bytes())?.remove(0))
    }

    #[test]
    fn the_public_form_is_read_with_its_quirks() {
        let mut content = b"\xEF\xBB\xBF".to_vec();
        content.extend(HEADER.as_bytes());
        content.extend(b"536365,85123A,\"CAF\xC9, LARGE\",6,12/1/2010 8:26,2.55,17850.0,United Kingdom\r\n");
        content.extend(b"C536379,D,Discount,-1,12/1/2010 9:41,27.5,,France\r\n");
        let found = lines(&content).unwrap();
        assert_eq!(
            found[0],
            ("85123A".into(), 6, "2010-12-01 08:26:00".into(), 2_550_000, Some("17850".into()), "CAFÉ, LARGE".into())
        );
        assert_eq!(found[1], ("D".into(), -1, "2010-12-01 09:41:00".into(), 27_500_000, None, "Discount".into()));
    }

    #[test]
    fn a_day_above_twelve_shows_that_days_come_first() {
        let content = format!("{HEADER}1,A,,1,1/2/2011 8:00,1,,\n1,A,,1,13/2/2011 8:00,1,,\n");
        let days: Vec<String> = lines(content.as_bytes()).unwrap().into_iter().map(|line| line.2).collect();
        assert_eq!(days, ["2011-02-01 08:00:00", "2011-02-13 08:00:00"]);
    }

    #[test]
    fn the_second_edition_has_other_column_names() {
        let content = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n489434,85048,X,12,2009-12-01 07:45:00,6.95,13085.0,UK\n";
        assert_eq!(lines(content.as_bytes()).unwrap()[0].4.as_deref(), Some("13085"));
    }

    #[test]
    fn prices_are_exact_and_wrong_values_are_named_with_their_line() {
        for (text, micros) in
            [("0.001", 1_000), ("-11062.06", -11_062_060_000), ("0", 0), ("7", 7_000_000), (".5", 500_000)]
        {
            assert_eq!(parse_micros(text).unwrap(), micros, "{text}");
        }
        for text in ["", ".", "-", "1,5", "1e3", "1.2345678", "99999999999999999999"] {
            assert!(parse_micros(text).is_err(), "{text}");
        }
        for (text, says) in [
            ("1,A,,x,2010-12-01,1,,", "Quantity"),
            ("1,A,,1,yesterday,1,,", "InvoiceDate"),
            ("1,A,,1,2010-13-01,1,,", "InvoiceDate"),
            ("1,A,,1,2010-12-01,free,,", "UnitPrice"),
            (",A,,1,2010-12-01,1,,", "InvoiceNo"),
            ("1,A", "no Quantity"),
        ] {
            let error = format!("{:#}", row(text).unwrap_err());
            assert!(error.contains("line 2") && error.contains(says), "{error}");
        }
        assert!(lines(b"a,b\n1,2\n").is_err());
    }
}
