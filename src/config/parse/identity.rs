//! `identity_headers`: the headers that tell applications who is signed in, by name or as a preset that
//! other gateways made customary.

use http::HeaderName;

use crate::config::IdentityHeaderNames;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::scalar::short;
use crate::config::problem::Problem;
use crate::decision::facts::Fact;
use crate::decision::facts::UserFact;
use crate::decision::group_filter::GroupFilter;
use crate::decision::group_filter::GroupPattern;
use crate::decision::identity_headers::folded;
use crate::decision::template::Template;
use crate::model::name::GroupName;

/// The headers that applications are told by.
pub(super) struct Told {
    pub(super) names: IdentityHeaderNames,
    pub(super) presets: Vec<(HeaderName, Template)>,
    /// The groups that they are told of where their routes say nothing.
    pub(super) only_groups: GroupFilter,
}

impl Reading<'_> {
    pub(super) fn identity_headers(&mut self, found: Option<&Found<'_>>) -> Told {
        let section = found.and_then(|found| self.section(found, KEYS));
        let Some(section) = section else {
            return Told {
                names: customary(),
                presets: Vec::new(),
                only_groups: GroupFilter::default(),
            };
        };
        let presets = self.or(&section, "preset", Vec::new(), |this, found| {
            this.some(found, |this, found| this.word(found, PRESETS))
        });
        // A preset takes the place of the customary names.
        let mut names = match section.get("preset") {
            None => customary(),
            Some(_) => IdentityHeaderNames::default(),
        };
        let headers: Vec<(HeaderName, Template)> = presets
            .into_iter()
            .flatten()
            .map(|(name, fact)| {
                let fact = Fact::User(fact.clone());
                (HeaderName::from_static(name), Template::of(fact))
            })
            .collect();
        let mut seen: Vec<(HeaderName, usize)> = Vec::new();
        for (key, place) in [
            ("user", &mut names.user),
            ("groups", &mut names.groups),
            ("email", &mut names.email),
            ("name", &mut names.name),
        ] {
            self.set(&section, key, place, Self::header_or_none);
            let (Some(name), Some(found)) = (place.as_ref(), section.get(key)) else {
                continue;
            };
            let of_preset = headers
                .iter()
                .find(|(other, _)| folded(other.as_str()) == folded(name.as_str()));
            let preset = section.get("preset").map(|found| found.key.line);
            let earlier = seen.iter().find(|(other, _)| other == name);
            let first = earlier.map(|(_, line)| *line);
            if let Some(first) = first.or_else(|| of_preset.and(preset)) {
                let text = short(name.as_str());
                let problem = Problem::Duplicate {
                    what: "header",
                    text,
                    first,
                };
                self.fault(found, problem);
            }
            seen.push((name.clone(), found.node.at.line));
        }
        Told {
            names,
            presets: headers,
            only_groups: self.or(
                &section,
                "only_groups",
                GroupFilter::default(),
                Self::groups,
            ),
        }
    }

    /// The groups that an application is told of.
    pub(super) fn groups(&mut self, found: &Found<'_>) -> Option<GroupFilter> {
        let items = self.list(found)?;
        let patterns = self.each(&items, |this, item| {
            this.shaped(item, GROUPS, group_pattern)
        })?;
        Some(GroupFilter::only(patterns))
    }

    /// The name of a header, or `null` or `false` for none.
    pub(super) fn header_or_none(&mut self, found: &Found<'_>) -> Option<Option<HeaderName>> {
        if found.is_null() || self.text(found)? == "false" {
            return Some(None);
        }
        self.header_name(found).map(Some)
    }
}

/// The name of a group, or the beginning of names with `*` behind it.
fn group_pattern(text: &str) -> Option<GroupPattern> {
    let Some(beginning) = text.strip_suffix('*') else {
        let name = GroupName::parse(text).ok()?;
        return (!text.contains('*')).then_some(GroupPattern::Name(name));
    };
    let is_odd = beginning.contains(|c: char| c == '*' || c.is_control());
    (!is_odd).then(|| GroupPattern::Beginning(Box::from(beginning)))
}

fn customary() -> IdentityHeaderNames {
    IdentityHeaderNames {
        user: Some(HeaderName::from_static("remote-user")),
        groups: Some(HeaderName::from_static("remote-groups")),
        email: Some(HeaderName::from_static("remote-email")),
        name: Some(HeaderName::from_static("remote-name")),
    }
}

pub(super) const KEYS: &[&str] = &["email", "groups", "name", "only_groups", "preset", "user"];
const GROUPS: (&str, &str) = (
    "the name of a group, or the beginning of names with `*` behind it",
    "wiki-*",
);

type Preset = &'static [(&'static str, UserFact)];

const PRESETS: &[(&str, Preset)] = &[
    ("oam", OAM),
    ("oauth2_proxy", OAUTH2_PROXY),
    ("pomerium", POMERIUM),
];

const OAM: Preset = &[
    ("oam_remote_user", UserFact::Id),
    ("oam_remote_user_email", UserFact::Email),
    ("oam_remote_user_groups", UserFact::Groups),
    ("oam_identity_domain", UserFact::Store),
];

const OAUTH2_PROXY: Preset = &[
    ("x-forwarded-user", UserFact::Id),
    ("x-forwarded-email", UserFact::Email),
    ("x-forwarded-groups", UserFact::Groups),
    ("x-forwarded-preferred-username", UserFact::Id),
    ("x-auth-request-user", UserFact::Id),
    ("x-auth-request-email", UserFact::Email),
    ("x-auth-request-groups", UserFact::Groups),
    ("x-auth-request-preferred-username", UserFact::Id),
];

const POMERIUM: Preset = &[
    ("x-pomerium-claim-sub", UserFact::Id),
    ("x-pomerium-claim-user", UserFact::Id),
    ("x-pomerium-claim-name", UserFact::Name),
    ("x-pomerium-claim-email", UserFact::Email),
    ("x-pomerium-claim-groups", UserFact::Groups),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_at_the_end_of_a_group_alone() {
        for odd in ["", "a*b", "**", "*a", "a\nb", "a\n*"] {
            assert_eq!(group_pattern(odd), None, "{odd:?}");
        }
        let wiki = GroupPattern::Beginning(Box::from("wiki-"));
        assert_eq!(group_pattern("wiki-*"), Some(wiki));
        assert!(group_pattern("R&D, Köln").is_some());
    }
}
