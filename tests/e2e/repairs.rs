//! Changes by others of the operator's objects are repaired, while sessions go on; and
//! where they insist, the operator gives way and says so.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::deployment::{Chat, Kubectl, Operator, SocketIoCluster, Variant, wait_for};

use crate::cutover::carried_load;
use crate::refusals::witness::{Visitors, assert_one_sentence, events, look, work};

const NAME: &str = "repaired";
const SOON: Duration = Duration::from_secs(30);
const READY: Duration = Duration::from_secs(120);

/// Makes kubelet bring Secrets into the pods now, not within two minutes.
fn bring_secrets(chat: &Chat, turn: u32) {
    let pods = chat.pods().unwrap();
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let note = format!("test/looked-at={turn}");
    // A pod may be gone by now.
    let _ = Kubectl::run(&[&["annotate", "--overwrite", "pods"], &names[..], &[&note]].concat());
}

/// Waits until all is in place in every pod.
fn wait_until_ready(cluster: &SocketIoCluster, chat: &Chat) {
    let (mut turn, mut last) = (0, Instant::now());
    bring_secrets(chat, turn);
    let what = format!("{cluster:?} to be ready");
    let ready = wait_for(&what, READY, || {
        if last.elapsed() > Duration::from_secs(3) {
            (turn, last) = (turn + 1, Instant::now());
            bring_secrets(chat, turn);
        }
        let ready = cluster.condition("Ready")?;
        Ok((ready["status"] == "True").then_some(()))
    });
    ready.unwrap_or_else(|error| panic!("{error}: {}", cluster.condition("Ready").unwrap()));
}

fn secret(namespace: &str, name: &str) -> Value {
    let get = ["--namespace", namespace, "get", "secret", name];
    Kubectl::json(&get).map_or(Value::Null, |secret| secret["data"].clone())
}

fn wait_for_secret(what: &str, namespace: &str, name: &str, holds: impl Fn(&Value) -> bool) {
    wait_for(what, SOON, || Ok(holds(&secret(namespace, name)).then_some(()))).unwrap();
}

fn target_port(service: &str) -> Value {
    Kubectl::json(&["get", "service", service]).unwrap()["spec"]["ports"][0]["targetPort"].clone()
}

fn sidecar_image(chat: &Chat) -> Value {
    let deployment = Kubectl::json(&["get", "deployment", chat.name()]).unwrap();
    deployment["spec"]["template"]["spec"]["initContainers"][0]["image"].clone()
}

fn manifest() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/chat/k8s/chat.yaml"))
}

/// Puts the user's Deployment in the place of what is there.
fn replace_deployment() {
    let manifest = fs::read_to_string(manifest()).unwrap();
    let deployment = manifest.split("\n---\n").find(|object| object.contains("kind: Deployment")).unwrap();
    Kubectl::run_with(&["replace", "--filename=-"], Some(deployment)).unwrap();
}

fn repairs(of: &str) -> u64 {
    let events = events("chat", NAME);
    let about = events.iter().filter(|(_, reason, note, _)| reason == "Repaired" && note.contains(of));
    about.map(|(.., count)| count).sum()
}

fn wait_for_repair(of: &str) {
    wait_for(&format!("an Event that says Repaired of {of}"), SOON, || Ok((repairs(of) == 1).then_some(())))
        .unwrap_or_else(|error| panic!("{error}: {:#?}", events("chat", NAME)));
}

fn warnings(reason: &str) -> u64 {
    let events = events("chat", NAME);
    events.iter().filter(|(_, said, ..)| said == reason).map(|(.., count)| count).sum()
}

#[test]
fn what_others_change_is_put_back_without_losing_a_session_and_nobody_is_fought() {
    let chat = Chat::deploy(Variant::Without).unwrap();
    let operator = Operator::install(&["--set=replicas=1"]).unwrap();
    let cluster = SocketIoCluster::apply(NAME, &SocketIoCluster::spec(&chat, &json!({}))).unwrap();
    cluster.wait_for_step("Programmed", READY).unwrap();
    wait_until_ready(&cluster, &chat);

    secrets_are_put_back_and_tagged_sessions_go_on(&operator, &cluster, &chat);
    let visitors = Visitors::of(chat.name());
    services_are_put_back(&chat);
    another_manager_is_not_overruled(&cluster, &chat);
    the_users_own_manifests_can_be_applied_again(&cluster, &chat);
    visitors.leave().assert_undisturbed();
    let visitors = Visitors::of(chat.name());
    the_sidecar_is_put_in_again_once(&cluster, &chat);
    who_takes_it_out_again_is_given_way_to(&cluster, &chat);
    // Their pods were replaced.
    visitors.leave().assert_let_in();
}

