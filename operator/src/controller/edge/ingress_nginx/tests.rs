//! Each form as a whole Ingress, against its golden file; `UPDATE_GOLDEN=1` rewrites them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::super::{Program, Provider, program};
use crate::controller::build::resource::ingress::{Parts, build_ingress};
use crate::crd::v1alpha1::Edge;

const PREFIX: &str = "nginx.ingress.kubernetes.io/";

fn programmed(session_affinity: &serde_json::Value) -> Program {
    let edge: Edge = serde_json::from_value(json!({ "sessionAffinity": session_affinity })).unwrap();
    program(Provider::IngressNginx, &edge)
}

/// Every form, by the name of its golden file.
fn forms() -> [(&'static str, Program); 5] {
    [
        ("none", programmed(&json!({}))),
        ("client-ip", programmed(&json!({"type": "ClientIP"}))),
        ("client-ip-first", programmed(&json!({"type": "ClientIP", "forwardedFor": "First"}))),
        ("cookie", programmed(&json!({"type": "Cookie"}))),
        (
            "cookie-cross-site",
            programmed(&json!({"type": "Cookie", "cookie": {"name": "chat-pod", "sameSite": "None"}})),
        ),
    ]
}

#[test]
fn each_form_is_its_golden_file() {
    let hosts = ["chat.example.com".to_owned(), "chat.example.org".to_owned()];
    for (form, program) in forms() {
        let labels = [
            ("app.kubernetes.io/managed-by", "socketio-affinity"),
            ("socketio-affinity.dev/cluster", "chat"),
        ];
        let ingress = build_ingress(Parts {
            name: "chat-socketio",
            namespace: "chat",
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            annotations: program.annotations,
            class_name: "nginx",
            // One of each: hosts with and without a certificate, and none at all.
            hosts: if form == "none" { &[] } else { &hosts },
            tls_secret_name: form.starts_with("cookie").then_some("chat-tls"),
            service_name: "chat-socketio",
            service_port: 80,
        });
        let made = serde_saphyr::to_string(&ingress).unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/controller/edge/ingress_nginx")
            .join(form)
            .with_extension("yaml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &made).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(made, expected, "{} differs; UPDATE_GOLDEN=1 rewrites it", golden.display());
    }
}

#[test]
fn the_documentation_shows_what_the_golden_files_say() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(crate_root.join("../docs/edges/ingress-nginx.md")).unwrap();
    for form in ["none", "client-ip", "client-ip-first", "cookie"] {
        let golden = crate_root.join("src/controller/edge/ingress_nginx").join(form).with_extension("yaml");
        let golden = std::fs::read_to_string(golden).unwrap();
        let annotations = golden.lines().skip_while(|line| *line != "  annotations:").skip(1);
        let shown: String =
            annotations.map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect();
        assert!(
            page.contains(&format!("```yaml\n{shown}```\n")),
            "the page should show, for {form}:\n{shown}"
        );
    }
}

#[test]
fn only_the_documented_form_has_a_snippet_and_it_names_its_risk() {
    for (form, program) in forms() {
        let has_snippet = program.annotations.keys().any(|name| name.ends_with("-snippet"));
        assert_eq!(has_snippet, form == "client-ip-first", "{form}");
        assert_eq!(program.requires.contains("allow-snippet-annotations"), has_snippet, "{form}");
        assert_eq!(program.caution.is_some_and(|caution| caution.contains("choose its pod")), has_snippet);
    }
}

/// `upstreamhashby/main.go` and `sessionaffinity/main.go`; a value that does not pass takes the whole
/// Ingress with it.
#[test]
fn every_value_passes_the_validation_of_the_controller() {
    let allowed = |value: &str, others: &str| {
        value.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c)) && !value.is_empty()
    };
    for (form, program) in forms() {
        for (name, value) in &program.annotations {
            let valid = match name.strip_prefix(PREFIX).unwrap() {
                "proxy-read-timeout" | "proxy-send-timeout" => value.parse::<i32>().is_ok(),
                "proxy-next-upstream" => {
                    value.split(' ').all(|condition| ["error", "timeout"].contains(&condition))
                }
                "upstream-hash-by" => allowed(value, "-_${}"),
                "affinity" => value == "cookie",
                "affinity-mode" => value == "persistent",
                "session-cookie-name" => allowed(value, "/-._~:"),
                "session-cookie-change-on-failure" | "session-cookie-secure" => value == "true",
                "session-cookie-samesite" => ["None", "Lax", "Strict"].contains(&value.as_str()),
                // Not validated; but these are the words to block that its documentation lists, less the
                // braces and quotes without which there is no `if`.
                "configuration-snippet" => {
                    let blocked = ["load_module", "lua_package", "_by_lua", "location", "root", "proxy_pass"];
                    !blocked.iter().chain(&["serviceaccount", "'"]).any(|word| value.contains(word))
                }
                unknown => panic!("{form} has {unknown}"),
            };
            assert!(valid, "{form}: {name}: {value}");
        }
    }
}

#[test]
fn a_request_is_never_repeated_for_its_answer_nor_a_post_at_all() {
    for (form, program) in forms() {
        let conditions = &program.annotations[&format!("{PREFIX}proxy-next-upstream")];
        assert_eq!(conditions, "error timeout", "{form}");
    }
}

#[test]
fn a_cookie_for_all_sites_is_secure_as_browsers_demand() {
    let of = |same_site: &str| -> BTreeMap<String, String> {
        programmed(&json!({"type": "Cookie", "cookie": {"sameSite": same_site}})).annotations
    };
    let value = |same_site, name: &str| of(same_site).get(&format!("{PREFIX}session-cookie-{name}")).cloned();
    for same_site in ["Lax", "Strict", "None"] {
        assert_eq!(value(same_site, "samesite").as_deref(), Some(same_site));
        assert_eq!(value(same_site, "name").as_deref(), Some("socketio-affinity"));
    }
    assert_eq!(value("None", "secure").as_deref(), Some("true"));
    assert_eq!(value("Lax", "secure"), None);
    assert_eq!(value("Strict", "secure"), None);
}

/// The chart's admission policy lets the operator write these annotations and this snippet, and no others.
#[test]
fn the_admission_policy_knows_every_annotation_and_the_snippet() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/socketio-affinity");
    let read = |file: &str| std::fs::read_to_string(chart.join(file)).unwrap();
    assert_eq!(read("files/client-ip.conf"), super::CLIENT_IP);
    let helpers = read("templates/_helpers.tpl");
    let list = helpers.lines().find(|line| line.contains("range list \"affinity\"")).unwrap();
    let known: std::collections::BTreeSet<_> =
        list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let written = forms().into_iter().flat_map(|(_, program)| program.annotations.into_keys());
    let written: std::collections::BTreeSet<_> =
        written.map(|name| name.strip_prefix(PREFIX).unwrap().to_owned()).collect();
    assert_eq!(known, written);
    // A class of characters is enough for all that is written; variables in braces are for what users have.
    let plain = helpers.lines().find(|line| line.starts_with("^([A-Za-z0-9_$./:~ -]|")).unwrap();
    assert!(plain.ends_with(")*$"), "{plain}");
    let snippet = format!("{PREFIX}configuration-snippet");
    for (name, value) in forms().into_iter().flat_map(|(_, program)| program.annotations) {
        let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "_$./:~ -".contains(c));
        assert!(is_plain || name == snippet, "{name}: {value}");
    }
}
