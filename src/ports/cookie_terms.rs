//! What holds about cookies at the data centre whose engine a gate uses.
//!
//! An engine node has it from its configuration. A gate without an engine is told by its engines, so that
//! nothing has to be configured twice and nothing can differ; before that it knows nothing.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use arc_swap::Guard;

use crate::decision::cookies::settings::CookieSettings;

/// What holds about cookies, as far as it is known. A gate that knows nothing honours no cookie.
#[derive(Debug, Default)]
pub struct CookieTerms(ArcSwapOption<CookieSettings>);

impl CookieTerms {
    /// What this node has configured itself.
    #[must_use]
    pub fn configured(settings: Arc<CookieSettings>) -> Self {
        Self(ArcSwapOption::new(Some(settings)))
    }

    /// What holds now; none while no engine has said it.
    #[must_use]
    pub fn current(&self) -> Guard<Option<Arc<CookieSettings>>> {
        self.0.load()
    }

    /// Takes over what an engine says.
    pub fn tell(&self, settings: CookieSettings) {
        self.0.store(Some(Arc::new(settings)));
    }
}
