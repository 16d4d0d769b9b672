//! `rewrite` with `permanent` or `redirect`, or to another host → routes with `redirect`, for the paths that its
//! expression matches.

use crate::convert::nginx::answers;
use crate::convert::nginx::answers::is_visible;
use crate::convert::nginx::answers::target_entry;
use crate::convert::nginx::headers;
use crate::convert::nginx::locations::Kind;
use crate::convert::nginx::locations::Paths;
use crate::convert::nginx::pattern::Pattern;
use crate::convert::nginx::proxying::Apart;
use crate::convert::nginx::proxying::Becomes;
use crate::convert::nginx::routes::Route;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::Known;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;
use crate::decision::rewrite::Rewrite;

/// What the redirects of a block come to.
#[derive(Default)]
pub(super) struct Redirects {
    /// The answer to every path of the block, where one of them takes all.
    pub(super) whole: Option<Entry>,
    /// The answers to some of its paths, in order.
    pub(super) some: Vec<Apart>,
}

/// Whether a `rewrite` answers by itself.
pub(super) fn is_redirect(directive: &Directive) -> bool {
    let flag = directive.args.get(2).map(String::as_str);
    let to = directive.args.get(1).map_or("", String::as_str);
    let leads_away = ["http://", "https://", "$scheme"];
    matches!(flag, Some("permanent" | "redirect"))
        || leads_away.iter().any(|begin| to.starts_with(begin))
}

/// The redirects of a block; `within` are the paths of a location, none those of a server. nginx goes through a
/// block in order: behind what changes the path for those that follow, none is told beforehand.
pub(super) fn redirects(
    site: &Site<'_>,
    scope: &Scope<'_>,
    within: Option<&Paths>,
    known: &Known,
) -> Redirects {
    let mut found = Redirects::default();
    let mut is_changed = false;
    for directive in scope.own("rewrite") {
        if !is_redirect(directive) {
            is_changed = true;
            continue;
        }
        if is_changed || found.whole.is_some() {
            let why = "behind a `rewrite` that changes the path or takes all of them";
            site.ledger.dropped(directive, why);
            continue;
        }
        let Some(redirect) = redirect(site, directive, known) else {
            continue;
        };
        match share(directive, within) {
            Some(Share::All) => found.whole = Some(redirect.answer),
            Some(Share::Some) => {
                found.some.push(Apart {
                    pattern: Pattern::Regex(format!("{}$", redirect.regex)),
                    becomes: Becomes::Answer(redirect.answer),
                });
            }
            None => {
                let why = "its expression begins with the path of its location, or takes all of it";
                site.ledger.dropped(directive, why);
                continue;
            }
        }
        match redirect.difference {
            Some(why) => site.ledger.changed(directive, why),
            None => site
                .ledger
                .kept(directive, "`redirect` of a route of its own"),
        }
    }
    found
}

/// The redirects of a server itself, which nginx does before it looks for a location.
pub(super) fn of_server(
    site: &Site<'_>,
    scope: &Scope<'_>,
    known: &Known,
    closed: bool,
) -> Vec<Route> {
    let rewrites = scope.own("rewrite");
    let leads_to_https = |one: &&Directive| answers::leads_to_https(one, known).is_some();
    let is_whole = rewrites.iter().any(leads_to_https);
    for directive in &rewrites {
        let is_redirect = is_redirect(directive);
        if !leads_to_https(directive) && (closed || is_whole || !is_redirect) {
            let why = "those that are no redirects stand in locations, and where everything is redirected or \
                       closed there are no others";
            site.ledger.dropped(directive, why);
        }
    }
    if closed || is_whole {
        return Vec::new();
    }
    let Redirects { some, .. } = redirects(site, scope, None, known);
    if some.is_empty() {
        return Vec::new();
    }
    let keys = headers::response_keys(site, scope, known);
    let routes = some.into_iter().filter_map(|apart| match apart.becomes {
        Becomes::Answer(answer) => Some(Route {
            keys: keys.clone(),
            ..Route::answering(apart.pattern, answer)
        }),
        Becomes::Rewrite(_) => None,
    });
    routes.collect()
}

/// How many of the paths of a block an expression may take.
enum Share {
    All,
    Some,
}

