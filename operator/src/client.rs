//! The connection to the API server, and how its errors are said.
//!
//! Every wait is bounded: connecting and writing by the numbers here, an answer's head by the
//! [`leader`](crate::leader)'s fence, and silence on a connection by more than any watch is silent.
//! Nothing is sent again behind the caller's back: the caller knows better whether that still makes sense.

use std::time::Duration;

use kube::{Client, Config, Error};

/// Longest wait for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for any progress of sending.
const WRITE: Duration = Duration::from_secs(10);
/// Longest silence; a watch ends sooner, after 290 s.
const SILENCE: Duration = Duration::from_secs(300);

/// A client for the cluster that KUBECONFIG names, or that this process is in. Connects at the first request.
///
/// # Errors
/// There is no such cluster, or its credentials cannot be read.
pub async fn client() -> Result<Client, Error> {
    let mut config = Config::infer().await.map_err(Error::InferConfig)?;
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(WRITE);
    config.read_timeout = Some(SILENCE);
    // Silence counts from the request, not from when its connection was last used.
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Client::try_from(config)
}

/// Words an error as one clause for people: the API server's message, or the chain of causes. Nothing of an
/// object that cannot be read is quoted.
#[must_use]
pub fn explain(error: &Error) -> String {
    let outermost: &dyn std::error::Error = match error {
        Error::Api(status) if !status.message.is_empty() => return status.message.clone(),
        // The text quotes what it refuses, which may be of a Secret.
        Error::SerdeError(error) => {
            let (line, column) = (error.line(), error.column());
            return format!("its answer is not of the expected shape (line {line}, column {column})");
        }
        // Its own text would only say that an error follows.
        Error::Service(source) => source.as_ref(),
        other => other,
    };
    let mut said = outermost.to_string();
    let mut next = outermost.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        let quoting = serde_json::from_str::<u8>("\"secret\"").unwrap_err();
        assert!(quoting.to_string().contains("secret"));
        assert_eq!(
            explain(&Error::SerdeError(quoting)),
            "its answer is not of the expected shape (line 1, column 8)"
        );
    }

    #[test]
    fn an_answer_is_explained_by_its_message_and_a_failure_by_its_causes_once_each() {
        let refused = Status::failure("leases is forbidden", "Forbidden").with_code(403).boxed();
        assert_eq!(explain(&Error::Api(refused)), "leases is forbidden");
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        assert_eq!(explain(&Error::Service(Box::new(io))), "connection refused");
    }
}
