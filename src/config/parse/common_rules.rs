//! What a file says about policies, and about the headers that tell applications who is signed in, and from
//! where.

use http::HeaderName;

use crate::config::IdentityHeaderNames;
use crate::config::parse::host::Declared;
use crate::config::parse::outcome::Redirects;
use crate::config::parse::policy::Policies;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::word_problem;
use crate::config::problem::Problem;
use crate::decision::forwarded_headers::ForwardedHeaders;
use crate::decision::group_filter::GroupFilter;
use crate::decision::policy::Access;
use crate::decision::template::Template;

/// What holds for all routes of a file.
pub(super) struct CommonRules {
    pub(super) upstreams: UpstreamsTold,
    pub(super) identity_headers: IdentityHeaderNames,
    pub(super) preset_headers: Vec<(HeaderName, Template)>,
    pub(super) policies: Policies,
    pub(super) redirects: Redirects,
}

/// What upstreams are told, as the file says it for all routes, or one route for itself.
pub(super) struct UpstreamsTold {
    /// The headers about where a request comes from.
    pub(super) forwarded_headers: ForwardedHeaders,
    /// The groups of a user.
    pub(super) only_groups: GroupFilter,
}

impl Reading<'_> {
    /// The policies, and the headers whose client copies no rule may go by.
    pub(super) fn common_rules(&mut self, section: &Section<'_>) -> CommonRules {
        let all = ForwardedHeaders::ALL;
        let forwarded_headers = self.or(section, "forwarded_headers", all, Self::forwarded_headers);
        let told = self.identity_headers(section.get("identity_headers"));
        let mut redirects = Redirects::new();
        let names = (&told.names, told.presets.as_slice());
        let policies = self.policies(section.get("policies"), names, &mut redirects);
        CommonRules {
            upstreams: UpstreamsTold {
                forwarded_headers,
                only_groups: told.only_groups,
            },
            identity_headers: told.names,
            preset_headers: told.presets,
            policies,
            redirects,
        }
    }

    /// What the upstreams of a route are told; one that asks nobody tells of no user.
    pub(super) fn upstreams_told(
        &mut self,
        section: &Section<'_>,
        declared: &Declared<'_>,
        access: Option<Access>,
    ) -> UpstreamsTold {
        let key = "only_groups";
        if let (Some(found), Some(Access::Excluded)) = (section.get(key), access) {
            let place = "an excluded route";
            self.fault_at_key(found, Problem::NoEffect { key, place });
        }
        let all = declared.upstreams;
        let (headers, groups) = (all.forwarded_headers, all.only_groups.clone());
        UpstreamsTold {
            forwarded_headers: self.or(
                section,
                "forwarded_headers",
                headers,
                Self::forwarded_headers,
            ),
            only_groups: self.or(section, key, groups, Self::groups),
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
