//! Whom a server sends to https: everybody, all who come in plain, or all for whom no other location is.

use crate::convert::nginx::answers;
use crate::convert::nginx::listeners::Speaks;
use crate::convert::nginx::locations::Kind;
use crate::convert::nginx::routes::Route;
use crate::convert::nginx::routes::Target;
use crate::convert::nginx::servers::Server;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::Known;

/// Who is sent to https, and to which port there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Led {
    All(u16),
    Nobody,
    /// Those who come in plain.
    Plain(u16),
    /// Those for whom no other location is.
    Rest(u16),
}

/// Whom a server sends to https.
pub(super) fn led(site: &Site<'_>, server: &Server<'_>, known: &Known) -> Led {
    let plain_only = server
        .heard
        .iter()
        .all(|heard| heard.speaks == Speaks::Http);
    let own = |name: &str| server.scope.own(name).into_iter();
    for directive in own("return").chain(own("rewrite")) {
        if let Some(port) = answers::leads_to_https(directive, known) {
            say(site, directive);
            return if plain_only {
                Led::All(port)
            } else {
                Led::Nobody
            };
        }
    }
    for condition in own("if").filter(|condition| is_about_plain(condition)) {
        if let Some((inner, port)) = leading(condition.inside(), known) {
            site.ledger.kept(condition, "`plain_http: redirect`");
            say(site, inner);
            return if plain_only {
                Led::All(port)
            } else {
                Led::Plain(port)
            };
        }
    }
    let root = own("location").find(|location| is_root(location));
    let found = root.and_then(|root| Some((root, leading(root.inside(), known)?)));
    match found.filter(|_| plain_only) {
        None => Led::Nobody,
        Some((root, (inner, port))) => {
            if own("location").any(|other| other.id != root.id) {
                return Led::Rest(port);
            }
            say(site, inner);
            site.ledger.kept(root, "`plain_http: redirect`");
            Led::All(port)
        }
    }
}

/// Whether the last of all routes is a redirect.
pub(super) fn leads_away(routes: &[Route]) -> bool {
    let mut prefixes = routes
        .iter()
        .filter(|route| route.paths.kind == Kind::Prefix);
    let root = prefixes.find(|route| route.paths.text == "/");
    root.is_some_and(|root| match &root.target {
        Target::Answer(answer) => answer.key == "redirect",
        Target::Pool(_) => false,
    })
}

/// Says of a server that sends the rest to https that everybody is sent there.
pub(super) fn rest_is_lost(site: &Site<'_>, server: &Server<'_>) {
    for location in server.scope.own("location") {
        if !is_root(location) {
            let why = "over plain http everything is redirected: there are no routes for these paths beside what is served with TLS";
            site.ledger.dropped_whole(location, why);
            continue;
        }
        site.ledger.kept_whole(location, "`plain_http: redirect`");
        let inside = location.inside().iter();
        for inner in inside.filter(|inner| ["return", "rewrite"].contains(&inner.name.as_str())) {
            say(site, inner);
        }
    }
}

/// The first directive that leads to https, with the port there.
fn leading<'d>(directives: &'d [Directive], known: &Known) -> Option<(&'d Directive, u16)> {
    directives
        .iter()
        .find_map(|inner| Some((inner, answers::leads_to_https(inner, known)?)))
}

/// `if ($scheme = http)` and `if ($scheme != "https")`.
pub(super) fn is_about_plain(condition: &Directive) -> bool {
    let words: String = condition.args.concat();
    let words = words.replace(['(', ')', '"', '\'', ' '], "");
    ["$scheme=http", "$scheme!=https", "$https!=on", "$https="].contains(&words.as_str())
}

fn is_root(location: &Directive) -> bool {
    location.args.as_slice() == ["/"]
}

fn say(site: &Site<'_>, directive: &Directive) {
    if answers::is_other_status(directive) {
        site.ledger
            .changed(directive, "`plain_http: redirect`, which answers 301");
    } else {
        site.ledger.kept(directive, "`plain_http: redirect`");
    }
}
