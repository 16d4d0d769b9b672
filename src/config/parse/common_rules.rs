//! What a file says about policies, and about the headers that tell applications who is signed in, and from
//! where.

use http::HeaderName;

use crate::config::IdentityHeaderNames;
use crate::config::parse::outcome::Redirects;
use crate::config::parse::policy::Policies;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::word_problem;
use crate::decision::forwarded_headers::ForwardedHeaders;
use crate::decision::template::Template;

/// What holds for all routes of a file.
pub(super) struct CommonRules {
    pub(super) forwarded_headers: ForwardedHeaders,
    pub(super) identity_headers: IdentityHeaderNames,
    pub(super) preset_headers: Vec<(HeaderName, Template)>,
    pub(super) policies: Policies,
    pub(super) redirects: Redirects,
}

impl Reading<'_> {
    /// The policies, and the headers whose client copies no rule may go by.
    pub(super) fn common_rules(&mut self, section: &Section<'_>) -> CommonRules {
        let all = ForwardedHeaders::ALL;
        let forwarded_headers = self.or(section, "forwarded_headers", all, Self::forwarded_headers);
        let told = self.identity_headers(section.get("identity_headers"));
        let (identity_headers, preset_headers) = told;
        let mut redirects = Redirects::new();
        let told = (&identity_headers, preset_headers.as_slice());
        let policies = self.policies(section.get("policies"), told, &mut redirects);
        CommonRules {
            forwarded_headers,
            identity_headers,
            preset_headers,
            policies,
            redirects,
        }
    }

    /// Which headers tell upstreams where a request comes from.
    pub(super) fn forwarded_headers(&mut self, found: &Found<'_>) -> Option<ForwardedHeaders> {
        let items = self.list(found)?;
        let named = self.each(&items, |this, item| {
            let text = this.text(item)?;
            let one = ForwardedHeaders::named(&text);
            if one.is_none() {
                let problem = word_problem(&text, ForwardedHeaders::WORDS.to_vec());
                this.fault(item, problem);
            }
            one
        })?;
        let none = ForwardedHeaders::NONE;
        Some(named.into_iter().fold(none, ForwardedHeaders::and))
    }
}
