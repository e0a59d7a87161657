//! The small Go module from which a component is built.
//!
//! Kubernetes' own go.mod replaces its staging modules (`k8s.io/api`, …) by directories that a
//! module's zip does not have, and Go ignores the `replace` lines of a dependency anyway. Each
//! is published under v0 with the same minor and patch number, so the module made here replaces
//! them by those.

/// The go.mod for building a program of `module` at `version`.
///
/// `upstream` is that module's own go.mod.
pub(crate) fn go_mod(name: &str, module: &str, version: &str, upstream: &str) -> String {
    let go = directive(upstream, "go").unwrap_or("1.26.0");
    let mut text = format!("module socketio-affinity/cluster/{name}\n\ngo {go}\n\n");
    // Defaults of the Go runtime that the program was tested with.
    if let Some(debug) = directive(upstream, "godebug") {
        text.push_str(&format!("godebug {debug}\n\n"));
    }
    text.push_str(&format!("require {module} {version}\n"));
    let published = version.replacen("v1.", "v0.", 1);
    for staging in staging_modules(upstream) {
        text.push_str(&format!("\nreplace {staging} => {staging} {published}\n"));
    }
    text
}

/// The modules that `upstream` replaces by directories of its own.
fn staging_modules(upstream: &str) -> impl Iterator<Item = &str> {
    upstream
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("replace ").split_once(" => "))
        .filter(|(_, replacement)| replacement.starts_with("./staging/"))
        .map(|(module, _)| module.trim())
}

fn directive<'a>(go_mod: &'a str, name: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_modules_become_their_published_versions() {
        let upstream = "module k8s.io/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\n\
                        require k8s.io/api v0.0.0\n\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\
                        \texample.org/other => example.org/fork v1.0.0\n)\n";
        assert_eq!(
            go_mod("kubernetes", "k8s.io/kubernetes", "v1.36.3", upstream),
            "module socketio-affinity/cluster/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\n\
             require k8s.io/kubernetes v1.36.3\n\nreplace k8s.io/api => k8s.io/api v0.36.3\n"
        );
    }

    #[test]
    fn a_plain_module_is_only_required() {
        assert_eq!(
            go_mod(
                "etcd",
                "go.etcd.io/etcd/server/v3",
                "v3.6.16",
                "go 1.25\n\nreplace go.etcd.io/etcd => ./FORBIDDEN\n"
            ),
            "module socketio-affinity/cluster/etcd\n\ngo 1.25\n\nrequire go.etcd.io/etcd/server/v3 v3.6.16\n"
        );
    }
}
