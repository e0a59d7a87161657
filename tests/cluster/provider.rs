//! Where a cluster comes from, and what can be done with one that runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::components;
use crate::kind;
use crate::local::Running;
use crate::programs;
use crate::report::say;

/// The variable that tells commands where their cluster comes from.
const PROVIDER: &str = "CLUSTER_PROVIDER";

/// Where a new cluster comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// It runs already, and belongs to the person who set KUBECONFIG.
    Own(PathBuf),
    /// kind, in Docker.
    Kind,
    /// Upstream's components on this machine.
    Local,
}

impl Provider {
    /// A cluster of one's own comes first, then Docker, then this machine.
    pub(crate) async fn choose() -> Self {
        match own_kubeconfig() {
            Some(kubeconfig) => Self::Own(kubeconfig),
            None if kind::is_available().await => Self::Kind,
            None => Self::Local,
        }
    }
}

/// A cluster that runs.
#[derive(Clone, Debug)]
pub(crate) enum Cluster {
    /// The one that KUBECONFIG names.
    Own { kubeconfig: PathBuf },
    /// kind's.
    Kind { name: String, kubeconfig: PathBuf },
    /// This machine's.
    Local(Running),
}

impl Cluster {
    /// The cluster that runs under `name`, or that KUBECONFIG names.
    pub(crate) async fn running(name: &str) -> Result<Self> {
        let own = own_kubeconfig();
        if let Some(running) = Running::find(name)
            && own.as_ref().is_none_or(|own| *own == running.kubeconfig())
        {
            return Ok(Self::Local(running));
        }
        // Within `cluster run`, KUBECONFIG names kind's cluster.
        if std::env::var(PROVIDER).as_deref() == Ok("kind")
            && let Some(kubeconfig) = own
        {
            return Ok(Self::Kind { name: name.to_owned(), kubeconfig });
        }
        if let Some(kubeconfig) = own {
            return Ok(Self::Own { kubeconfig });
        }
        if kind::is_available().await && kind::exists(name).await? {
            let kubeconfig = kind::kubeconfig(name, &kind_kubeconfig(name)?).await?;
            return Ok(Self::Kind { name: name.to_owned(), kubeconfig });
        }
        bail!(
            "no cluster {name:?} runs; start one with `cluster up`, name another with `--name`, or set KUBECONFIG to one of yours"
        )
    }

    /// `argv` with everything that a command in the cluster gets.
    pub(crate) fn command(&self, name: &str, argv: &[String]) -> Result<Command> {
        let (program, arguments) = argv.split_first().context("There is no command to run")?;
        let (mut command, provider) = match self {
            Self::Own { kubeconfig } => (plain(program, kubeconfig), "kubeconfig"),
            Self::Kind { kubeconfig, .. } => (plain(program, kubeconfig), "kind"),
            Self::Local(running) => (running.enter(program), "local"),
        };
        command.args(arguments).env("CLUSTER_NAME", name).env(PROVIDER, provider).env("PATH", path()?);
        // It is ended with a signal and some patience, not by being dropped.
        command.kill_on_drop(false);
        Ok(command)
    }

    /// Puts the images of docker-archives on the nodes.
    pub(crate) async fn load_images(&self, archives: &[PathBuf]) -> Result<()> {
        for archive in archives {
            if !archive.is_file() {
                bail!("there is no image archive {}", archive.display());
            }
            match self {
                Self::Own { kubeconfig } => bail!(
                    "images cannot be put on the nodes of the cluster that KUBECONFIG ({}) names; build them from \
                     their Dockerfiles, push them to a registry that its nodes reach, and name them there in the manifests",
                    kubeconfig.display()
                ),
                Self::Kind { name, .. } => kind::load_image(name, archive).await?,
                Self::Local(running) => running.load_image(archive).await?,
            }
            say(format_args!("loaded {}", archive.display()));
        }
        Ok(())
    }

    /// Stops or starts a component.
    pub(crate) async fn component(&self, action: &str, name: &str) -> Result<()> {
        match self {
            Self::Local(running) => running.component(action, name).await,
            Self::Own { .. } | Self::Kind { .. } => bail!(
                "components can be stopped only in a cluster that runs on this machine without Docker; \
                 unset KUBECONFIG, stop Docker, and start one"
            ),
        }
    }

    /// Whether a cluster of one's own answers at all, before anything is tried with it.
    pub(crate) fn check_own(kubeconfig: &Path) -> Result<()> {
        if !kubeconfig.is_file() {
            bail!("KUBECONFIG names {}, which is no file; correct it or unset it", kubeconfig.display());
        }
        Ok(())
    }
}

/// Where kind's kubeconfig is written.
pub(crate) fn kind_kubeconfig(name: &str) -> Result<PathBuf> {
    let directory = components::cache()?;
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("The directory {} cannot be made", directory.display()))?;
    Ok(directory.join(format!("kind-{name}.kubeconfig")))
}

fn own_kubeconfig() -> Option<PathBuf> {
    std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn plain(program: &str, kubeconfig: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("KUBECONFIG", kubeconfig);
    command
}

/// PATH with kubectl.
fn path() -> Result<std::ffi::OsString> {
    let mut directories = components::path_of_tools(&components::cache()?.join("bin"));
    directories.extend(std::env::split_paths(&programs::search_path()).collect::<Vec<_>>());
    std::env::join_paths(directories).context("PATH cannot be extended; a directory in it has a colon")
}
