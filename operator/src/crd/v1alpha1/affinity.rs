//! Fields of `spec.edge.sessionAffinity`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Session affinity of the edge. The sidecars work without it; session affinity saves forwarding.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'ClientIP' || !has(self.forwardedFor)")
    .message("forwardedFor goes with type ClientIP only; remove it or set type: ClientIP"))]
#[x_kube(validation = Rule::new("self.type == 'Cookie' || !has(self.cookie)")
    .message("cookie goes with type Cookie only; remove it or set type: Cookie"))]
pub struct SessionAffinity {
    /// Key by which the edge chooses a pod. None leaves the choice to the edge. ClientIP uses the address of the
    /// client. Cookie uses a cookie of the edge. ClientIP and Cookie need edge.ingress. Default None.
    #[serde(default)]
    pub r#type: SessionAffinityType,
    /// Source of the client's address, with ClientIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<ClientIpSource>,
    /// Attributes of the cookie. The field requires type Cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Cookie>,
}

/// Key by which the edge chooses a pod.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionAffinityType {
    /// The edge chooses a pod by its own rule.
    #[default]
    None,
    /// The edge chooses a pod by the address of the client.
    ClientIP,
    /// The edge chooses a pod by a cookie.
    Cookie,
}

/// Source of the client's address for the choice of a pod. Trusted uses the address that the edge's settings for
/// trusted proxies give. First uses the first entry of X-Forwarded-For, which clients can forge. Default Trusted. The
/// field requires type ClientIP, and is not related to edge.forwardedFor.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIpSource {
    /// Address that the edge's settings for trusted proxies give.
    #[default]
    Trusted,
    /// First entry of X-Forwarded-For, as Socket.IO's documentation shows it.
    First,
}

/// Cookie of the edge.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    /// Name of the cookie. Default socketio-affinity.
    #[serde(default = "default_cookie_name")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]+$')")
        .message("a cookie's name has letters, digits, _ and - only"))]
    pub name: String,
    /// SameSite attribute of the cookie. Pages of another site can connect only with None, which also makes the
    /// cookie Secure. Default Lax.
    #[serde(default)]
    pub same_site: SameSite,
}

fn default_cookie_name() -> String {
    "socketio-affinity".to_owned()
}

impl Default for Cookie {
    fn default() -> Self {
        Self { name: default_cookie_name(), same_site: SameSite::default() }
    }
}

/// Attribute `SameSite` (RFC 6265bis, section 5.6.7).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// The cookie goes with links from other sites, not with their requests.
    #[default]
    Lax,
    /// The cookie goes with no request from other sites.
    Strict,
    /// The cookie goes with every request.
    None,
}
