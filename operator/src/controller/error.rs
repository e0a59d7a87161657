//! Errors of a reconcile, each with a category: for the metric, the Event, and when to try again.

use std::fmt::Display;
use std::time::Duration;

use super::condition::Reason;
use crate::client::explain;
use crate::credentials::CredentialsFailure;

/// Time until the next attempt after an error whose reason names none.
const DEFAULT_RETRY: Duration = Duration::from_secs(10);

/// The error that ended a reconcile early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused something, or could not be asked.
    #[error("{doing} failed: {}", explain(.source))]
    Api {
        /// The action that failed, such as `reading Deployment chat`.
        doing: String,
        /// The answer of the API server.
        source: Box<kube::Error>,
    },
    /// Keys or certificates could not be made.
    #[error("{0}")]
    Credentials(String),
    /// An object is not of the shape that its kind has, or cannot be written so.
    #[error("{what} is not what it should be: {why}")]
    Unreadable {
        /// The object that is damaged.
        what: String,
        /// The damage.
        why: String,
    },
}

impl Error {
    /// Says what was being done when the API server answered.
    pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api { doing, source: Box::new(source) }
    }

    /// Says what was being read or written.
    pub(crate) fn unreadable<E: Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |why| Self::Unreadable { what, why: why.to_string() }
    }

    /// The reason of a condition that tells of this error.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Api { source, .. } if is_admission(source) => Reason::RefusedByAdmission,
            Self::Api { source, .. } => match code(source) {
                401 => Reason::Unauthorized,
                403 => Reason::Forbidden,
                404 => Reason::NotFound,
                409 if is_about_managers(source) => Reason::Conflict,
                409 => Reason::Outdated,
                400 | 422 => Reason::Invalid,
                429 => Reason::Throttled,
                0 => Reason::Unreachable,
                _ => Reason::ApiServer,
            },
            Self::Credentials(_) => Reason::Credentials,
            Self::Unreadable { .. } => Reason::Unreadable,
        }
    }

    /// A word for metrics and logs: the reason.
    #[must_use]
    pub fn category(&self) -> &'static str {
        self.reason().as_str()
    }

    /// Advice for a person, where there is any.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self.reason() {
            Reason::Forbidden => Some(
                "grant it, for instance by installing the chart with this namespace among watchNamespaces; \
                 traffic goes on as before",
            ),
            Reason::RefusedByAdmission => {
                Some("change what refuses it, or the spec; traffic goes on as before")
            }
            Reason::Conflict => Some(
                "undo what that manager changed, or take it out of what it applies; nothing is forced, and traffic \
                 goes on as before",
            ),
            Reason::Invalid => Some("change the spec accordingly; traffic goes on as before"),
            _ => None,
        }
    }

    /// Somebody else was faster: the pass that their change makes sees it.
    pub(crate) fn is_outdated(&self) -> bool {
        self.reason() == Reason::Outdated
    }

    /// Time until the next attempt. What only a person can change is tried rarely.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.reason().retry().unwrap_or(DEFAULT_RETRY)
    }
}

impl From<CredentialsFailure> for Error {
    fn from(failure: CredentialsFailure) -> Self {
        Self::Credentials(failure.to_string())
    }
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    }
}

/// Another field manager has what is to be applied.
fn is_about_managers(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "FieldManagerConflict")
}

/// Webhooks and admission policies, Pod Security among them, say it in their message only.
fn is_admission(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            status.message.contains("admission webhook")
                || status.message.contains("denied request")
                || status.message.contains("PodSecurity")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, message: &str) -> Error {
        let status =
            kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
        Error::api("changing Deployment chat")(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn an_error_says_what_was_done_what_was_said_and_has_a_category() {
        let forbidden = error(403, "deployments.apps \"chat\" is forbidden");
        assert_eq!(
            forbidden.to_string(),
            "changing Deployment chat failed: deployments.apps \"chat\" is forbidden"
        );
        assert_eq!(forbidden.category(), "Forbidden");
        for (code, said) in [
            (400, "admission webhook \"x\" denied the request"),
            (403, "violates PodSecurity \"restricted:latest\""),
            (422, "ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no"),
        ] {
            assert_eq!(error(code, said).category(), "RefusedByAdmission");
        }
        for (code, category) in [(409, "Outdated"), (422, "Invalid"), (500, "ApiServer"), (429, "Throttled")]
        {
            assert_eq!(error(code, "").category(), category);
        }
    }

    #[test]
    fn another_manager_is_a_conflict_and_another_version_is_none() {
        let status = serde_json::json!({
            "code": 409, "message": "Apply failed with 1 conflict",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"x\"", "field": ".spec"}]},
        });
        let status: kube::core::Status = serde_json::from_value(status).unwrap();
        let conflict = Error::api("injecting")(kube::Error::Api(Box::new(status)));
        assert_eq!(conflict.category(), "Conflict");
        assert!(!conflict.is_outdated() && error(409, "the object has been modified").is_outdated());
    }

    #[test]
    fn what_only_a_person_can_change_is_tried_rarely() {
        assert!(error(403, "").retry_after() > error(500, "").retry_after());
    }
}
