//! Forged tags, made from good ones: for the decisions, and in the integration tests for the whole sidecar.

/// Target of a poll with this `sid`.
pub(super) fn target(sid: &str) -> String {
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
}

/// Targets that differ from the poll with the good `sid.tag`: by each bit, each missing end, each missing byte and each
/// spelling.
pub(super) fn changed(given: &str) -> Vec<String> {
    let whole = target(given);
    let flipped = (0..whole.len() * 8).filter_map(|bit| {
        let mut bytes = whole.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        String::from_utf8(bytes).ok()
    });
    let cut = (0..given.len()).flat_map(|at| [target(&given[..at]), target(&given[at + 1..])]);
    let without_one = (0..given.len()).map(|at| target(&format!("{}{}", &given[..at], &given[at + 1..])));
    let respelled = respelled(given).into_iter().map(|sid| target(&sid));
    flipped.chain(cut).chain(without_one).chain(respelled).collect()
}

/// All the ways in which one `sid.tag` is spelled otherwise without being another text for a lenient reader.
fn respelled(given: &str) -> Vec<String> {
    let (sid, tag) = given.rsplit_once('.').unwrap();
    let mut all = vec![
        format!("{given}="),
        format!("{given}=="),
        format!("{given}%3D"),
        format!("{given}%3d%3D"),
        format!("{sid}.{}", tag.replace('-', "+").replace('_', "/")),
        format!("{sid}.{}", tag.replace('-', "%2B").replace('_', "%2F")),
        format!("{sid}.{}", tag.to_ascii_lowercase()),
        format!("{sid}.{}", tag.to_ascii_uppercase()),
        format!("{}.{tag}", sid.to_ascii_lowercase()),
        format!("{sid}%2E{tag}"),
        format!("{sid}%252E{tag}"),
        format!("{sid}..{tag}"),
        format!("{sid}.{tag}.{tag}"),
        format!("{sid}.{tag}%00"),
        format!("{sid}%20.{tag}"),
        format!("{sid}.+{tag}"),
        format!("{sid}.{tag}\u{ff0e}"),
        format!(".{tag}"),
        tag.to_owned(),
    ];
    // The last character has bits that are no part of the tag.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    all.extend(alphabet.chars().map(|last| format!("{sid}.{}{last}", &tag[..tag.len() - 1])));
    for at in 0..given.len() {
        let (before, after) = (&given[..at], &given[at + 1..]);
        let byte = given.as_bytes()[at];
        all.push(format!("{before}%{byte:02x}{after}"));
        all.push(format!("{before}%25{byte:02X}{after}"));
        all.push(format!("{before}{}{after}", (byte ^ 0x20) as char));
    }
    all
}

/// Sids with the tags of others: the good `sid.tag` under other sids, and tags that `seal` makes for the sid with a
/// cluster, a key id and a key of which at least one is wrong. `keys` are the right ones of `cluster`.
pub(super) fn sealed_elsewhere(
    given: &str,
    cluster: &str,
    keys: [(u8, [u8; 32]); 2],
    seal: impl Fn(&str, u8, [u8; 32]) -> String,
) -> Vec<String> {
    let (sid, tag) = given.rsplit_once('.').unwrap();
    let others = ["other", "a.b", "", "MnhRJWLdKT_sGkDsAAAB", given];
    let mut forged: Vec<_> = others.iter().map(|other| format!("{other}.{tag}")).collect();
    let [(_, first), (_, second)] = keys;
    for id in 0..16 {
        for (cluster, key) in [
            (cluster, [3; 32]),
            ("cluster-2", first),
            ("cluster-2", second),
            ("cluster-", first),
            (cluster, [0; 32]),
        ] {
            forged.push(format!("{sid}.{}", seal(cluster, id, key)));
        }
        // The right keys under each other's ids, and under ids that this sidecar does not know.
        for (right_id, key) in keys {
            if id != right_id {
                forged.push(format!("{sid}.{}", seal(cluster, id, key)));
            }
        }
    }
    forged
}
