//! One field at a time: what is wrong with it, by its kind and name.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use uuid::Uuid;

use super::{Good, Spoilt};

/// What a walk through one request found.
pub(super) struct Walk<'a> {
    good: &'a Good,
    pub(super) spoilt: Vec<Spoilt>,
    /// Fields that this request sets, and those that it cannot.
    pub(super) seen: BTreeSet<String>,
    pub(super) absent: BTreeSet<String>,
    /// What is wrong with the test itself.
    pub(super) mistakes: Vec<String>,
}

pub(super) fn walk<'a>(good: &'a Good, request: &DynamicMessage) -> Walk<'a> {
    let mut walk =
        Walk { good, spoilt: Vec::new(), seen: BTreeSet::new(), absent: BTreeSet::new(), mistakes: Vec::new() };
    walk.message(request, &Place::default(), &|message| message.encode_to_vec());
    walk.check_names();
    walk
}

/// Where a field stands.
#[derive(Clone, Default)]
struct Place {
    /// As a violation names it: `lines[0].sku`.
    path: String,
    /// As a test names it: `lines.sku`.
    name: String,
}

impl Place {
    fn field(&self, field: &str) -> Self {
        let under = |parent: &str| if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") };
        Self { path: under(&self.path), name: under(&self.name) }
    }

    fn first(&self) -> Self {
        Self { path: format!("{}[0]", self.path), name: self.name.clone() }
    }