fn secrets_are_put_back_and_tagged_sessions_go_on(
    operator: &Operator,
    cluster: &SocketIoCluster,
    chat: &Chat,
) {
    let uid = cluster.get().unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let own = (Operator::NAMESPACE, format!("socketio-affinity-{uid}"));
    let sidecars = ("chat", format!("{NAME}-socketio-sidecar"));
    let was = secret(sidecars.0, &sidecars.1);
    assert!(was["tag-keys.json"].is_string(), "{was}");
    let load = carried_load(chat, &["--mix"]);

    // Nobody is there to put it back before the sidecars see it.
    operator.scale(0).unwrap();
    let nonsense = r#"{"stringData":{"config.json":"{}","tag-keys.json":"{}"}}"#;
    Kubectl::run(&["patch", "secret", &sidecars.1, "--type=merge", "--patch", nonsense]).unwrap();
    bring_secrets(chat, 100);
    let pod = &chat.pods().unwrap()[0].name;
    let path = format!("/api/v1/namespaces/chat/pods/{pod}:7902/proxy/config");
    wait_for("a sidecar to refuse what it was given", SOON, || {
        let shown: Value = serde_json::from_str(&Kubectl::run(&["get", "--raw", &path])?)?;
        Ok(shown["refused"].is_string().then_some(()))
    })
    .unwrap();
    operator.scale(1).unwrap();
    wait_for_secret("the Secret to be as it was", sidecars.0, &sidecars.1, |data| *data == was);
    wait_for_repair(&sidecars.1);

    Kubectl::run(&["delete", "secret", &sidecars.1]).unwrap();
    // Secrets are not watched.
    look("chat", NAME);
    wait_for_secret("the Secret to be there again", sidecars.0, &sidecars.1, |data| *data == was);

    // The key of the certificates' authority is lost with this one; the sessions' keys are not.
    Kubectl::run(&["--namespace", own.0, "delete", "secret", &own.1]).unwrap();
    // Secrets are not watched.
    look("chat", NAME);
    wait_for_secret("the operator's Secret to be there again", own.0, &own.1, |data| {
        data["tag-keys.json"] == was["tag-keys.json"]
    });
    wait_for_repair(&own.1);
    wait_until_ready(cluster, chat);
    wait_for_secret("a certificate of the new authority", sidecars.0, &sidecars.1, |data| {
        data["tls.crt"].is_string() && data["tls.crt"] != was["tls.crt"]
    });
    wait_until_ready(cluster, chat);

    let (summary, _) = load.stop().unwrap();
    assert!(summary.ok, "{summary:?}");
    assert_eq!((summary.total.faults, summary.total.disconnects), (0, 0), "{summary:?}");
    assert_eq!(summary.handshakes.sent, summary.handshakes.good, "{summary:?}");
    let forwarded =
        chat.metric("socketio_sidecar_requests_total", r#"decision="forward",from="client""#).unwrap();
    assert!(forwarded > 50.0, "only {forwarded} requests were forwarded: no tag was needed");
}

fn services_are_put_back(chat: &Chat) {
    let peers = format!("{NAME}-socketio-peers");
    let hide = r#"{"spec":{"publishNotReadyAddresses":false}}"#;
    Kubectl::run(&["patch", "service", &peers, "--type=merge", "--patch", hide]).unwrap();
    wait_for("the peers' Service to be as it was", SOON, || {
        let service = Kubectl::json(&["get", "service", &peers])?;
        Ok((service["spec"]["publishNotReadyAddresses"] == true).then_some(()))
    })
    .unwrap();
    wait_for_repair(&peers);

    let back = r#"[{"op":"replace","path":"/spec/ports/0/targetPort","value":3000}]"#;
    Kubectl::run(&["patch", "service", chat.name(), "--type=json", "--patch", back]).unwrap();
    wait_for("the Service to lead to the sidecars again", SOON, || {
        Ok((target_port(chat.name()) == 7900).then_some(()))
    })
    .unwrap();
    wait_for_repair(&format!("Service {}", chat.name()));
}

fn another_manager_is_not_overruled(cluster: &SocketIoCluster, chat: &Chat) {
    let image = sidecar_image(chat);
    let set = |image: &str| {
        let container = format!("socketio-sidecar={image}");
        Kubectl::run(&["set", "image", &format!("deployment/{}", chat.name()), &container]).unwrap();
    };
    set("example.com/another:1");
    cluster.wait_until("say Conflict", SOON, |it| it.to_string().contains(r#""reason":"Conflict""#)).unwrap();
    let said = cluster.condition("Ready").unwrap();
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("conflict with \"kubectl-set\""), "{message}");
    assert!(message.contains("; undo what that manager changed"), "{message}");
    let (writes, _) = work();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(sidecar_image(chat), "example.com/another:1", "nothing is forced");
    assert_eq!((work().0, warnings("Conflict")), (writes, 1), "{:#?}", events("chat", NAME));
    set(image.as_str().unwrap());
    wait_until_ready(cluster, chat);
}

fn the_users_own_manifests_can_be_applied_again(cluster: &SocketIoCluster, chat: &Chat) {
    let pods = chat.pods().unwrap();
    let file = manifest();
    let file = file.to_str().unwrap();
    for how in [&["apply", "--filename"][..], &["apply", "--server-side", "--force-conflicts", "--filename"]]
    {
        Kubectl::run(&[how, &[file]].concat()).unwrap();
        wait_for("the Service to lead to the sidecars again", SOON, || {
            Ok((target_port(chat.name()) == 7900).then_some(()))
        })
        .unwrap();
        assert!(sidecar_image(chat).is_string(), "{how:?} takes out what it does not know of");
    }
    wait_until_ready(cluster, chat);
    let now = chat.pods().unwrap();
    assert!(now.iter().all(|pod| pods.contains(pod)), "no pod is new: {pods:?}, then {now:?}");
}

fn the_sidecar_is_put_in_again_once(cluster: &SocketIoCluster, chat: &Chat) {
    replace_deployment();
    wait_for_repair("the sidecar had been taken out of Deployment");
    chat.wait_until_ready().unwrap();
    wait_until_ready(cluster, chat);
    assert!(sidecar_image(chat).is_string());
    assert_eq!(warnings("InjectionContested"), 0);
}

fn who_takes_it_out_again_is_given_way_to(cluster: &SocketIoCluster, chat: &Chat) {
    replace_deployment();
    cluster
        .wait_until("give way", SOON, |it| it.to_string().contains(r#""reason":"InjectionContested""#))
        .unwrap();
    cluster
        .wait_until("lead traffic past the sidecars", Duration::from_secs(90), |it| {
            it["status"]["step"] == "Injecting"
        })
        .unwrap();
    wait_for("the Service to be as it was", SOON, || Ok((target_port(chat.name()) == 3000).then_some(())))
        .unwrap();
    let contested = cluster.condition("SidecarInjected").unwrap();
    assert_eq!((&contested["status"], &contested["reason"]), (&json!("False"), &json!("InjectionContested")));
    let message = contested["message"].as_str().unwrap();
    assert!(
        message.contains("taken out of chat twice within ten minutes, so it is not put in again;"),
        "{message}"
    );
    assert_one_sentence(message);
    assert_eq!(cluster.condition("TrafficRouted").unwrap()["status"], "False");

    chat.wait_until_ready().unwrap();
    let (writes, _) = work();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!((work().0, warnings("InjectionContested")), (writes, 1), "{:#?}", events("chat", NAME));
    assert_eq!(sidecar_image(chat), Value::Null);

    cluster.change(&json!({"drain": {"deadlineSeconds": 11}})).unwrap();
    wait_for("the sidecar to be put in again", SOON, || Ok(sidecar_image(chat).is_string().then_some(())))
        .unwrap();
}
