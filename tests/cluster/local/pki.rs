//! The cluster's certificates, made anew at each start.
//!
//! One authority signs all: who may do what follows from the names that Kubernetes gives a
//! meaning to (<https://kubernetes.io/docs/setup/best-practices/certificates/>).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use super::services::{NODE_IP, NODE_NAME};

const API_SERVER: &str = "https://10.88.0.2:6443";

/// The authority that signs a cluster's certificates.
pub(crate) struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
struct Signed {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "kubernetes-ca");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem(), issuer: Issuer::new(params, key) })
    }

    fn sign(&self, name: &str, group: Option<&str>, addresses: &[&str]) -> Result<Signed> {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        let server = !addresses.is_empty();
        let mut params = CertificateParams::new(addresses)?;
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match server {
            true => ExtendedKeyUsagePurpose::ServerAuth,
            false => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Signed { certificate, key: key.serialize_pem() })
    }

    /// A kubeconfig for the user `name`, with everything in it.
    fn kubeconfig(&self, name: &str, group: Option<&str>) -> Result<String> {
        let signed = self.sign(name, group, &[])?;
        // YAML is a superset of JSON.
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "cluster", "cluster": {
                "server": API_SERVER,
                "certificate-authority-data": STANDARD.encode(&self.certificate),
            } }],
            "users": [{ "name": name, "user": {
                "client-certificate-data": STANDARD.encode(signed.certificate),
                "client-key-data": STANDARD.encode(signed.key),
            } }],
            "contexts": [{ "name": "cluster", "context": { "cluster": "cluster", "user": name } }],
            "current-context": "cluster",
        });
        Ok(serde_json::to_string_pretty(&config)?)
    }
}

/// Writes certificates to `etc/pki`, the components' kubeconfigs to `etc`, and the
/// administrator's to `admin`.
pub(crate) fn write(etc: &Path, admin: &Path) -> Result<()> {
    let pki = etc.join("pki");
    fs::create_dir_all(&pki).with_context(|| format!("{} cannot be made", pki.display()))?;
    let authority = Authority::new()?;
    secret(&pki.join("ca.crt"), &authority.certificate)?;
    secret(&pki.join("ca.key"), &authority.key)?;

    let api_server = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        "10.96.0.1",
        NODE_IP,
    ];
    let certificates = [
        ("kube-apiserver", "kube-apiserver", None, api_server.as_slice()),
        ("kubelet-server", NODE_NAME, None, &[NODE_NAME, NODE_IP]),
        ("kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters"), &[]),
    ];
    for (file, name, group, addresses) in certificates {
        let signed = authority.sign(name, group, addresses)?;
        secret(&pki.join(format!("{file}.crt")), &signed.certificate)?;
        secret(&pki.join(format!("{file}.key")), &signed.key)?;
    }
    let service_accounts = KeyPair::generate()?;
    secret(&pki.join("service-accounts.key"), &service_accounts.serialize_pem())?;
    secret(&pki.join("service-accounts.pub"), &service_accounts.public_key_pem())?;

    let node = format!("system:node:{NODE_NAME}");
    let users = [
        ("kube-controller-manager", "system:kube-controller-manager", None),
        ("kube-scheduler", "system:kube-scheduler", None),
        ("kubelet", node.as_str(), Some("system:nodes")),
        ("kube-proxy", "system:kube-proxy", None),
        ("coredns", "system:coredns", None),
    ];
    for (file, name, group) in users {
        secret(&etc.join(format!("{file}.kubeconfig")), &authority.kubeconfig(name, group)?)?;
    }
    secret(admin, &authority.kubeconfig("admin", Some("system:masters"))?)
}

/// Writes a file that only root reads.
fn secret(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .with_context(|| format!("{} cannot be written", path.display()))
}
