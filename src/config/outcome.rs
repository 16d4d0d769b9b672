//! What a browser sees besides the application: after a sign-in, when one is needed, and on a denial.

use std::sync::Arc;

use crate::decision::template::Template;

/// What happens around the decision on a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Where a browser goes that signed in to come here; by default where it wanted to.
    pub success: Option<Arc<str>>,
    /// How a sign-in is asked for.
    pub challenge: Challenge,
    /// What is answered to a request that is denied.
    pub denied: Denied,
    /// What the denied page says beside the reference.
    pub remediation: Option<Arc<str>>,
}

/// How a sign-in is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Challenge {
    /// Browsers on their way to a page are redirected, programs get a 401 (D-8).
    #[default]
    Auto,
    /// Everybody is redirected.
    Redirect,
    /// Everybody gets a 401.
    Unauthorized,
}

/// What is answered to a request that is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Denied {
    /// A page with the reference, or the same as JSON.
    #[default]
    Page,
    /// A redirect to this address for browsers on their way to a page; the page for others.
    Redirect(Template),
    /// A bare 403.
    Status,
}
