//! Renewal, recovery, and what is taken for credentials.

use super::*;

const CLUSTER: &str = "0e8f9f0a";

fn at(days: u32) -> Terms<'static> {
    let now = Timestamp::from_second(1_800_000_000).unwrap().saturating_add(DAY * days).unwrap();
    Terms { cluster: CLUSTER, certificate_days: 90, now }
}

/// Files that differ between two credentials.
fn changed(one: &Credentials, other: &Credentials) -> Vec<String> {
    let other = other.files();
    one.files().into_iter().filter(|(name, file)| other[name] != *file).map(|(name, _)| name).collect()
}

/// With the operator's Secret lost.
fn recovered(made: &Credentials, day: u32) -> Option<Credentials> {
    Credentials::from_files(&made.files()).unwrap().recover(at(day)).unwrap()
}

#[test]
fn what_was_written_is_read_again() {
    let made = Credentials::generate(at(0)).unwrap();
    assert!(Credentials::from_data(&made.to_data().unwrap()).unwrap() == made);
}

#[test]
fn the_cas_key_is_in_no_file_of_the_sidecars() {
    let made = Credentials::generate(at(0)).unwrap();
    let key = made.authority.as_ref().unwrap().key.lines().nth(1).unwrap();
    let files = made.files();
    assert_eq!(files.len(), 4);
    assert!(files.values().all(|file| !String::from_utf8_lossy(&file.0).contains(key)));
}

#[test]
fn a_leaf_is_renewed_when_a_third_of_its_time_is_left_and_nothing_else_changes() {
    let made = Credentials::generate(at(0)).unwrap();
    assert!(made.next(at(59), true).unwrap().is_none());
    let renewed = made.next(at(61), true).unwrap().unwrap();
    assert_eq!(changed(&made, &renewed), [CERTIFICATE_FILE, KEY_FILE]);
    assert!(renewed.next(at(61), true).unwrap().is_none());
    // A pod that lags must not let the others' certificate end.
    assert!(made.next(at(61), false).unwrap().is_some());
    assert!(renewed.next(at(122), true).unwrap().is_some());
}

#[test]
fn a_ca_is_replaced_in_three_changes_of_one_thing_each() {
    let mut now = Credentials::generate(at(0)).unwrap();
    let year_8 = 8 * 365;
    let mut seen = Vec::new();
    // The leaf of year 0 has ended long before; it is renewed last, since order is what matters.
    now.authority.as_mut().unwrap().leaf_not_after = at(year_8 + 90).now;
    assert!(now.next(at(year_8), false).unwrap().is_none());
    while let Some(next) = now.next(at(year_8), true).unwrap() {
        assert!(seen.len() > 1 || next.next(at(year_8), false).unwrap().is_none());
        seen.push((changed(&now, &next), next.trusted.len()));
        now = next;
    }
    let [ca, certificate, key] = [CA_FILE, CERTIFICATE_FILE, KEY_FILE].map(str::to_owned);
    assert_eq!(seen, [(vec![ca.clone()], 2), (vec![certificate, key], 2), (vec![ca], 1)]);
}

#[test]
fn with_the_operators_secret_lost_the_tag_keys_stay_and_a_new_ca_takes_over() {
    let made = Credentials::generate(at(0)).unwrap();
    let mut now = recovered(&made, 1).unwrap();
    assert_eq!(changed(&made, &now), [CA_FILE]);
    assert_eq!(now.trusted[0], made.trusted[0]);
    let mut rounds = 0;
    while let Some(next) = now.next(at(1), true).unwrap() {
        assert!(!changed(&now, &next).contains(&TAG_KEYS_FILE.to_owned()));
        (now, rounds) = (next, rounds + 1);
    }
    assert_eq!((rounds, now.trusted.len()), (2, 1));
    assert_ne!(now.trusted[0], made.trusted[0]);
}

#[test]
fn a_leaf_is_renewed_under_a_ca_that_all_trust_while_a_pod_lags_in_the_midst_of_a_cas_renewal() {
    let made = recovered(&Credentials::generate(at(0)).unwrap(), 1).unwrap();
    let shown = made.next(at(1), true).unwrap().unwrap();
    assert!(shown.next(at(1), false).unwrap().is_none());
    let renewed = shown.next(at(80), false).unwrap().unwrap();
    assert_eq!(changed(&shown, &renewed), [CERTIFICATE_FILE, KEY_FILE]);
    // One that not all trust yet signs nothing.
    assert!(made.next(at(80), false).unwrap().is_none());
}

#[test]
fn what_is_recovered_is_read_again_and_losing_it_again_and_again_trusts_no_more_than_a_few() {
    let mut now = Credentials::generate(at(0)).unwrap();
    for day in (1..TRUSTED_MOST).map(|day| u32::try_from(day).unwrap()) {
        now = recovered(&now, day).unwrap();
        assert!(Credentials::from_data(&now.to_data().unwrap()).unwrap() == now);
    }
    assert!(recovered(&now, 9).is_none());
}

#[test]
fn the_files_of_the_sidecars_alone_are_what_they_were_and_nothing_is_signed() {
    let made = Credentials::generate(at(0)).unwrap();
    let files = Credentials::from_files(&made.files()).unwrap();
    assert_eq!(files.files(), made.files());
    assert!(files.next(at(20 * 365), true).unwrap().is_none());
    assert!(Credentials::from_data(&files.to_data().unwrap()).is_none());
}

#[test]
fn damaged_data_is_not_taken_for_credentials() {
    let made = Credentials::generate(at(0)).unwrap();
    let (made_files, good) = (made.files(), made.to_data().unwrap());
    let other = Credentials::generate(at(1)).unwrap().to_data().unwrap();
    let text = |name: &str| String::from_utf8(good[name].0.clone()).unwrap();
    let mut damaged = Vec::new();
    for file in good.keys() {
        damaged.extend(["", "{}", "\u{1}"].map(|content| (file.as_str(), content.to_owned())));
        damaged.push((file, text(file).replacen('a', "=", 3)));
    }
    for file in made_files.keys() {
        damaged.push((file, "\n".repeat(FILE_MOST) + &text(file)));
    }
    damaged.push((TAG_KEYS_FILE, r#"{"sealWith":2,"keys":[]}"#.to_owned()));
    damaged.push((TAG_KEYS_FILE, r#"{"sealWith":1,"keys":[{"id":1,"key":"AQE="}]}"#.to_owned()));
    damaged.push((CA_FILE, text(CA_FILE).repeat(TRUSTED_MOST + 1)));
    damaged.push((CA_FILE, text(CA_FILE) + "rest"));
    // Of other credentials: the pair does not fit.
    for file in [CERTIFICATE_FILE, KEY_FILE, AUTHORITY_FILE] {
        damaged.push((file, String::from_utf8(other[file].0.clone()).unwrap()));
    }
    for (nth, (file, content)) in damaged.into_iter().enumerate() {
        let mut bad = good.clone();
        bad.insert(file.to_owned(), ByteString(content.into_bytes()));
        assert!(Credentials::from_data(&bad).is_none(), "{nth}: {file}");
        assert_eq!(Credentials::from_files(&bad).is_none(), file != AUTHORITY_FILE, "{nth}: {file}");
    }
    let mut bad = good.clone();
    bad.insert(CA_FILE.to_owned(), ByteString(vec![0xff]));
    assert!(Credentials::from_files(&bad).is_none());
    assert!(Credentials::from_data(&BTreeMap::new()).is_none());
    assert!(Credentials::from_files(&BTreeMap::new()).is_none());
}
