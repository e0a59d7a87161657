//! Enough of the Dockerfile language to compare one with an [`Image`](super::Image).
//!
//! Only the last stage counts, since it alone is the image. Understood are FROM, USER,
//! ENTRYPOINT, ENV, WORKDIR and COPY, with line continuations and comments; anything else in
//! the last stage is refused, so that nothing which changes the image goes unnoticed.

/// Content of the last stage of a Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalStage {
    /// The base image.
    pub from: String,
    /// `USER`.
    pub user: String,
    /// `ENTRYPOINT`, in its JSON form.
    pub entrypoint: Vec<String>,
    /// `ENV`, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// `WORKDIR`.
    pub working_dir: String,
    /// Destinations of `COPY`, sorted.
    pub copied: Vec<String>,
}

/// Reason why a Dockerfile cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unreadable {
    /// There is no FROM.
    #[error("the Dockerfile has no FROM")]
    NoStage,
    /// An instruction that this reader does not know.
    #[error("the instruction {0:?} is not understood in the last stage; teach the reader about it")]
    Instruction(String),
    /// ENTRYPOINT in its shell form: a distroless image has no shell.
    #[error("ENTRYPOINT must be a JSON list, not {0:?}")]
    Entrypoint(String),
    /// COPY without a source and a destination.
    #[error("COPY needs a source and a destination: {0:?}")]
    Copy(String),
}

/// Reads the last stage of the Dockerfile `text`.
pub fn final_stage(text: &str) -> Result<FinalStage, Unreadable> {
    let instructions = instructions(text);
    let start = instructions.iter().rposition(|(name, _)| name == "FROM").ok_or(Unreadable::NoStage)?;
    let mut stage = FinalStage::default();
    for (name, rest) in &instructions[start..] {
        match name.as_str() {
            "FROM" => stage.from = rest.split_whitespace().next().unwrap_or_default().to_owned(),
            "USER" => stage.user.clone_from(rest),
            "WORKDIR" => stage.working_dir.clone_from(rest),
            "ENV" => stage.env.push(rest.clone()),
            "ENTRYPOINT" => {
                stage.entrypoint =
                    serde_json::from_str(rest).map_err(|_| Unreadable::Entrypoint(rest.clone()))?;
            }
            "COPY" => stage.copied.extend(destinations(rest)?),
            _ => return Err(Unreadable::Instruction(name.clone())),
        }
    }
    stage.copied.sort();
    Ok(stage)
}

/// Destinations of the sources of a COPY. A destination that ends in `/` is a directory.
fn destinations(rest: &str) -> Result<Vec<String>, Unreadable> {
    let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
    let Some((destination, sources)) = words.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        return Err(Unreadable::Copy(rest.to_owned()));
    };
    Ok(sources
        .iter()
        .map(|source| {
            if destination.ends_with('/') {
                let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or(source);
                format!("{destination}{name}")
            } else {
                (*destination).to_owned()
            }
        })
        .collect())
}

/// Instructions as (name in capitals, the rest), with continued lines joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let mut instructions = Vec::new();
    let mut pending = String::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(continued) = line.strip_suffix('\\') {
            pending.push_str(continued.trim_end());
            pending.push(' ');
            continue;
        }
        pending.push_str(line);
        let whole = std::mem::take(&mut pending);
        let (name, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
        instructions.push((name.to_ascii_uppercase(), rest.trim().to_owned()));
    }
    instructions
}
