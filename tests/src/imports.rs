//! What a source file refers to: every path of its `use` items and of its code, with `self` and `super` resolved.
//!
//! A scanner of tokens, not a compiler: macros are read like code, which is what a check of directions wants, and nothing
//! is left out for being under `#[cfg(test)]`.

use std::{fs, path::Path};

/// Every path that the sources below `src` mention, by file. Paths into the crate begin with `crate`.
pub fn mentioned(src: &Path) -> Vec<(String, Vec<Vec<String>>)> {
    let files = sources(src).into_iter();
    files.map(|(name, text)| (name.clone(), paths(&text, &module_of(&name)))).collect()
}

/// Every source file below `src`, by its name from there.
pub fn sources(src: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut dirs = vec![src.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(src).expect("below src").to_string_lossy().into_owned();
                files.push((name, fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    files.sort();
    files
}

/// `domain/hold.rs` → `[crate, domain, hold]`.
fn module_of(file: &str) -> Vec<String> {
    let parts = file.trim_end_matches(".rs").split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main"));
    std::iter::once("crate").chain(parts).map(str::to_owned).collect()
}

/// All paths of `source`, which is the module `module`.
pub fn paths(source: &str, module: &[String]) -> Vec<Vec<String>> {
    let tokens = tokens(source);
    let mut module = module.to_vec();
    // For each open brace, whether it opened an inline module.
    let mut braces = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at].as_str();
        match token {
            "mod" if tokens.get(at + 2).is_some_and(|next| next == "{") => {
                module.push(tokens[at + 1].clone());
                braces.push(true);
                at += 2;
            }
            "{" => braces.push(false),
            "}" if braces.pop() == Some(true) => {
                module.pop();
            }
            // Not the `use<…>` of a return type.
            "use" if tokens.get(at + 1).is_some_and(|next| next != "<") => {
                at = tree(&tokens, at + 1, &[], &mut |path| found.push(resolve(path, &module)));
                continue;
            }
            _ if is_name(token) && (at == 0 || tokens[at - 1] != "::") => {
                let mut path = vec![token.to_owned()];
                while tokens.get(at + 1).is_some_and(|next| next == "::")
                    && tokens.get(at + 2).is_some_and(|next| is_name(next))
                {
                    path.push(tokens[at + 2].clone());
                    at += 2;
                }
                if path.len() > 1 {
                    found.push(resolve(path, &module));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads one tree of a `use` from `at` on and says where it ends.
fn tree(tokens: &[String], mut at: usize, prefix: &[String], found: &mut impl FnMut(Vec<String>)) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("::") => at += 1,
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = tree(tokens, at, &path, found);
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some("as") => at += 2,
            Some(token) if token == "*" || is_name(token) => {
                path.push(token.to_owned());
                at += 1;
            }
            _ => {
                found(path);
                return at;
            }
        }
    }
}

fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path.first().map(String::as_str) {
        Some("self") => module.iter().cloned().chain(path.into_iter().skip(1)).collect(),
        Some("super") => {
            let parent = &module[..module.len().saturating_sub(ups).max(1)];
            parent.iter().cloned().chain(path.into_iter().skip(ups)).collect()
        }
        _ => path,
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::` and single signs; comments and what is quoted are left out.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if rest.strip_prefix("r#").is_some_and(is_name) {
            // A raw name, such as `r#type`: what follows is the name.
            2
        } else if first == '"' {
            quoted(rest)
        } else if first == '\'' {
            // A character, or the sign of a lifetime.
            let mut signs = rest.char_indices().skip(1);
            match (signs.next(), signs.next()) {
                (Some((_, '\\')), _) => quoted(rest),
                (Some(_), Some((end, '\''))) => end + 1,
                _ => 1,
            }
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let text = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - text.len();
    Some(text.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// The length of a literal in the quotes that `rest` begins with.
fn quoted(rest: &str) -> usize {
    let quote = rest.as_bytes()[0];
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Vec<String> {
        let module = ["crate", "domain", "hold"].map(str::to_owned);
        paths(source, &module).into_iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn trees_aliases_and_globs_are_spread() {
        let source = "use crate::{self as root, store::{holds, r#type as l}, usecases::*};";
        assert_eq!(read(source), ["crate::self", "crate::store::holds", "crate::store::type", "crate::usecases::*"]);
    }

    #[test]
    fn relative_paths_are_resolved_also_in_inline_modules() {
        assert_eq!(read("use super::super::store::x;"), ["crate::store::x"]);
        assert_eq!(
            read("mod tests { use super::*; use super::super::level::L; } self::a::b()"),
            ["crate::domain::hold::*", "crate::domain::level::L", "crate::domain::hold::a::b",]
        );
    }

    #[test]
    fn paths_in_code_and_macros_count_and_text_does_not() {
        let source = r##"
            // sqlx::query in a comment
            /* tonic::Status */
            fn f<'a>(x: &'a str) -> char { let _ = ("lapin::x", r#"redis::y"#, '"', '\''); sqlx::query!("tokio::z") }
        "##;
        assert_eq!(read(source), ["sqlx::query"]);
    }
}
