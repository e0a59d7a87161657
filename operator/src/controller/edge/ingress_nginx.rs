//! Annotations for `kubernetes/ingress-nginx` (v1.15.1 is its last release).
//!
//! # Invariants
//! - All that is written passes the controller's own validation, and needs no more than its default
//!   settings, but for one form: [`ClientIpSource::First`], whose snippet an administrator must allow.
//! - A snippet goes into nginx's configuration as it is, and since 2025 the admission webhook no longer
//!   lets nginx check it first: one error in it, and the controller loads no configuration any more. So
//!   the snippet is a constant, and a real nginx loads it in the tests.
//!
//! # What is left out, and why
//! - `upstream-hash-by-subset`: it chooses a pod at random within the subset.
//! - `session-cookie-path`: without it, the cookie is valid for the path of the Ingress, hence sent with
//!   every request for it. With the narrower `app.path`, requests for a page beside it would come
//!   without the cookie, and each answer would give out another one.
//! - `proxy-buffering` and `proxy-request-buffering`: a poll is answered at once and as a whole, and a
//!   WebSocket is not buffered in either case.

use std::collections::BTreeMap;

use super::Program;
use crate::crd::v1alpha1::{ClientIpSource, Cookie, SameSite, SessionAffinity, SessionAffinityType};

/// `spec.controller` of its IngressClasses.
pub(super) const CONTROLLER: &str = "k8s.io/ingress-nginx";

/// The annotation whose text becomes part of nginx's configuration.
pub(crate) const SNIPPET_ANNOTATION: &str = "nginx.ingress.kubernetes.io/configuration-snippet";

/// In seconds: how long a connection may be silent. The default of 60 cuts WebSockets of servers with a
/// longer `pingInterval`, and polls, which hang for as long.
const TIMEOUT: &str = "3600";

/// A request goes to a second pod if the first cannot be reached. nginx cannot tell that from a
/// connection that broke later, but of a request with side effects it knows whether it was sent, and
/// sends no POST twice. It may send a poll twice, whose session has then ended anyway: Engine.IO closes
/// it when a poll is cut off. `off` would be worse: with one pod gone, requests for sessions on others
/// would fail. Said, since the default that this repeats can be changed for all Ingresses at once, and
/// an answer such as 503 must never be a reason.
const NEXT_UPSTREAM: &str = "error timeout";

/// Sets `$client_ip` to the first entry of X-Forwarded-For if that is an address, else to the address of
/// the TCP peer (or what the trusted proxies say it is).
///
/// - Empty entries do not count (RFC 9110, section 5.6.1), `::ffff:192.0.2.1` is `192.0.2.1`, and a port,
///   as some load balancers write it, is left out: it differs with each connection.
/// - Each repetition is bounded or possessive: the field is up to 8 KiB of the client's choice.
/// - `set` alone is safe in an `if` (nginx makes such an `if` a location of its own, which inherits all
///   that is around it). No `location`, no `root`, no `'`: words that administrators are told to block.
const CLIENT_IP: &str = r#"set $client_ip $remote_addr;
if ($http_x_forwarded_for ~* "^[\s,]*+\[?(?:::ffff:)?(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[\da-f]{0,4}:[\da-f:.]{1,40})\]?(?::\d{1,5})?\s*+(?:,|$)") {
  set $client_ip $1;
}
"#;

/// The configuration of ingress-nginx.
pub(super) fn program(affinity: &SessionAffinity) -> Program {
    let mut annotations = Annotations(BTreeMap::new());
    annotations.say("proxy-read-timeout", TIMEOUT);
    annotations.say("proxy-send-timeout", TIMEOUT);
    annotations.say("proxy-next-upstream", NEXT_UPSTREAM);
    let (requires, caution) = match affinity.r#type {
        SessionAffinityType::None => (DEFAULTS, None),
        SessionAffinityType::ClientIP => match affinity.forwarded_for.unwrap_or_default() {
            ClientIpSource::Trusted => {
                annotations.say("upstream-hash-by", "$remote_addr");
                (TRUSTED_PROXIES, None)
            }
            ClientIpSource::First => {
                annotations.say("configuration-snippet", CLIENT_IP);
                annotations.say("upstream-hash-by", "$client_ip");
                (SNIPPETS, Some(FORGEABLE))
            }
        },
        SessionAffinityType::Cookie => {
            annotations.say_cookie(&affinity.cookie.clone().unwrap_or_default());
            (DEFAULTS, Some(COOKIE_LOST))
        }
    };
    Program { annotations: annotations.0, requires, caution }
}

const DEFAULTS: &str = "ingress-nginx allows this by default; where its ConfigMap says annotations-risk-level: Low, it \
    refuses the Ingress, or ignores it.";

const TRUSTED_PROXIES: &str = "Where clients reach ingress-nginx through another proxy, its ConfigMap must say \
    enable-real-ip: \"true\" and, in proxy-real-ip-cidr, the networks of those proxies. Without the first, all clients \
    behind one proxy go to one pod; without the second, a client can choose its pod. Where it says \
    annotations-risk-level: Medium or Low, it refuses the Ingress, or ignores it.";

const SNIPPETS: &str = "The ConfigMap of ingress-nginx must say allow-snippet-annotations: \"true\" and \
    annotations-risk-level: Critical, and have no annotation-value-word-blocklist with {, } or \". Otherwise its \
    webhook refuses the Ingress; where the webhook is off, the Ingress is ignored, or all clients go to one pod.";

const FORGEABLE: &str = "A client writes the first entry of X-Forwarded-For itself, so it can choose its pod, and many \
    can choose the same; forwardedFor: Trusted does not allow that.";

const COOKIE_LOST: &str = "Clients that keep no cookies (Node.js, and pages of another site without withCredentials) \
    get another pod with each request, and the sidecars forward more.";

struct Annotations(BTreeMap<String, String>);

impl Annotations {
    fn say(&mut self, name: &str, value: &str) {
        self.0.insert(format!("nginx.ingress.kubernetes.io/{name}"), value.to_owned());
    }

    fn say_cookie(&mut self, cookie: &Cookie) {
        self.say("affinity", "cookie");
        // The other mode, `balanced`, moves clients when pods are added.
        self.say("affinity-mode", "persistent");
        self.say("session-cookie-name", &cookie.name);
        // Any pod will do while the one that the cookie names cannot be reached.
        self.say("session-cookie-change-on-failure", "true");
        let same_site = match cookie.same_site {
            SameSite::Lax => "Lax",
            SameSite::Strict => "Strict",
            SameSite::None => {
                // Browsers refuse it otherwise. In the other cases the cookie is Secure with HTTPS.
                self.say("session-cookie-secure", "true");
                "None"
            }
        };
        self.say("session-cookie-samesite", same_site);
    }
}

#[cfg(test)]
mod tests;