fn share(directive: &Directive, within: Option<&Paths>) -> Option<Share> {
    let pattern = directive.first();
    let takes_all = [
        "", "^", "^/", ".*", "^.*", "^.*$", "(.*)", "^(.*)", "^(.*)$", "^/(.*)$",
    ];
    let Some(paths) = within else {
        return Some(Share::Some);
    };
    if takes_all.contains(&pattern) {
        return Some(Share::All);
    }
    match paths.kind {
        Kind::Exact => {
            let whole = Rewrite::pattern(&whole_pattern(pattern), "").ok()?;
            whole.text(&paths.text).map(|_| Share::All)
        }
        Kind::Regex | Kind::RegexBlind => (pattern == paths.text).then_some(Share::All),
        Kind::Firm | Kind::Prefix => {
            let rest = pattern.strip_prefix('^')?;
            let plain = rest.strip_prefix(paths.text.as_str());
            let spelled = regex::escape(&paths.text);
            let rest = plain.or_else(|| rest.strip_prefix(spelled.as_str()));
            let rest = rest.filter(|_| !pattern.contains('|'))?;
            let takes_rest = ["", ".*", "(.*)", ".*$", "(.*)$"].contains(&rest);
            Some(if takes_rest { Share::All } else { Share::Some })
        }
    }
}

struct Redirect {
    /// For whole paths.
    regex: String,
    answer: Entry,
    difference: Option<&'static str>,
}

/// A redirect as a route answers it; what has no counterpart is reported.
fn redirect(site: &Site<'_>, directive: &Directive, known: &Known) -> Option<Redirect> {
    let permanent = directive
        .args
        .get(2)
        .is_some_and(|flag| flag == "permanent");
    let status = if permanent { 301_u16 } else { 302 };
    let regex = whole_pattern(directive.first());
    let written = directive.args.get(1).map_or("", String::as_str);
    let (to, keeps_query) = match written.strip_suffix('?') {
        Some(to) => (to, false),
        None => (written, true),
    };
    let difference = (keeps_query && to.contains('?'))
        .then_some("`redirect`; the query of a request does not go along with that of the address");
    let answer = match grouped(to, known) {
        Some(Address::Groups(to)) => {
            if let Err(error) = Rewrite::pattern(&regex, &to) {
                site.ledger.dropped(directive, error.to_string());
                return None;
            }
            let mut section = vec![
                Entry::new("to", Yaml::text(&to)),
                Entry::new("regex", Yaml::text(&regex)),
                Entry::new("status", Yaml::plain(status)),
            ];
            if !keeps_query {
                section.push(Entry::new("query", Yaml::text("drop")));
            }
            Some(Entry::new("redirect", Yaml::Map(section)))
        }
        Some(Address::Plain) => {
            if let Err(error) = Rewrite::pattern(&regex, "") {
                site.ledger.dropped(directive, error.to_string());
                return None;
            }
            target_entry(to, status, keeps_query, known)
        }
        None => None,
    };
    let Some(answer) = answer else {
        let why = "the address cannot be said with what groups match, or has no host that is known";
        site.ledger.dropped(directive, why);
        return None;
    };
    Some(Redirect {
        regex,
        answer,
        difference,
    })
}

enum Address {
    /// With `$1` and such in it, and nothing else that changes.
    Groups(String),
    Plain,
}

/// The address with what is known filled in. Groups stand behind the host and a slash, so that no request chooses
/// where it leads.
fn grouped(written: &str, known: &Known) -> Option<Address> {
    let pieces: Vec<&str> = written.split('$').collect();
    let is_group = |piece: &&str| piece.starts_with(|c: char| c.is_ascii_digit());
    if !pieces.iter().skip(1).any(is_group) {
        return Some(Address::Plain);
    }
    let mut to = String::new();
    let mut variable = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        if at == 0 {
            to.push_str(piece);
        } else if is_group(piece) {
            // nginx's groups have one digit.
            if piece.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) {
                return None;
            }
            to.push('$');
            to.push_str(piece);
        } else {
            variable.clear();
            variable.push('$');
            variable.push_str(piece);
            to.push_str(&known.literal(&variable)?);
        }
    }
    let before = to.split('$').next().unwrap_or_default();
    let address = before.strip_prefix("http://");
    let address = address.or_else(|| before.strip_prefix("https://"));
    let is_fixed = match address {
        Some(address) => address.find('/').is_some_and(|end| end > 0),
        None => before.starts_with('/') && !before.starts_with("//"),
    };
    (is_fixed && is_visible(&to)).then_some(Address::Groups(to))
}

/// An expression for whole paths in place of one that is looked for.
pub(super) fn whole_pattern(pattern: &str) -> String {
    let begins = pattern.strip_prefix('^');
    let ends = pattern.ends_with('$') && !pattern.ends_with("\\$");
    let inner = begins.unwrap_or(pattern);
    let inner = if ends {
        inner.strip_suffix('$').unwrap_or(inner)
    } else {
        inner
    };
    let choice = if inner.contains('|') {
        format!("(?:{inner})")
    } else {
        inner.to_owned()
    };
    let before = if begins.is_some() { "" } else { ".*" };
    let behind = if ends { "" } else { ".*" };
    format!("{before}{choice}{behind}")
}
