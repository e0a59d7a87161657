//! The format of the corpus files.
//!
//! | line | meaning |
//! | --- | --- |
//! | `# text` | a comment |
//! | `case NAME` | begins a case |
//! | `each NAME` | begins a table of cases that share their bytes; `{}` stands for a row's value |
//! | `- NAME` `` `VALUE` `` `CHECK; CHECK` | a row of the table; `refused …`, `rejected …` and `cut` replace the checks of the table, others are added |
//! | `> text` | bytes to send: the text and CRLF |
//! | `\| text` | bytes to send: the text alone |
//! | `wait` | a pause, so that what stands before it is read by itself |
//! | `end` | the sender sends nothing more |
//! | anything else | a check; `requests.rs` and `answers.rs` list them |
//!
//! In bytes and in the arguments of checks:
//!
//! | text | bytes |
//! | --- | --- |
//! | `@` | the target of the case, under Engine.IO's path and with a sid |
//! | `{case}` | the word that names the case |
//! | `{3*ab}` | `ababab`; `#` in it is the number of the repetition, from 0 |
//! | `\r` `\n` `\t` `\0` `\xFF` | those bytes; `\` before anything else is that character |

use std::fs;
use std::path::Path;

/// A case, as a file has it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The file and the line, for messages.
    pub(super) at: String,
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    pub(super) checks: Vec<Check>,
}

/// A step of the side whose bytes are under test.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Text to [`encode`] and to send.
    Send(String),
    Wait,
    End,
}

/// A word and its argument, which is text to [`encode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) word: String,
    pub(super) argument: String,
}

impl Check {
    fn parse(text: &str) -> Self {
        let (word, argument) = text.split_once(' ').unwrap_or((text, ""));
        Self { word: word.to_owned(), argument: argument.to_owned() }
    }
}

/// Reads all files of a directory, in the order of their names.
pub(super) fn read_directory(directory: &Path) -> Vec<Case> {
    let entries = fs::read_dir(directory).expect("the corpus is in the repository");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_name().expect("it is a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("the corpus is text");
        cases.extend(parse(&name, &text).unwrap_or_else(|why| panic!("{why}")));
    }
    cases
}

/// A `case`, or a table with its rows.
struct Block {
    case: Case,
    rows: Option<Vec<(String, String)>>,
}

fn parse(file: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = format!("{file}:{}", number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "case" || word == "each" {
            let case = Case { at, name: rest.to_owned(), steps: Vec::new(), checks: Vec::new() };
            blocks.push(Block { case, rows: (word == "each").then(Vec::new) });
            continue;
        }
        let block = blocks.last_mut().ok_or_else(|| format!("{at}: no case has begun"))?;
        let steps = &mut block.case.steps;
        match (word, &mut block.rows) {
            (">" | "|", _) => {
                let end = if word == ">" { "\\r\\n" } else { "" };
                match steps.last_mut() {
                    Some(Step::Send(text)) => *text += &format!("{rest}{end}"),
                    _ => steps.push(Step::Send(format!("{rest}{end}"))),
                }
            }
            ("wait", _) => steps.push(Step::Wait),
            ("end", _) => steps.push(Step::End),
            ("-", Some(rows)) => rows.push((at, rest.to_owned())),
            ("-", None) => return Err(format!("{at}: a row belongs to `each`")),
            _ => block.case.checks.push(Check::parse(line)),
        }
    }
    blocks.into_iter().try_fold(Vec::new(), |mut cases, Block { case, rows }| {
        match rows {
            None => cases.push(case),
            Some(rows) => {
                for (at, row) in rows {
                    cases.push(fill(&case, at, &row)?);
                }
            }
        }
        Ok(cases)
    })
}

