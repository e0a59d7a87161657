use super::super::Settings;

const MARK: &str = "bWFya21hcmttYXJrbWFya21hcmttYXJrbWFya21hcms=";
const CONFIG: &str = r#"{"revision":"1","cluster":"c","mode":"Off","path":"/p","forwardedFor":"Append","trustedProxies":["10.0.0.0/8"],"closeOver":9}"#;
const KEYS: &str = r#"{"sealWith":1,"keys":[{"id":1,"key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}]}"#;

/// Each place of `json` where a value or a name can stand, in turn: `json` with `replacement` there.
fn with_each_part_replaced(json: &str, replacement: &str) -> Vec<String> {
    let bytes = json.as_bytes();
    let mut starts = Vec::new();
    let mut in_string = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' if !in_string => {
                starts.push(at);
                in_string = true;
            }
            b'"' => in_string = false,
            b'0'..=b'9' if !in_string && !bytes[at - 1].is_ascii_digit() => starts.push(at),
            b'{' | b'[' if !in_string => starts.push(at),
            _ => {}
        }
    }
    let part = |start: usize| {
        let mut values = serde_json::Deserializer::from_str(&json[start..]).into_iter::<serde_json::Value>();
        // What follows a number directly is not looked at.
        let _ = values.next();
        start + values.byte_offset()
    };
    starts
        .into_iter()
        .map(|start| format!("{}{replacement}{}", &json[..start], &json[part(start)..]))
        .collect()
}

/// A mark, in what a person may put in its place: as it is, within an object, with what serde's messages end with.
fn replacements() -> Vec<String> {
    vec![
        format!("\"{MARK}\""),
        format!("[\"{MARK}\"]"),
        format!("{{\"{MARK}\":1}}"),
        format!("{{\"x`, expected `{MARK}`, expected {MARK}\":1}}"),
        format!("\"`{MARK}`, expected {MARK}\""),
        format!("\"\\\"{MARK}\\\", expected {MARK}\""),
        MARK.to_owned(),
        format!("'{MARK}'"),
        format!("\"{MARK}"),
        format!("\"{MARK}\\x\""),
        format!("\"{MARK}\n\""),
    ]
}

#[test]
fn a_mark_in_any_place_of_either_file_is_in_no_refusal() {
    let mut refusals = 0;
    for replacement in replacements() {
        let configs =
            with_each_part_replaced(CONFIG, &replacement).into_iter().map(|file| (file, KEYS.to_owned()));
        let keys =
            with_each_part_replaced(KEYS, &replacement).into_iter().map(|file| (CONFIG.to_owned(), file));
        for (config, keys) in configs.chain(keys) {
            // A cluster may be called anything.
            let Err(refusal) = Settings::parse(config.as_bytes(), keys.as_bytes()) else { continue };
            refusals += 1;
            for refusal in [refusal.to_string(), format!("{refusal:?}")] {
                assert!(!refusal.contains(&MARK[..8]), "{refusal}\n{config}\n{keys}");
            }
        }
    }
    assert!(refusals > 200, "{refusals}");
}

#[test]
fn a_file_in_the_place_of_another_is_not_quoted() {
    let keys = KEYS.replace("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", MARK);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----\n");
    let utf_16: Vec<u8> = keys.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cut: Vec<_> = (0..keys.len()).map(|length| keys.as_bytes()[..length].to_vec()).collect();
    let twice = keys.replace("\"keys\"", &format!("\"keys\":[{{\"id\":2,\"key\":\"{MARK}\"}}],\"keys\""));
    let files = [keys.into_bytes(), pem.into_bytes(), utf_16, twice.into_bytes(), vec![0xff, 0xfe]];
    for file in files.into_iter().chain(cut) {
        for (config, keys) in [(&file[..], KEYS.as_bytes()), (CONFIG.as_bytes(), &file)] {
            let Err(refusal) = Settings::parse(config, keys) else { continue };
            assert!(!format!("{refusal} {refusal:?}").contains(&MARK[..8]), "{refusal:?}");
        }
    }
}

#[test]
fn a_short_word_of_the_configuration_is_quoted_and_none_of_the_keys() {
    let said = |config: &str, keys: &str| {
        Settings::parse(config.as_bytes(), keys.as_bytes()).unwrap_err().to_string()
    };
    assert_eq!(
        said(&CONFIG.replace("Off", "on"), KEYS),
        "config.json: unknown variant `on`, expected one of `Off`, `Observe`, `Enforce` at line 1 column 41"
    );
    assert!(
        said(&CONFIG.replace("mode", "mod"), KEYS).starts_with("config.json: unknown field `mod`, expected")
    );
    assert_eq!(
        said(&CONFIG.replace(":9", ":\"9\""), KEYS),
        "config.json: invalid type: string, expected u32 at line 1 column 126"
    );
    assert_eq!(
        said(CONFIG, &KEYS.replace("\"id\":1", "\"id\":\"1\"")),
        "tag-keys.json: another shape than {\"sealWith\": ID, \"keys\": [{\"id\": ID, \"key\": \"BASE64\"}]} with IDs \
         from 0 to 15 at line 1 column 31"
    );
    assert_eq!(
        said(CONFIG, &KEYS[..20]),
        "tag-keys.json: not JSON: EOF while parsing an object at line 1 column 20"
    );
}
