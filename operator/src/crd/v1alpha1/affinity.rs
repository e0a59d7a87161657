//! Of the spec: where the edge sends the requests of one client.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the edge sends the requests of one client.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'ClientIP' || !has(self.forwardedFor)")
    .message("forwardedFor goes with type ClientIP only; remove it or set type: ClientIP"))]
#[x_kube(validation = Rule::new("self.type == 'Cookie' || !has(self.cookie)")
    .message("cookie goes with type Cookie only; remove it or set type: Cookie"))]
pub struct SessionAffinity {
    /// None leaves it to the edge, which is best: the sidecar makes up for it.
    #[serde(default)]
    pub r#type: SessionAffinityType,
    /// With ClientIP, who a client is. (In the schema an optional enum has the description of its type.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<ClientIpSource>,
    /// With Cookie, its attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Cookie>,
}

/// How the edge tells clients apart.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionAffinityType {
    /// It does not.
    #[default]
    None,
    /// By their address.
    ClientIP,
    /// By a cookie.
    Cookie,
}

/// With ClientIP, who a client is to the edge: Trusted (the default) is the address that the edge's own
/// settings for trusted proxies give; First is the first entry of the header X-Forwarded-For, which clients can
/// forge. What the application finds in that header is edge.forwardedFor.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIpSource {
    /// From the edge's own settings for trusted proxies.
    #[default]
    Trusted,
    /// From the first entry of X-Forwarded-For, as Socket.IO's documentation shows it.
    First,
}

/// The cookie of the edge.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    /// Its name.
    #[serde(default = "default_cookie_name")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]+$')")
        .message("a cookie's name has letters, digits, _ and - only"))]
    pub name: String,
    /// `None` is needed where pages of another site connect, and makes the cookie Secure.
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

/// The attribute `SameSite` (RFC 6265bis, section 5.6.7).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// With links from other sites, not with their requests.
    #[default]
    Lax,
    /// Not with anything from other sites.
    Strict,
    /// Always.
    None,
}
