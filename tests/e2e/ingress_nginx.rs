//! Effects of the annotations for ingress-nginx, in a real nginx: the golden files' own values, put where
//! the controller's template puts them.
//!
//! The controller itself is not run. Its choice of a pod for a key is made in Lua; nginx' own
//! consistent hash stands in for it here, since it has the same properties.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use support::harness::wire::{get, header, post};
use support::harness::{Place, Scripted};

use nginx::{Nginx, Peer};

mod nginx;

/// The networks that are trusted where only some are.
const PROXIES: &[&str] = &["10.0.0.0/8"];

/// Networks that the controller's ConfigMap trusts by default: everyone.
const EVERYONE: &[&str] = &["0.0.0.0/0"];

/// A field of 8,000 bytes, in which a search that tries all ways to match does not come to an end:
/// nginx then gives up, and answers 500.
fn long(repeated: &str, end: &str) -> String {
    format!("X-Forwarded-For: {}{end}\r\n", repeated.repeat(8000 / repeated.len()))
}

#[tokio::test]
async fn every_form_loads_without_a_warning() {
    for form in ["none", "client-ip", "client-ip-first", "cookie", "cookie-cross-site"] {
        let nginx = Nginx::start(form, PROXIES, 3).await;
        let answer = nginx.ask(Peer::Client, "").await;
        assert_eq!(answer.status, 200, "{form}: {}", answer.head);
        nginx.end().await;
    }
}

