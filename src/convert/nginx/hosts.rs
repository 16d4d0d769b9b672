//! Servers → virtual hosts: one for each name, whatever listeners it is heard on; names with the same routes
//! stand together.

use crate::convert::nginx::answers;
use crate::convert::nginx::headers;
use crate::convert::nginx::ledger::Ledger;
use crate::convert::nginx::listeners::Heard;
use crate::convert::nginx::listeners::Speaks;
use crate::convert::nginx::routes::Route;
use crate::convert::nginx::routes::Target;
use crate::convert::nginx::servers::Server;
use crate::convert::nginx::servers::Serves;
use crate::convert::nginx::servers::Side;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::site::comments_of;
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

/// A route, with a pool for plain http and one for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Served {
    route: Route,
    /// The pool for plain http, where it is another one.
    http: Option<String>,
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
    let mut comments = Vec::new();
    let mut host: Option<Host> = None;
    let mut redirect = None;
    let mut plain: Vec<(&Directive, Heard)> = Vec::new();
    let blocks: Vec<&Directive> = sides.iter().map(|(server, _)| server.block).collect();
    let (tls, rest): (Vec<_>, Vec<_>) = sides.into_iter().partition(|(_, side)| side.is_secured());
    for (server, side) in tls.into_iter().chain(rest) {
        comments.extend(comments_of(server.block, &["location"]));
        let secured = side.is_secured();
        match side.serves {
            Serves::Redirect(port) => {
                redirect = Some(port);
                plain.extend(side.heard.into_iter().map(|heard| (server.block, heard)));
                site.ledger
                    .kept(server.block, "`plain_http: redirect` of the virtual host");
            }
            Serves::Routes(routes, own_redirect) => {
                redirect = redirect.or(own_redirect);
                let routes = routes.into_iter().map(|route| Served { route, http: None });
                let made = Host {
                    comments: Vec::new(),
                    names: vec![name.to_owned()],
                    heard: side.heard,
                    plain: None,
                    asked: side.asked,
                    error_pages: side.error_pages,
                    held_back: None,
                    routes: routes.collect(),
                };
                match &mut host {
                    None => {
                        site.ledger.kept(server.block, "a virtual host");
                        host = Some(made);
                    }
                    Some(host) => host.join(&site.ledger, server.block, made, secured),
                }
            }
        }
    }
    let mut host = host.or_else(|| {
        redirect.map(|_| Host {
            comments: Vec::new(),
            names: vec![name.to_owned()],
            heard: Vec::new(),
            plain: None,
            asked: None,
            error_pages: None,
            held_back: None,
            routes: Vec::new(),
        })
    })?;
    if host.routes.iter().any(|route| !route.pools().is_empty()) {
        host.held_back = headers::held_back(site, &blocks);
    }
    host.heard.extend(plain.into_iter().map(|(_, heard)| heard));
    host.comments = comments;
    let in_plain = host.heard.iter().any(|heard| heard.speaks == Speaks::Http);
    host.plain = match redirect {
        _ if !in_plain => None,
        Some(port) => Some(Plain::Redirect(port)),
        None => Some(host.plain.unwrap_or(Plain::Serve)),
    };
    Some(host)
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
        let alike = self.error_pages == other.error_pages
            && self.routes.len() == other.routes.len()
            && self
                .routes
                .iter()
                .zip(&other.routes)
                .all(|(own, other)| own.is_alike(other));
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

impl Served {
    /// Whether both are the same, but for their pools and comments.
    fn is_alike(&self, other: &Self) -> bool {
        let (own, other) = (&self.route, &other.route);
        let pools = match (&own.target, &other.target) {
            (Target::Pool(_), Target::Pool(_)) => true,
            (own, other) => own == other,
        };
        // By itself nginx says the name of the pool, which is another one then.
        own.pattern == other.pattern && own.keys == other.keys && pools
    }

    fn pools(&self) -> Vec<String> {
        let own = match &self.route.target {
            Target::Answer(_) => None,
            Target::Pool(pool) => Some(pool.clone()),
        };
        own.into_iter().chain(self.http.clone()).collect()
    }

    fn take_plain(&mut self, other: Self) {
        for comment in other.route.comments {
            if !self.route.comments.contains(&comment) {
                self.route.comments.push(comment);
            }
        }
        if let Target::Pool(pool) = other.route.target
            && self.route.target != Target::Pool(pool.clone())
        {
            self.http = Some(pool);
        }
    }

    fn item(&self) -> Item {
        let route = &self.route;
        let mut entries = vec![
            route.pattern.clone(),
            Entry::new("access", Yaml::text("excluded")),
        ];
        entries.push(match (&route.target, &self.http) {
            (Target::Answer(answer), _) => answer.clone(),
            (Target::Pool(pool), None) => Entry::new("pool", Yaml::text(pool)),
            (Target::Pool(https), Some(http)) => Entry::new(
                "pools",
                Yaml::Map(vec![
                    Entry::new("http", Yaml::text(http)),
                    Entry::new("https", Yaml::text(https)),
                ]),
            ),
        });
        entries.extend(route.keys.iter().cloned());
        Item {
            comments: route.comments.clone(),
            value: Yaml::Map(entries),
        }
    }
}
