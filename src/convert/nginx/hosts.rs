//! Servers → virtual hosts: one for each name, whatever listeners it is heard on; names with the same routes
//! stand together.

use crate::convert::nginx::answers;
use crate::convert::nginx::error_pages;
use crate::convert::nginx::headers;
use crate::convert::nginx::ledger::Ledger;
use crate::convert::nginx::listeners::Heard;
use crate::convert::nginx::listeners::Speaks;
use crate::convert::nginx::routes::Route;
use crate::convert::nginx::schemes;
use crate::convert::nginx::served::Served;
use crate::convert::nginx::servers::Server;
use crate::convert::nginx::servers::Serves;
use crate::convert::nginx::servers::Side;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::site::comments_of;
use crate::convert::nginx::to_https;
use crate::convert::nginx::tree::Directive;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Item;
use crate::convert::yaml::Yaml;

/// A virtual host.
#[derive(Clone, Debug)]
struct Host {
    comments: Vec<String>,
    names: Vec<String>,
    heard: Vec<Heard>,
    plain: Option<Plain>,
    asked: Option<Entry>,
    /// What is answered in place of errors.
    error_pages: Option<Entry>,
    /// What is removed from answers.
    held_back: Option<Entry>,
    routes: Vec<Served>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    Redirect(u16),
    Serve,
}

/// The virtual hosts, and what they refer to.
pub(super) struct Hosts {
    pub(super) items: Vec<Item>,
    /// The names of the listeners that any of them is heard on.
    pub(super) listeners: Vec<String>,
    /// The names of the pools that any route leads to.
    pub(super) pools: Vec<String>,
}

/// The virtual hosts of all servers.
pub(super) fn hosts<'t>(site: &Site<'t>, servers: &[Server<'t>]) -> Hosts {
    let mut hosts: Vec<Host> = Vec::new();
    let mut names: Vec<&String> = Vec::new();
    for name in servers.iter().flat_map(|server| &server.names) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let named = servers.iter().filter(|server| server.names.contains(name));
        let sides = named.map(|server| (server, server.side(site, name)));
        let Some(host) = host(site, name, sides.collect()) else {
            continue;
        };
        let same = hosts.iter_mut().find(|other| other.is_like(&host));
        match same {
            Some(other) => other.names.extend(host.names),
            None => hosts.push(host),
        }
    }
    let mut used: Vec<String> = Vec::new();
    for heard in hosts.iter().flat_map(|host| &host.heard) {
        if !used.contains(&heard.name) {
            used.push(heard.name.clone());
        }
    }
    let routes = hosts.iter().flat_map(|host| &host.routes);
    Hosts {
        items: hosts.iter().map(|host| host.item(&used)).collect(),
        pools: routes.flat_map(Served::pools).collect(),
        listeners: used,
    }
}

/// One virtual host of all the servers that have a name.
fn host<'t>(site: &Site<'t>, name: &str, sides: Vec<(&Server<'t>, Side)>) -> Option<Host> {
    let blocks: Vec<&Directive> = sides.iter().map(|(server, _)| server.block).collect();
    let (tls, rest): (Vec<_>, Vec<_>) = sides.into_iter().partition(|(_, side)| side.is_secured());
    let mut gathered = Gathered {
        name: name.to_owned(),
        comments: Vec::new(),
        host: None,
        redirect: None,
        redirected: Vec::new(),
        is_one_plain: rest.len() == 1,
    };
    for (server, side) in tls.into_iter().chain(rest) {
        gathered.take(site, server, side);
    }
    gathered.host(site, &blocks)
}

/// What the servers of a name have come to so far.
struct Gathered {
    name: String,
    comments: Vec<String>,
    host: Option<Host>,
    /// The port of https that plain http is sent to.
    redirect: Option<u16>,
    /// Where nothing else is done.
    redirected: Vec<Heard>,
    /// Whether just one of the servers is without TLS.
    is_one_plain: bool,
}

impl Gathered {
    fn take(&mut self, site: &Site<'_>, server: &Server<'_>, side: Side) {
        let comments = comments_of(server.block, &["location"]);
        self.comments.extend(comments);
        let secured = side.is_secured();
        let may_part = self.is_one_plain && !secured && self.redirect.is_none();
        let (routes, rest) = match side.serves {
            Serves::Mixed(routes, port) if may_part => (routes, Some(port)),
            Serves::Mixed(_, port) => {
                to_https::rest_is_lost(site, server);
                return self.redirects(site, server.block, (side.heard, port));
            }
            Serves::Redirect(port) => {
                return self.redirects(site, server.block, (side.heard, port));
            }
            Serves::Routes(routes, port) => {
                self.redirect = self.redirect.or(port);
                (routes, None)
            }
        };
        let made = Host {
            comments: Vec::new(),
            names: vec![self.name.clone()],
            heard: side.heard,
            plain: None,
            asked: side.asked,
            error_pages: side.error_pages,
            held_back: None,
            routes: routes.into_iter().map(Served::always).collect(),
        };
        let Some(host) = &mut self.host else {
            site.ledger.kept(server.block, "a virtual host");
            self.host = Some(made);
            return;
        };
        let is_alike = host.is_alike(&made);
        if may_part && !is_alike && host.part(&made) {
            return site.ledger.kept(server.block, PARTED);
        }
        match rest {
            Some(port) if !is_alike => {
                to_https::rest_is_lost(site, server);
                self.redirects(site, server.block, (made.heard, port));
            }
            Some(_) | None => host.join(&site.ledger, server.block, made, secured),
        }
    }

    fn redirects(&mut self, site: &Site<'_>, block: &Directive, (heard, port): (Vec<Heard>, u16)) {
        self.redirect = Some(port);
        self.redirected.extend(heard);
        site.ledger
            .kept(block, "`plain_http: redirect` of the virtual host");
    }

