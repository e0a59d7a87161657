//! How many requests the API server has answered, by its own count.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use kube::Client;

/// Requests, by verb and resource, such as `GET services`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Requests(BTreeMap<String, f64>);

impl Requests {
    /// All since its start.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        let text = text(client).await.context("the API server's metrics cannot be read")?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut requests = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{")) {
            let Some((labels, count)) = line.rsplit_once("} ") else { continue };
            let Ok(count) = count.parse::<f64>() else { continue };
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                rest.split('"').next()
            };
            let (verb, resource) = (label("verb").unwrap_or_default(), label("resource").unwrap_or_default());
            let part = label("subresource").filter(|part| !part.is_empty());
            let part = part.map(|part| format!("/{part}")).unwrap_or_default();
            *requests.entry(format!("{verb} {resource}{part}")).or_default() += count;
        }
        Self(requests)
    }

    /// Those since `earlier`, of resources that say something of the operator's work.
    ///
    /// Leases are kept by others too, and whoever measures reads metrics, which have no resource.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let rest = self.0.iter().filter_map(|(name, count)| {
            let more = count - earlier.0.get(name).copied().unwrap_or_default();
            let counts = more > 0.0 && !name.contains(" leases") && !name.ends_with(' ');
            counts.then(|| (name.clone(), more))
        });
        Self(rest.collect())
    }

    /// Those that change something.
    pub(crate) fn writes(&self) -> f64 {
        self.count(|verb| !matches!(verb, "GET" | "LIST" | "WATCH"))
    }

    /// All but the watches, each of which is one long request.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0
            .iter()
            .filter(|(name, _)| !name.starts_with("WATCH"))
            .map(|(name, count)| (name.as_str(), *count))
    }

    fn count(&self, counts: impl Fn(&str) -> bool) -> f64 {
        let verb = |name: &str| name.split(' ').next().is_some_and(&counts);
        self.0
            .iter()
            .filter(|(name, _)| verb(name))
            .map(|(_, count)| count)
            .fold(0.0, |sum, count| sum + count)
    }
}

async fn text(client: &Client) -> Result<String> {
    let request = kube::core::Request::new("").get("metrics", &Default::default());
    let mut request = request?;
    *request.uri_mut() = "/metrics".parse()?;
    Ok(client.request_text(request).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_summed_over_what_does_not_matter_and_leases_are_left_out() {
        let before =
            "apiserver_request_total{code=\"200\",resource=\"pods\",subresource=\"\",verb=\"GET\"} 3\n";
        let after = "# HELP apiserver_request_total x\n\
            apiserver_request_total{code=\"200\",resource=\"pods\",subresource=\"\",verb=\"GET\"} 5\n\
            apiserver_request_total{code=\"404\",resource=\"pods\",subresource=\"\",verb=\"GET\"} 1\n\
            apiserver_request_total{code=\"200\",resource=\"pods\",subresource=\"status\",verb=\"PATCH\"} 2\n\
            apiserver_request_total{code=\"200\",resource=\"pods\",subresource=\"\",verb=\"WATCH\"} 2\n\
            apiserver_request_total{code=\"200\",resource=\"leases\",subresource=\"\",verb=\"PUT\"} 9\n";
        let more = Requests::parse(after).since(&Requests::parse(before));
        assert_eq!(more.calls().collect::<Vec<_>>(), [("GET pods", 3.0), ("PATCH pods/status", 2.0)]);
        assert!((more.writes() - 2.0).abs() < f64::EPSILON);
    }
}
