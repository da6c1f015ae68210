//! Numbers as expected and as reached, and how they are shown.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

const DIFFERENCES_SHOWN: usize = 20;

/// One number, as expected, where something was expected, and as reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    pub name: String,
    pub expected: Option<i64>,
    pub reached: Option<i64>,
}

/// Figures that belong together; `listed` ones are shown one by one, others as a count.
#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    pub listed: bool,
    pub figures: Vec<Figure>,
}

impl Section {
    pub fn new(title: &'static str, listed: bool, figures: Vec<Figure>) -> Self {
        Self { title, listed, figures }
    }
}

pub fn differing(sections: &[Section]) -> Vec<&Figure> {
    sections.iter().flat_map(|section| &section.figures).filter(|figure| figure.expected != figure.reached).collect()
}

fn count(sections: &[Section]) -> usize {
    sections.iter().map(|section| section.figures.len()).sum()
}

/// `compared`: whether there is anything to compare with.
pub fn to_json(sections: &[Section], compared: bool) -> Value {
    let as_json =
        |figure: &Figure| json!({ "name": figure.name, "expected": figure.expected, "reached": figure.reached });
    let told: Vec<Value> = sections
        .iter()
        .map(|section| {
            let differing = section.figures.iter().filter(|figure| compared && figure.expected != figure.reached);
            // Sets of thousands are told by their count and what differs.
            let figures: Option<Vec<Value>> =
                (section.figures.len() < 1_000).then(|| section.figures.iter().map(as_json).collect());
            json!({
                "title": section.title,
                "count": section.figures.len(),
                "differing": differing.map(as_json).collect::<Vec<_>>(),
                "figures": figures,
            })
        })
        .collect();
    json!({
        "compared": compared,
        "equal": compared.then(|| differing(sections).is_empty()),
        "figures": count(sections),
        "sections": told,
    })
}

/// As people read them: the listed ones, the counts, what differs, and one line that says it all.
pub fn write(f: &mut fmt::Formatter<'_>, sections: &[Section], compared: bool) -> fmt::Result {
    for section in sections.iter().filter(|section| section.listed) {
        writeln!(f, "\n{:36} {:>18} {:>18}", section.title, "expected", "reached")?;
        for figure in &section.figures {
            let verdict = match (compared, figure.expected == figure.reached) {
                (false, _) => "",
                (true, true) => "equal",
                (true, false) => "DIFFERENT",
            };
            let (expected, reached) = (number(figure.expected), number(figure.reached));
            writeln!(f, "{:36} {expected:>18} {reached:>18}  {verdict}", figure.name)?;
        }
    }
    writeln!(f)?;
    for section in sections.iter().filter(|section| !section.listed) {
        let mut line = format!("{:42} {:>8} figures", section.title, grouped(section.figures.len() as i64));
        if compared {
            match section.figures.iter().filter(|figure| figure.expected != figure.reached).count() {
                0 => line.push_str(", all equal"),
                differing => write!(line, ", {} DIFFERENT", grouped(differing as i64))?,
            }
        }
        writeln!(f, "{line}")?;
    }
    let differences = if compared { differing(sections) } else { Vec::new() };
    for figure in differences.iter().take(DIFFERENCES_SHOWN) {
        let (expected, reached) = (number(figure.expected), number(figure.reached));
        writeln!(f, "different: {}: expected {expected}, reached {reached}", figure.name)?;
    }
    let all = grouped(count(sections) as i64);
    match (compared, differences.len()) {
        (false, _) => write!(f, "nothing expected to compare with"),
        (true, 0) => write!(f, "equal: all {all} figures"),
        (true, n) => write!(f, "DIFFERENT: {} of {all} figures", grouped(n as i64)),
    }
}

/// Thousands apart, as people read them.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn number(value: Option<i64>) -> String {
    value.map_or("-".to_owned(), grouped)
}