    fn host(self, site: &Site<'_>, blocks: &[&Directive]) -> Option<Host> {
        let empty = self.redirect.map(|_| Host {
            comments: Vec::new(),
            names: vec![self.name],
            heard: Vec::new(),
            plain: None,
            asked: None,
            error_pages: None,
            held_back: None,
            routes: Vec::new(),
        });
        let mut host = self.host.or(empty)?;
        if host.routes.iter().any(|route| !route.pools().is_empty()) {
            host.held_back = headers::held_back(site, blocks);
        }
        host.heard.extend(self.redirected);
        host.comments = self.comments;
        let in_plain = host.heard.iter().any(|heard| heard.speaks == Speaks::Http);
        host.plain = match self.redirect {
            _ if !in_plain => None,
            Some(port) => Some(Plain::Redirect(port)),
            None => Some(host.plain.unwrap_or(Plain::Serve)),
        };
        Some(host)
    }
}

impl Side {
    fn is_secured(&self) -> bool {
        self.heard.iter().any(|heard| heard.speaks == Speaks::Https)
    }
}

impl Host {
    /// Takes in another server of the same name. Two that say the same, or differ in their pools for plain http
    /// and TLS, are one; of others the first stays.
    fn join(&mut self, ledger: &Ledger, block: &Directive, other: Self, secured: bool) {
        let alike = self.is_alike(&other);
        let is_plain = !secured && self.heard.iter().any(|heard| heard.speaks == Speaks::Https);
        let same = self.routes == other.routes && self.asked == other.asked;
        if alike && (is_plain || same) {
            for (own, other) in self.routes.iter_mut().zip(other.routes) {
                own.take_plain(other);
            }
            self.heard.extend(other.heard);
            ledger.kept(block, "a part of the virtual host of this name");
            return;
        }
        let why = if is_plain {
            self.heard.extend(other.heard);
            self.plain = Some(Plain::Redirect(443));
            "the same name has other routes with TLS: those count, and plain http is redirected to them"
        } else {
            "the same name has other routes on another address: those count"
        };
        ledger.dropped_whole(block, why);
    }

    /// Whether both serve the same, but for their pools.
    fn is_alike(&self, other: &Self) -> bool {
        let mut routes = self.routes.iter().zip(&other.routes);
        self.error_pages == other.error_pages
            && self.routes.len() == other.routes.len()
            && routes.all(|(own, other)| own.is_alike(other))
    }

    /// Takes in a server without TLS beside those with it, each route for its scheme; whether they can be told
    /// apart so.
    fn part(&mut self, plain: &Self) -> bool {
        let speak = |heard: &[Heard], what: Speaks| heard.iter().all(|one| one.speaks == what);
        let is_parted = speak(&self.heard, Speaks::Https) && speak(&plain.heard, Speaks::Http);
        if !is_parted || self.wants_certificates() {
            return false;
        }
        let around = self.error_pages.as_ref();
        let http = plain.routes.iter().map(|served| {
            let mut route = served.route.clone();
            if !route.keys.iter().any(|entry| entry.key == "error_pages") {
                let own = plain.error_pages.clone();
                route.keys.extend(error_pages::of_route(own, around));
            }
            route
        });
        let http: Vec<Route> = http.collect();
        let https = self.routes.iter().map(|served| served.route.clone());
        let https: Vec<Route> = https.collect();
        let Some(pairs) = schemes::together(&http, &https) else {
            return false;
        };
        self.routes = pairs.into_iter().flat_map(Served::both).collect();
        self.heard.extend(plain.heard.iter().cloned());
        true
    }

    /// Whether nobody is served who shows no certificate, as nobody can who comes in plain.
    fn wants_certificates(&self) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|asked| match &asked.value {
            Yaml::Map(section) => section.contains(&Entry::new("mode", Yaml::text("required"))),
            Yaml::Flow(_) | Yaml::List(_) | Yaml::Scalar(_) => false,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        let own = (&self.heard, self.plain, &self.asked, &self.routes);
        let same = own == (&other.heard, other.plain, &other.asked, &other.routes);
        same && self.held_back == other.held_back && self.error_pages == other.error_pages
    }

    fn item(&self, used: &[String]) -> Item {
        let mut entries = vec![Entry::new("hosts", Yaml::words(&self.names))];
        let mut heard: Vec<&String> = self.heard.iter().map(|heard| &heard.name).collect();
        heard.dedup();
        if !used.iter().all(|name| heard.contains(&name)) {
            entries.push(Entry::new("listeners", Yaml::words(heard)));
        }
        entries.extend(self.asked.clone());
        match self.plain {
            None => {}
            Some(Plain::Serve) => entries.push(Entry::new("plain_http", Yaml::text("serve"))),
            Some(Plain::Redirect(port)) => {
                entries.push(Entry::new("plain_http", Yaml::text("redirect")));
                entries.push(Entry::new("public_port", Yaml::plain(port)));
            }
        }
        entries.extend(self.held_back.clone());
        entries.extend(self.error_pages.clone());
        let mut routes: Vec<Item> = self.routes.iter().map(Served::item).collect();
        if routes.is_empty() {
            let path = Entry::new("path", Yaml::text("/"));
            let access = Entry::new("access", Yaml::text("excluded"));
            routes.push(Item::new(Yaml::Map(vec![
                path,
                access,
                answers::status(404),
            ])));
        }
        entries.push(Entry::new("routes", Yaml::List(routes)));
        Item {
            comments: self.comments.clone(),
            value: Yaml::Map(entries),
        }
    }
}

const PARTED: &str =
    "routes of the virtual host of this name, for plain http: `match: { scheme: http }`";