    /// `sku` of `lines.sku`.
    fn leaf(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

/// Puts a spoilt value back into its request. `None` leaves the field out.
type Put<'a> = &'a dyn Fn(Option<Value>) -> Vec<u8>;

impl Walk<'_> {
    fn message(&mut self, message: &DynamicMessage, at: &Place, whole: &dyn Fn(DynamicMessage) -> Vec<u8>) {
        for field in message.descriptor().fields() {
            let at = at.field(field.name());
            if self.good.ignored.contains(&at.name.as_str()) || matches!(field.kind(), Kind::Bool) {
                self.seen.insert(at.name);
                continue;
            }
            if !message.has_field(&field) {
                if self.good.elsewhere.contains(&at.name.as_str()) {
                    continue;
                }
                if !self.good.absent.contains(&at.name.as_str()) {
                    self.mistakes.push(format!("the good request leaves {} out", at.name));
                }
                self.absent.insert(at.name);
                continue;
            }
            self.seen.insert(at.name.clone());
            let put = |value: Option<Value>| {
                let mut spoilt = message.clone();
                match value {
                    Some(value) => spoilt.set_field(&field, value),
                    None => spoilt.clear_field(&field),
                }
                whole(spoilt)
            };
            if !self.may_be_empty(&at) {
                self.spoil(&at, "left out", put(None));
            }
            match &*message.get_field(&field) {
                Value::List(elements) => self.list(&field, elements, &at, &put),
                value => self.value(&field, value, &at, &put),
            }
        }
    }

    fn list(&mut self, field: &FieldDescriptor, elements: &[Value], at: &Place, put: Put<'_>) {
        let Some((_, most)) = self.good.at_most.iter().find(|(name, _)| *name == at.name) else {
            self.mistakes.push(format!("{} has no bound", at.name));
            return;
        };
        let first = elements.first().expect("a list that is set has an element");
        self.spoil(at, "has one element too many", put(Some(Value::List(vec![first.clone(); most + 1]))));
        // One less than may be, since lists that are counted together have an element each.
        let nothing = vec![Value::default_value(&field.kind()); (most - 1).max(1)];
        let request = put(Some(Value::List(nothing)));
        let how = "has nothing but empty elements".to_owned();
        self.spoilt.push(Spoilt { field: at.path.clone(), how, request, all_of_list: true });

        let put_first = |value: Option<Value>| {
            let mut elements = elements.to_vec();
            elements[0] = value.unwrap_or_else(|| Value::default_value(&field.kind()));
            put(Some(Value::List(elements)))
        };
        let at = at.first();
        if matches!(field.kind(), Kind::String) {
            self.spoil(&at, "empty", put_first(None));
        }
        self.value(field, first, &at, &put_first);
    }

    fn value(&mut self, field: &FieldDescriptor, value: &Value, at: &Place, put: Put<'_>) {
        match (field.kind(), value) {
            (Kind::String, Value::String(text)) => self.text(text, at, put),
            (Kind::Int64, _) => self.number(at, i64::MIN, i64::MAX, &|number| put(Some(Value::I64(number)))),
            (Kind::Int32 | Kind::Sint32, _) => self.number(at, i32::MIN.into(), i32::MAX.into(), &|number| {
                put(Some(Value::I32(i32::try_from(number).expect("a number of the type"))))
            }),
            (Kind::Enum(_), _) => {
                for number in [-1, 999] {
                    self.spoil(at, &format!("is {number}"), put(Some(Value::EnumNumber(number))));
                }
            }
            (Kind::Bytes, _) => {
                let rubbish = vec![255; 9].into();
                self.spoil(at, "is rubbish", put(Some(Value::Bytes(rubbish))));
            }
            (Kind::Message(kind), Value::Message(message)) => match kind.full_name() {
                "google.protobuf.Timestamp" => self.instant(message, at, put),
                "google.protobuf.Duration" => self.duration(message, at, put),
                _ => self.message(message, at, &|message| put(Some(Value::Message(message)))),
            },
            (kind, _) => self.mistakes.push(format!("{}: no rule for {kind:?}", at.name)),
        }
    }

    fn text(&mut self, good: &str, at: &Place, put: Put<'_>) {
        let mut bad = vec!["A\0B".to_owned(), "A\u{7}B".to_owned(), "x".repeat(10_000)];
        let leaf = at.leaf();
        if Uuid::try_parse(good).is_ok() {
            bad.extend(["7".to_owned(), Uuid::nil().to_string(), good.replace('-', "_")]);
        } else if leaf == "currency_code" {
            bad.extend(["gbp", "ZZZ", "XAU", "GBPX"].map(str::to_owned));
            if !self.good.any_currency.contains(&at.name.as_str()) {
                bad.push("EUR".to_owned());
            }
        } else if matches!(leaf, "sku" | "skus") {
            bad.extend(["A  B".to_owned(), "A\u{200b}B".to_owned(), "X".repeat(65)]);
        } else if leaf == "gtin" {
            bad.extend(["96385075", "1", "ABCDEFGH", "963850741"].map(str::to_owned));
        } else if leaf == "shopper_id" {
            // Somebody else's numbering: any visible ASCII.
            bad.extend(["A B".to_owned(), "Ä".to_owned(), "A".repeat(65)]);
        } else if leaf.ends_with("_id") || leaf.ends_with("_ids") {
            bad.extend(["A B".to_owned(), "Ä".to_owned(), "A".repeat(33)]);
        } else if matches!(leaf, "page_token" | "resume_token" | "cursor") {
            bad.extend(["A  B".to_owned(), format!("{good}\u{7f}"), "\t".to_owned()]);
        }
        if !self.may_be_empty(at) {
            bad.push("  ".to_owned());
        }
        for text in bad {
            let shown: String = text.chars().take(40).collect();
            self.spoil(at, &format!("is {shown:?}"), put(Some(Value::String(text))));
        }
    }

    fn number(&mut self, at: &Place, smallest: i64, largest: i64, put: &dyn Fn(i64) -> Vec<u8>) {
        let signed = self.good.signed.contains(&at.name.as_str());
        let unbounded = self.good.unbounded.contains(&at.name.as_str());
        let mut bad = Vec::new();
        if !signed {
            bad.push(-1);
        }
        if !(signed && unbounded) {
            bad.push(smallest);
        }
        if !unbounded {
            bad.push(largest);
        }
        for number in bad {
            self.spoil(at, &format!("is {number}"), put(number));
        }
    }

    fn instant(&mut self, good: &DynamicMessage, at: &Place, put: Put<'_>) {
        const END_OF_9999: i64 = 253_402_300_799;
        const YEAR_9000: i64 = 221_845_392_000;
        // A leap second has nanoseconds above a billion in some libraries, at the end of any minute.
        let mut bad = vec![(i64::MIN, 0), (i64::MAX, 0), (END_OF_9999 + 1, 0), (0, -1), (59, 1_500_000_000)];
        if !self.good.may_lie_ahead.contains(&at.name.as_str()) {
            bad.push((YEAR_9000, 0));
        }
        self.seconds(good, bad, at, put);
    }

    fn duration(&mut self, good: &DynamicMessage, at: &Place, put: Put<'_>) {
        let bad = vec![
            (0, 0),
            (-1, 0),
            (0, -1),
            (1, -1),
            (1, 1_000_000_000),
            (-1, -1_000_000_000),
            (i64::MIN, 0),
            (i64::MAX, 0),
            (i64::MAX, 999_999_999),
        ];
        self.seconds(good, bad, at, put);
    }

    fn seconds(&mut self, good: &DynamicMessage, bad: Vec<(i64, i32)>, at: &Place, put: Put<'_>) {
        for (seconds, nanos) in bad {
            let mut spoilt = good.clone();
            spoilt.set_field_by_name("seconds", Value::I64(seconds));
            spoilt.set_field_by_name("nanos", Value::I32(nanos));
            self.spoil(at, &format!("is {seconds} s {nanos} ns"), put(Some(Value::Message(spoilt))));
        }
    }

    fn may_be_empty(&self, at: &Place) -> bool {
        matches!(at.leaf(), "page_size" | "page_token") || self.good.optional.contains(&at.name.as_str())
    }

    fn spoil(&mut self, at: &Place, how: &str, request: Vec<u8>) {
        self.spoilt.push(self.case(at, how, request));
    }

    fn case(&self, at: &Place, how: &str, request: Vec<u8>) -> Spoilt {
        let other = self.good.told_as.iter().find(|(name, _)| *name == at.path);
        let field = other.map_or(at.path.as_str(), |(_, field)| field).to_owned();
        Spoilt { field, how: how.to_owned(), request, all_of_list: false }
    }

    /// A name that is misspelt, or of a field that is gone, would silently excuse nothing.
    fn check_names(&mut self) {
        let good = self.good;
        let lists = [
            good.optional,
            good.ignored,
            good.absent,
            good.signed,
            good.unbounded,
            good.any_currency,
            good.may_lie_ahead,
        ];
        let bounds = good.at_most.iter().map(|(name, _)| *name);
        for name in lists.into_iter().flatten().copied().chain(bounds) {
            if !self.seen.contains(name) && !self.absent.contains(name) {
                self.mistakes.push(format!("the request has no field {name}"));
            }
        }
    }
}
