//! Parses the JSON files, and reports errors without their content.
//!
//! A refusal is logged and shown on the admin port, where more people read it than may read the files. The
//! messages of serde quote what they refuse, and a key stands in the wrong place as easily as a typing mistake.
//!
//! # Invariants
//! - A refusal of a secret file holds the file's name, a position, and text of this program or of its libraries:
//!   no byte of the file.
//! - A refusal of [`CONFIG_FILE`](super::CONFIG_FILE) may quote one word of the file, of a form that no key and no
//!   PEM has: see [`is_harmless`].
//! - A message of a form that is not known here is not shown.

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// The longest word that is quoted, in bytes. A key has 44.
const MAX_QUOTED_BYTES: usize = 24;

/// The part of a file that its refusals may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    Secret,
    /// The word that is wrong, if it is harmless.
    Public,
}

/// The reason why a file is not the JSON that is expected, and the place in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at line {line} column {column}")]
pub struct JsonRefusal {
    reason: String,
    line: usize,
    column: usize,
}

/// Parses `json`. `shape` completes the sentence "it is JSON of another shape than …".
pub(super) fn parse<T: DeserializeOwned>(
    json: &[u8],
    shape: &str,
    content: Content,
) -> Result<T, JsonRefusal> {
    serde_json::from_slice(json).map_err(|error| {
        let message = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&position).unwrap_or(&message);
        let reason = match (error.classify(), content) {
            // These come from a fixed list of serde_json's.
            (Category::Syntax | Category::Eof | Category::Io, _) => format!("not JSON: {message}"),
            (Category::Data, Content::Secret) => format!("another shape than {shape}"),
            (Category::Data, Content::Public) => {
                describe(message).unwrap_or_else(|| format!("another shape than {shape}"))
            }
        };
        JsonRefusal { reason, line: error.line(), column: error.column() }
    })
}

/// The message again, without what it quotes of the file unless that is harmless. `None`: a message of unknown
/// form.
fn describe(message: &str) -> Option<String> {
    // The names of fields that this program expects.
    if message.starts_with("missing field `") || message.starts_with("duplicate field `") {
        return Some(message.to_owned());
    }
    // Of a network's own parser, which quotes nothing.
    if "".parse::<IpNet>().is_err_and(|error| error.to_string() == message) {
        return Some(format!("{message}; give a network such as \"10.0.0.0/8\""));
    }
    // What is quoted may itself hold what follows the quote; serde's own text comes last.
    let (quoted, expected) =
        message.rsplit_once(", expected ").map(|(before, after)| (before, after.trim()))?;
    let (what, word) = match quoted.split_once('`') {
        Some((what, word)) => (what, word.strip_suffix('`')),
        // `string "…"`, and what has no content: `null`, `map`, `sequence`.
        None => quoted.split_once('"').map_or((quoted, None), |(what, _)| (what, None)),
    };
    let known = [
        "unknown field",
        "unknown variant",
        "invalid type: boolean",
        "invalid type: integer",
        "invalid type: floating point",
        "invalid type: string",
        "invalid type: null",
        "invalid type: map",
        "invalid type: sequence",
        "invalid value: integer",
        "invalid value: floating point",
        "invalid value: string",
    ];
    let what = known.into_iter().find(|known| what.trim_end() == *known)?;
    let word = word.filter(|word| is_harmless(word)).map(|word| format!(" `{word}`")).unwrap_or_default();
    Some(format!("{what}{word}, expected {expected}"))
}

/// Returns true if a word of a file can be shown: one that is shorter than a secret, and has no character of base64's or
/// PEM's that a name or a number has not.
fn is_harmless(word: &str) -> bool {
    (1..=MAX_QUOTED_BYTES).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests;
