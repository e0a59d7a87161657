//! Rights of the operator's account and of its users, as the API server says them. No operator runs here.

use std::collections::BTreeSet;
use std::time::Duration;

use support::deployment::wait_for;

use crate::chart::{Clean, NAMESPACE, USERS, assert_golden, chart, file, helm_with_chart, kubectl_in};

/// The rights of `account` in `namespace`, a line each.
fn list(account: &str, namespace: &str) -> BTreeSet<String> {
    let user = format!("--as=system:serviceaccount:{account}");
    let groups = ["--as-group=system:serviceaccounts", "--as-group=system:authenticated"];
    let table = kubectl_in(namespace, &[&["auth", "can-i", "--list", &user], &groups[..]].concat()).unwrap();
    table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Rights of the operator in `namespace` that not every account has.
fn rights(namespace: &str) -> String {
    let operator = list(&format!("{NAMESPACE}:socketio-affinity"), namespace);
    let anyone = list(&format!("{NAMESPACE}:default"), namespace);
    let rights: Vec<_> = operator.difference(&anyone).map(|line| format!("  {line}\n")).collect();
    if rights.is_empty() { "  nothing\n".to_owned() } else { rights.concat() }
}

#[test]
fn the_operator_and_its_users_may_do_what_is_committed_and_nothing_else() {
    let _clean = Clean::cluster();
    let mut actual = String::from("# resources [non-resource URLs] [names] [verbs]\n");
    for (name, set) in [
        ("all namespaces", "watchNamespaces=[]".to_owned()),
        ("one namespace", format!(r#"watchNamespaces=["{USERS}"]"#)),
    ] {
        helm_with_chart("upgrade", &chart(), &["--install", "--set=replicas=0", "--set-json", &set]).unwrap();
        for (place, namespace) in
            [("its own namespace", NAMESPACE), ("that of a user", USERS), ("any other", "default")]
        {
            actual.push_str(&format!("\nworking in {name}, in {place}:\n{}", rights(namespace)));
        }
    }
    assert_golden(&actual, &file("rights.golden.txt"));
    assert_rights_of_users();
}

/// Users with the built-in roles get rights on SocketIoClusters with them.
fn assert_rights_of_users() {
    for role in ["view", "edit", "admin"] {
        let user = format!("--user=with-{role}");
        kubectl_in(USERS, &["create", "rolebinding", role, "--clusterrole", role, &user]).unwrap();
    }
    let can = |user: &str, verb: &str| {
        let user = format!("--as={user}");
        // It exits with 1 for "no".
        kubectl_in(USERS, &["auth", "can-i", verb, "socketioclusters", &user]).is_ok()
    };
    wait_for("the roles to be aggregated", Duration::from_secs(20), || {
        Ok((can("with-view", "list") && can("with-admin", "create")).then_some(()))
    })
    .unwrap();
    for (user, may_write) in [("with-view", false), ("with-edit", true), ("with-admin", true)] {
        assert!(can(user, "get"), "{user}");
        assert_eq!(can(user, "create"), may_write, "{user}");
    }
    assert!(!can("nobody", "get"));
}