/// The case that a row of the table `of` stands for.
fn fill(of: &Case, at: String, row: &str) -> Result<Case, String> {
    let between = row.find('`').zip(row.rfind('`')).filter(|(start, end)| start < end);
    let (start, end) = between.ok_or_else(|| format!("{at}: a row has a `value`"))?;
    let (name, value) = (row[..start].trim(), &row[start + 1..end]);
    let own = row[end + 1..].split(';').map(str::trim).filter(|check| !check.is_empty());
    let own: Vec<_> = own.map(|check| Check::parse(&check.replace("{}", value))).collect();
    let replaces =
        own.first().is_some_and(|check| ["refused", "rejected", "cut"].contains(&check.word.as_str()));
    let mut checks = if replaces { Vec::new() } else { of.checks.clone() };
    for check in &mut checks {
        check.argument = check.argument.replace("{}", value);
    }
    checks.extend(own);
    let steps = of.steps.iter().cloned().map(|step| match step {
        Step::Send(text) => Step::Send(text.replace("{}", value)),
        other => other,
    });
    Ok(Case { at, name: format!("{}: {name}", of.name), steps: steps.collect(), checks })
}

/// The bytes that `text` stands for; `names` are what `@` and the words in braces stand for.
pub(super) fn encode(text: &str, names: &[(&str, &str)]) -> Result<Vec<u8>, String> {
    let value = |wanted: &str| names.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => match rest.next().ok_or("a `\\` at the end")? {
                'r' => bytes.push(b'\r'),
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                '0' => bytes.push(0),
                'x' => {
                    let digits = rest.as_str().get(..2).ok_or("`\\x` needs two digits")?;
                    bytes.push(u8::from_str_radix(digits, 16).map_err(|error| error.to_string())?);
                    rest = rest.as_str()[2..].chars();
                }
                other => bytes.extend(other.to_string().bytes()),
            },
            '{' => {
                let end = closing_brace(rest.as_str()).ok_or("a `{` without its `}`")?;
                let inner = &rest.as_str()[..end];
                rest = rest.as_str()[end + 1..].chars();
                let repeated = inner
                    .split_once('*')
                    .and_then(|(count, text)| Some((count.parse::<usize>().ok()?, text)));
                match repeated {
                    Some((count, text)) => {
                        for number in 0..count {
                            let number = number.to_string();
                            let names = [names, &[("#", number.as_str())]].concat();
                            bytes.extend(encode(text, &names)?);
                        }
                    }
                    None => bytes.extend(value(inner).ok_or_else(|| format!("no {{{inner}}}"))?.bytes()),
                }
            }
            '@' => bytes.extend(value("@").ok_or("no target here")?.bytes()),
            '#' if value("#").is_some() => bytes.extend(value("#").unwrap_or_default().bytes()),
            other => bytes.extend(other.to_string().bytes()),
        }
    }
    Ok(bytes)
}

/// Position of the brace in `text` that closes one opened before it.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut depth, mut escaped) = (0, false);
    for (at, next) in text.char_indices() {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn files_say_what_the_table_above_says() {
    let text = "# comment\ncase one\n> GET @ {case}\n>\n| \\x41\\r{2*b#}\nwait\n| z\nrefused 400\n\neach two\n> a: {}\nsees {}\n- plus `+{2*4}` refused 400\n- tick ``` with X: y; lives\n";
    let cases = parse("f", text).unwrap();
    let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["one", "two: plus", "two: tick"]);
    let [Step::Send(first), Step::Wait, Step::Send(last)] = &cases[0].steps[..] else {
        panic!("{:?}", cases[0].steps);
    };
    let names = [("@", "/t"), ("case", "c1")];
    assert_eq!(encode(first, &names).unwrap(), b"GET /t c1\r\n\r\nA\rb0b1");
    assert_eq!(last, "z");
    let checks =
        |at: usize| cases[at].checks.iter().map(|check| format!("{} {}", check.word, check.argument));
    assert_eq!(checks(1).collect::<Vec<_>>(), ["refused 400"]);
    assert_eq!(checks(2).collect::<Vec<_>>(), ["sees `", "with X: y", "lives "]);
    let Step::Send(sent) = &cases[1].steps[0] else { panic!() };
    assert_eq!(encode(sent, &[]).unwrap(), b"a: +44\r\n");
    assert!(encode("{none}", &[]).is_err() && encode("{1*", &[]).is_err());
}
