//! nginx's configuration → `gateway.yaml`.
//!
//! `lex`, `tree` and `include` read what nginx reads; `servers`, `locations`, `routes` and `pools` say it in
//! Portway's words, and `schemes` puts what a name has for plain http and for TLS together; `ledger` knows what became of each directive, and `directives` what becomes of each kind.

use std::cell::RefCell;
use std::path::Path;

use crate::config::diagnostic::Faults;
use crate::config::parse;
use crate::convert::report::Report;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;

use ledger::Ledger;
use listeners::Listeners;
use pools::Pools;
use process::Blocks;
use scope::Scope;
use servers::Server;
use site::Site;
use tree::Directive;

mod addresses;
mod announced;
mod answers;
mod areas;
mod client_certificates;
mod compression;
mod directives;
mod error_pages;
mod headers;
mod hosts;
mod include;
mod ledger;
mod lex;
mod limits;
mod listeners;
mod locations;
mod maps;
mod members;
mod names;
mod pattern;
mod pools;
mod process;
mod proxying;
mod quantities;
mod redirects;
mod routes;
mod schemes;
mod scope;
mod served;
mod servers;
mod site;
mod to_https;
pub mod tree;
mod variables;

pub use directives::table;
pub use include::ReadError;
pub use include::Surroundings;
pub use lex::SyntaxError;
pub use lex::SyntaxProblem;
pub use pools::Demand;

/// What a conversion came to.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The configuration.
    pub yaml: String,
    /// What became of each directive.
    pub report: Report,
    /// The variables that have to be set.
    pub demands: Vec<Demand>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nothing in it is served.
    #[error("nothing in it is served: there is no `server` with a name and an address")]
    Nothing(Report),
    /// What came out is no configuration, which the report may explain.
    #[error("what comes out is no configuration")]
    Faulty {
        /// What is wrong with it.
        faults: Faults,
        /// What became of each directive.
        report: Report,
    },
}

/// Converts a file of nginx with all that it includes. Relative paths in it become paths from `folder`.
///
/// What comes out is a configuration that `portway check` finds no fault in, once the files that it names are
/// there and the variables are set.
///
/// # Errors
/// See [`ConvertError`].
pub fn convert(
    path: &Path,
    folder: &Path,
    surroundings: Surroundings<'_>,
) -> Result<Conversion, ConvertError> {
    let tree = include::read(path, surroundings)?;
    let main = &tree.directives;
    let http = main.iter().find(|directive| directive.name == "http");
    // A file that `http` includes stands for itself, too.
    let blocks = http.map_or(main.as_slice(), Directive::inside);
    let named = |name: &'static str| blocks.iter().filter(move |block| block.name == name);
    let site = Site {
        ledger: Ledger::default(),
        pools: RefCell::new(Pools::new(named("upstream").collect())),
        http: Scope::new(blocks),
        folder,
    };
    if let Some(http) = http {
        site.ledger.kept(http, "what is in it has lines of its own");
    }
    let found: Vec<&Directive> = named("server").collect();
    let mut listeners = Listeners::of(&found);
    let servers = servers_of(&site, found, &mut listeners);
    let hosts = hosts::hosts(&site, &servers);
    includes(&site, main);
    maps::report(&site, main, &servers);
    protocols(&site, blocks);
    let process = {
        let mut around = vec![blocks];
        around.extend(servers.iter().map(|server| server.block.inside()));
        let mut deeper = Vec::new();
        for server in &servers {
            below(server.block, &mut deeper);
        }
        process::sections(&site, main, &Blocks { around, deeper })
    };
    let pools = {
        let pools = site.pools.borrow();
        pools.unused(&site.ledger);
        (pools.entries(&hosts.pools), pools.demands.clone())
    };
    let (pools, demands) = pools;
    let report = site.ledger.report(main);
    if hosts.items.is_empty() {
        return Err(ConvertError::Nothing(report));
    }
    let mut sections = process;
    sections.insert(
        0,
        Entry::new("listeners", listeners.section(&hosts.listeners)),
    );
    if !pools.is_empty() {
        sections.push(Entry::new("pools", Yaml::Map(pools)));
    }
    sections.push(Entry::new("virtual_hosts", Yaml::List(hosts.items)));
    if let Some(first) = sections.first_mut() {
        first.comments = heading(path, &demands, &tree.comments);
    }
    let yaml = Yaml::Map(sections).document();
    match check(&yaml) {
        Ok(()) => Ok(Conversion {
            yaml,
            report,
            demands,
        }),
        Err(faults) => Err(ConvertError::Faulty { faults, report }),
    }
}