#[tokio::test]
async fn first_takes_the_first_entry_that_is_an_address_and_else_the_tcp_peer() {
    let nginx = Nginx::start("client-ip-first", &[], 3).await;
    let peer = nginx.address(Peer::Client).to_string();
    let peer = peer.as_str();
    let cases: &[(&str, &str)] = &[
        ("", peer),
        ("X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
        ("x-forwarded-for: 198.51.100.7, 10.1.2.3, 192.0.2.1\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 203.0.113.66, 198.51.100.7\r\n", "203.0.113.66"), // forged, and believed
        ("X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 203.0.113.66\r\n", "198.51.100.7"),
        ("X-Real-IP: 203.0.113.66\r\nForwarded: for=203.0.113.66\r\n", peer),
        // Spaces and empty entries.
        ("X-Forwarded-For:198.51.100.7,10.1.2.3\r\n", "198.51.100.7"),
        ("X-Forwarded-For: \t 198.51.100.7 \t , 10.1.2.3\r\n", "198.51.100.7"),
        ("X-Forwarded-For: , ,198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For:\r\n", peer),
        ("X-Forwarded-For: ,\r\n", peer),
        ("X-Forwarded-For: \r\nX-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
        // Ports, which differ from connection to connection.
        ("X-Forwarded-For: 198.51.100.7:49152, 10.1.2.3:443\r\n", "198.51.100.7"),
        ("X-Forwarded-For: [2001:db8::7]:49152\r\n", "2001:db8::7"),
        // IPv6.
        ("X-Forwarded-For: 2001:db8::7, 10.1.2.3\r\n", "2001:db8::7"),
        ("X-Forwarded-For: [2001:DB8:0:0:8:800:200C:417A]\r\n", "2001:DB8:0:0:8:800:200C:417A"),
        ("X-Forwarded-For: ::1\r\n", "::1"),
        ("X-Forwarded-For: 64:ff9b::198.51.100.7\r\n", "64:ff9b::198.51.100.7"),
        ("X-Forwarded-For: ::ffff:198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For: [::FFFF:198.51.100.7]:49152\r\n", "198.51.100.7"),
        // No address.
        ("X-Forwarded-For: unknown, 198.51.100.7\r\n", peer),
        ("X-Forwarded-For: _hidden\r\n", peer),
        ("X-Forwarded-For: 198.51.100\r\n", peer),
        ("X-Forwarded-For: 198.51.100.7.8\r\n", peer),
        ("X-Forwarded-For: 198.51.100.7 10.1.2.3\r\n", peer),
        ("X-Forwarded-For: 198.51.100.7;drop\r\n", peer),
        ("X-Forwarded-For: $remote_addr${host}\"'{};\\1%00\r\n", peer),
        ("X-Forwarded-For: fade\r\n", peer),
        ("X-Forwarded-For: \u{fc}\u{1f98a}\r\n", peer),
    ];
    for (fields, key) in cases {
        assert_eq!(nginx.key(Peer::Client, fields).await, *key, "{fields:?}");
    }
    for repeated in ["1", "1.", "1.1.1.1", ":", ":1", "::ffff:", "a:", ",", " ", ", ", "[", "1.1.1.1:", "x"] {
        for end in ["", "!", ",", ":1x"] {
            let key = nginx.key(Peer::Client, &long(repeated, end)).await;
            assert!(key.len() < 46, "{repeated:?} {end:?} is {key}");
        }
    }
    nginx.end().await;
}

#[tokio::test]
async fn the_snippet_changes_nothing_but_the_key() {
    let (with, without) =
        (Nginx::start("client-ip-first", &[], 1).await, Nginx::start("client-ip", &[], 1).await);
    for fields in ["", "X-Forwarded-For: 198.51.100.7\r\n", "X-Forwarded-For: unknown\r\n"] {
        let fields = format!("{fields}Upgrade: websocket\r\nConnection: Upgrade\r\n");
        let (with, without) =
            (with.ask(Peer::Client, &fields).await, without.ask(Peer::Client, &fields).await);
        let seen = "pod 1, GET / HTTP/1.1, Host: test, Upgrade: websocket, Connection: upgrade";
        assert_eq!(with.text(), seen, "{fields:?}");
        assert_eq!(without.text(), seen, "{fields:?}");
    }
    with.end().await;
    without.end().await;
}

#[tokio::test]
async fn trusted_believes_proxies_and_no_one_else() {
    let nginx = Nginx::start("client-ip", PROXIES, 3).await;
    let (client, proxy) = (nginx.address(Peer::Client).to_string(), nginx.address(Peer::Proxy).to_string());
    let (client, proxy) = (client.as_str(), proxy.as_str());
    // What a client says itself counts for nothing.
    for fields in [
        "",
        "X-Forwarded-For: 203.0.113.66\r\n",
        "X-Forwarded-For: 203.0.113.66, 10.1.2.3\r\n",
        "X-Forwarded-For: 203.0.113.66\r\nX-Forwarded-For: 198.51.100.7\r\n",
        "X-Real-IP: 203.0.113.66\r\nForwarded: for=203.0.113.66\r\n",
    ] {
        assert_eq!(nginx.key(Peer::Client, fields).await, client, "{fields:?}");
    }
    let cases: &[(&str, &str)] = &[
        ("", proxy),
        ("X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
        // The entries before the one that the outermost proxy wrote are the client's: forged, or not.
        ("X-Forwarded-For: 203.0.113.66, 198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 203.0.113.66\r\nX-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 203.0.113.66, 198.51.100.7, 10.1.2.3, 10.4.5.6\r\n", "198.51.100.7"),
        ("X-Forwarded-For: unknown, 198.51.100.7\r\n", "198.51.100.7"),
        ("X-Forwarded-For:   198.51.100.7   ,10.1.2.3\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 198.51.100.7:49152\r\n", "198.51.100.7"),
        ("X-Forwarded-For: 2001:db8::7\r\n", "2001:db8::7"),
        ("X-Forwarded-For: [2001:db8::7]:49152\r\n", "2001:db8::7"),
        ("X-Forwarded-For: ::ffff:198.51.100.7\r\n", "::ffff:198.51.100.7"),
        ("X-Forwarded-For: , ,198.51.100.7, \r\n", "198.51.100.7"),
        ("X-Forwarded-For: \r\n", proxy),
        ("X-Forwarded-For: 198.51.100.7, unknown\r\n", proxy),
        ("X-Forwarded-For: $host\"'{};\r\n", proxy),
    ];
    for (fields, key) in cases {
        assert_eq!(nginx.key(Peer::Proxy, fields).await, *key, "{fields:?}");
    }
    for repeated in ["1", ":", ",", " ", "x", "1.1.1.1,"] {
        let key = nginx.key(Peer::Proxy, &long(repeated, "!")).await;
        assert!(key.len() < 46, "{repeated:?} is {key}");
    }
    nginx.end().await;
}

#[tokio::test]
async fn without_networks_to_trust_all_behind_a_proxy_have_its_address_and_with_all_networks_anyone_lies() {
    let forged = "X-Forwarded-For: 203.0.113.66, 198.51.100.7\r\n";
    let nobody = Nginx::start("client-ip", &[], 3).await;
    for peer in [Peer::Client, Peer::Proxy] {
        assert_eq!(nobody.key(peer, forged).await, nobody.address(peer).to_string());
    }
    let everyone = Nginx::start("client-ip", EVERYONE, 3).await;
    for peer in [Peer::Client, Peer::Proxy] {
        assert_eq!(everyone.key(peer, forged).await, "203.0.113.66");
    }
    nobody.end().await;
    everyone.end().await;
}

#[tokio::test]
async fn on_one_connection_of_several_clients_each_request_has_its_own_key() {
    for form in ["client-ip", "client-ip-first"] {
        let nginx = Nginx::start(form, PROXIES, 3).await;
        let mut connection = nginx.connect(Peer::Proxy).await;
        let proxy = nginx.address(Peer::Proxy).to_string();
        let said = |client: &str| format!("X-Forwarded-For: {client}\r\n");
        for client in ["198.51.100.7", "198.51.100.8", "", "2001:db8::7", "198.51.100.7", ""] {
            connection.send(nginx::request(&said(client))).await;
            let answer = connection.answer().await;
            assert_eq!(header(&answer.head, "connection"), Some("keep-alive"), "{form}");
            let expected = if client.is_empty() { &proxy } else { client };
            assert_eq!(nginx::key_of(&answer), expected, "{form}");
        }
        nginx.end().await;
    }
}

/// The pod of each of 300 clients.
async fn pods_of_300_clients(nginx: &Nginx) -> Vec<String> {
    let mut connection = nginx.connect(Peer::Proxy).await;
    let mut pods = Vec::new();
    for number in 0..300 {
        let client = IpAddr::from([198, 51, 100 + u8::try_from(number / 150).unwrap(), (number % 150) as u8]);
        connection.send(nginx::request(&format!("X-Forwarded-For: {client}\r\n"))).await;
        let answer = connection.answer().await.text();
        pods.push(answer.split(',').next().unwrap_or_default().to_owned());
    }
    pods
}

#[tokio::test]
async fn a_client_stays_on_its_pod_and_another_pod_takes_over_only_its_share() {
    for form in ["client-ip", "client-ip-first"] {
        let three = Nginx::start(form, PROXIES, 3).await;
        let before = pods_of_300_clients(&three).await;
        assert_eq!(pods_of_300_clients(&three).await, before, "{form}");
        let mut clients: BTreeMap<&str, usize> = BTreeMap::new();
        before.iter().for_each(|pod| *clients.entry(pod).or_default() += 1);
        assert_eq!(clients.len(), 3, "{form}: {clients:?}");
        assert!(clients.values().all(|clients| *clients >= 40), "{form}: {clients:?}");

        let four = three.restart(4).await;
        let after = pods_of_300_clients(&four).await;
        let moved: Vec<&str> =
            before.iter().zip(&after).filter(|(b, a)| b != a).map(|(_, after)| after.as_str()).collect();
        assert!((20..150).contains(&moved.len()), "{form}: {} of 300 moved", moved.len());
        assert_eq!(BTreeSet::from_iter(moved), BTreeSet::from(["pod 4"]), "{form}");
        four.end().await;
    }
}

#[tokio::test]
async fn without_affinity_one_client_comes_to_all_pods() {
    let nginx = Nginx::start("none", PROXIES, 3).await;
    let mut pods = BTreeSet::new();
    for _ in 0..6 {
        let answer = nginx.ask(Peer::Proxy, "X-Forwarded-For: 198.51.100.7\r\n").await.text();
        pods.insert(answer.split(',').next().unwrap_or_default().to_owned());
    }
    assert_eq!(pods.len(), 3, "{pods:?}");
    nginx.end().await;
}

#[tokio::test]
async fn a_pod_that_cannot_be_reached_is_passed_over_even_by_a_post() {
    let nginx = Nginx::start_with("none", Place::new().app()).await;
    for request in [get("/"), post("/", "4hello")] {
        for _ in 0..4 {
            let mut connection = nginx.connect(Peer::Client).await;
            connection.send(&request).await;
            let answer = connection.answer().await;
            assert_eq!((answer.status, answer.text().starts_with("pod 1,")), (200, true), "{}", answer.head);
        }
    }
    nginx.end_having_said("Connection refused").await;
}

#[tokio::test]
async fn a_post_that_was_sent_and_an_answer_of_whatever_status_are_final() {
    for (request, answer, status) in [
        (post("/", "4hello"), "", 502),
        (post("/", "4hello"), "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 503),
        (get("/"), "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 503),
        (get("/"), "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", 502),
        (get("/"), "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", 400),
    ] {
        let place = Place::new();
        let pod = Scripted::bind(place.app()).await;
        let nginx = Nginx::start_with("none", place.app()).await;
        let mut client = nginx.connect(Peer::Client).await;
        client.send(&request).await;
        // The pod that the test plays is the first, and gets the first request.
        let mut connection = pod.accept().await;
        let head = connection.head().await;
        connection.body(&head).await;
        connection.send(answer).await;
        drop(connection);
        assert_eq!(client.answer().await.status, status, "{request:?} {answer:?}");
        match answer {
            "" => nginx.end_having_said("prematurely closed").await,
            _ => nginx.end().await,
        }
    }
}
