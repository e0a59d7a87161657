//! Tags that are not this cluster's.

use std::time::Duration;

use serde_json::{Value, json};
use socketio_sidecar_core::config::Mode;
use socketio_sidecar_core::owner_tag::{KeyRing, Owner, PodDigest};
use support::deployment::{Chat, Kubectl, NAMESPACE, Variant, wait_for};

const TRAP: &str = "trap";
/// Longest wait for a pod. The test before may have stopped the API server, after which clients of it
/// come back at intervals of their own.
const RECOVERY: Duration = Duration::from_secs(180);
/// Listens on the port that peers use and says so when anyone connects.
const TRAP_SCRIPT: &str = r#"require("net").createServer((socket) => {
    console.log("CONNECTED " + socket.remoteAddress); socket.destroy();
}).listen(7901, "::", () => console.log("LISTENING"))"#;
/// Sends one request per argument and prints the answers.
const FETCH_SCRIPT: &str = r#"(async () => { const answers = [];
    for (const url of process.argv.slice(1)) {
        const answer = await fetch(url); answers.push({ status: answer.status, body: await answer.text() });
    }
    console.log(JSON.stringify(answers)); })()"#;

#[test]
fn a_forged_truncated_or_foreign_tag_is_an_unknown_session_and_reaches_nobody() {
    let chat = Chat::deploy(Variant::With(Mode::Enforce)).unwrap();
    let url = chat.url().unwrap();
    run_script(TRAP, TRAP_SCRIPT, &[]);
    wait_for("the trap to listen", RECOVERY, || {
        let log = Kubectl::run(&["logs", TRAP]).unwrap_or_default();
        Ok(log.contains("LISTENING").then_some(()))
    })
    .unwrap();
    let trap_ip =
        Kubectl::json(&["get", "pod", TRAP]).unwrap()["status"]["podIP"].as_str().unwrap().to_owned();

    // A genuine sid of a living session, from a handshake.
    let handshake = fetch(&[format!("{url}/socket.io/?EIO=4&transport=polling")]);
    let opened: Value = serde_json::from_str(&handshake[0].1[1..]).unwrap();
    let (sid, tag) = opened["sid"].as_str().unwrap().rsplit_once('.').expect("Enforce tags").to_owned();

    let owner = Owner { ip: trap_ip.parse().unwrap(), pod: PodDigest::of_uid("trap"), app_port: 3000 };
    let foreign = KeyRing::new("example-chat", 1, [(1, &[7; 32][..])]).unwrap().seal(sid, &owner).unwrap();
    let mut forged = tag.to_owned();
    forged.replace_range(10..11, if &tag[10..11] == "A" { "B" } else { "A" });
    let bad_tags =
        [foreign, forged, tag[..tag.len() - 1].to_owned(), tag[..20].to_owned(), format!("{tag}A")];
    let urls: Vec<_> = bad_tags
        .iter()
        .map(|tag| format!("{url}/socket.io/?EIO=4&transport=polling&sid={sid}.{tag}"))
        .collect();
    // Through every pod, several times.
    let urls: Vec<_> = std::iter::repeat_n(urls, 6).flatten().collect();
    for (url, (status, body)) in urls.iter().zip(fetch(&urls)) {
        assert_eq!(status, 400, "{url}: {body}");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["code"], 1, "{url}: {body}");
    }

    let trapped = Kubectl::run(&["logs", TRAP]).unwrap();
    assert!(!trapped.contains("CONNECTED"), "a tag that no key of this cluster made was followed: {trapped}");
    let forwarded = chat.metric("socketio_sidecar_requests_total", r#"decision="forward""#).unwrap();
    assert!(forwarded.abs() < f64::EPSILON, "{forwarded}");
    // The trap does work.
    fetch_lenient(&format!("http://{trap_ip}:7901/"));
    let trapped = Kubectl::run(&["logs", TRAP]).unwrap();
    assert!(trapped.contains("CONNECTED"), "the trap catches nobody, so this test proved nothing");
    Kubectl::run(&["delete", "pod", TRAP, "--wait=false"]).unwrap();
}

fn fetch(urls: &[String]) -> Vec<(u64, String)> {
    let log = run_to_end(FETCH_SCRIPT, urls);
    let answers: Vec<Value> =
        serde_json::from_str(log.trim()).unwrap_or_else(|_| panic!("fetching said: {log}"));
    answers
        .iter()
        .map(|answer| (answer["status"].as_u64().unwrap(), answer["body"].as_str().unwrap().to_owned()))
        .collect()
}

fn fetch_lenient(url: &str) {
    let script = "fetch(process.argv[1]).catch(() => 0).then(() => console.log('done'))";
    run_to_end(script, &[url.to_owned()]);
}

fn run_to_end(script: &str, args: &[String]) -> String {
    const NAME: &str = "fetch";
    run_script(NAME, script, args);
    wait_for("a script to end", RECOVERY, || {
        let phase = Kubectl::run(&["get", "pod", NAME, "--output=jsonpath={.status.phase}"])?;
        Ok(matches!(phase.as_str(), "Succeeded" | "Failed").then_some(()))
    })
    .unwrap();
    let log = Kubectl::run(&["logs", NAME]).unwrap();
    Kubectl::run(&["delete", "pod", NAME, "--wait=true"]).unwrap();
    log
}

fn run_script(name: &str, script: &str, args: &[String]) {
    Kubectl::run(&["delete", "pod", name, "--ignore-not-found"]).unwrap();
    let args: Vec<&str> = ["-e", script].into_iter().chain(args.iter().map(String::as_str)).collect();
    Kubectl::apply(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "script",
                "image": "socketio-affinity/load:dev",
                "imagePullPolicy": "IfNotPresent",
                "command": ["/nodejs/bin/node"],
                "args": args,
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    }))
    .unwrap();
}