/// The locations of a block, those inside others among them.
fn below<'t>(block: &'t Directive, found: &mut Vec<&'t [Directive]>) {
    for location in block
        .inside()
        .iter()
        .filter(|inner| inner.name == "location")
    {
        found.push(location.inside());
        below(location, found);
    }
}

/// The servers that have a name and an address.
fn servers_of<'t>(
    site: &Site<'t>,
    blocks: Vec<&'t Directive>,
    listeners: &mut Listeners,
) -> Vec<Server<'t>> {
    let mut servers = Vec::new();
    for block in blocks {
        let scope = site.http.inside(block.inside());
        let names = names::names(site, &scope);
        if names.is_empty() && only_refuses(&scope) {
            let why = "names that no virtual host has are refused (W-01)";
            site.ledger.kept_whole(block, why);
            continue;
        }
        if names.is_empty() {
            let why = "has no name that a virtual host can have: unknown names are refused (W-01)";
            site.ledger.dropped_whole(block, why);
            continue;
        }
        match listeners.of_server(site, &scope) {
            Ok(heard) => servers.push(Server {
                block,
                scope,
                heard,
                names,
            }),
            Err(why) => site.ledger.dropped_whole(block, why),
        }
    }
    servers
}

/// Whether a server refuses whoever comes to it.
fn only_refuses(scope: &Scope<'_>) -> bool {
    let answers = scope.own("return");
    let refuses = |answer: &&Directive| answer.first().parse().is_ok_and(|code: u16| code >= 400);
    let rejects = scope.one("ssl_reject_handshake");
    answers.first().is_some_and(refuses) || rejects.is_some_and(|on| on.first() == "on")
}

/// Says of each `include` that was read that it was.
fn includes(site: &Site<'_>, directives: &[Directive]) {
    for directive in directives {
        if directive.name == "include" && directive.unread.is_none() {
            site.ledger.kept(directive, "read in its place");
        }
        includes(site, directive.inside());
    }
}

/// `ssl_protocols` of all blocks: versions before 1.2 are never spoken.
fn protocols(site: &Site<'_>, directives: &[Directive]) {
    for directive in directives {
        if directive.name == "ssl_protocols" {
            let has = |version: &str| directive.args.iter().any(|arg| arg == version);
            let old = directive
                .args
                .iter()
                .any(|arg| !["TLSv1.2", "TLSv1.3"].contains(&arg.as_str()));
            if !old && !has("TLSv1.2") {
                site.ledger.kept(directive, "`tls.min_version`");
            } else if !has("TLSv1.2") && !has("TLSv1.3") {
                site.ledger
                    .changed(directive, "versions before TLS 1.2 are not spoken");
            } else if old || !has("TLSv1.3") {
                site.ledger.changed(directive, "TLS 1.2 and 1.3 are spoken");
            } else {
                site.ledger.kept(directive, "TLS 1.2 and 1.3 are spoken");
            }
        }
        protocols(site, directive.inside());
    }
}

/// What stands at the top of the file.
fn heading(path: &Path, demands: &[Demand], comments: &[String]) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut lines = vec![
        format!(
            "Made of {name} by `portway convert nginx`. All routes are open, as with nginx: `access: protected`"
        ),
        "and a policy have users sign in, see docs/guide/first-application.md.".to_owned(),
    ];
    for demand in demands {
        lines.push(format!("Set {}: {}.", demand.variable, demand.message));
    }
    lines.extend(comments.iter().cloned());
    lines
}

/// Reads what came out, with stand-ins for files and variables that are not here.
fn check(yaml: &str) -> Result<(), Faults> {
    let files = |path: &Path, _| Ok(stand_in(path).into_bytes());
    let surroundings = parse::Surroundings {
        folder: Path::new(""),
        variable: &|_| Some("192.0.2.1:1".to_owned()),
        read: &files,
        list: &|_| Ok(Vec::new()),
        threads: 1,
    };
    parse::parse(yaml, "gateway.yaml", &surroundings).map(drop)
}

/// Passes for a chain, an authority, a key and a list where nothing but its form is looked at; another one for each file.
fn stand_in(path: &Path) -> String {
    let name = path.as_os_str().as_encoded_bytes().iter();
    let name: String = name.map(|byte| format!("{byte:02x}")).collect();
    let block = |label: &str| format!("-----BEGIN {label}-----\n{name}\n-----END {label}-----\n");
    [
        block("CERTIFICATE"),
        block("PRIVATE KEY"),
        block("X509 CRL"),
    ]
    .concat()
}
