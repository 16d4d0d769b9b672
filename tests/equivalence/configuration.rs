//! A configuration of nginx from the corpus, and what in it tells where to knock and what to ask for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use portway::convert::nginx::tree;
use portway::convert::nginx::tree::Directive;
use regex::Captures;
use regex::Regex;

use crate::requests::Tls;
use crate::root;
use crate::support::ports::kept_port;

/// A configuration, as it stands in the corpus.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) name: String,
    /// All of it, with what is included in its place.
    pub(crate) text: String,
    /// Its file, and those that are included, by their names.
    files: Files,
    /// Paths that its locations are about, and some that none is about.
    pub(crate) paths: Vec<String>,
    /// Paths that are asked for by each method once, as they take their time.
    pub(crate) once: Vec<String>,
    pub(crate) doors: Vec<Door>,
    /// Headers that it sets towards upstreams.
    pub(crate) headers: Vec<String>,
    /// Its upstreams as they are written, with the name of what they belong to.
    pub(crate) upstreams: BTreeMap<String, String>,
    /// What the converter says as its exit code.
    pub(crate) code: i32,
    /// Locations that let in only some in a way that Portway has no counterpart for.
    pub(crate) closed: Vec<String>,
    /// Whether clients have certificates to show.
    pub(crate) certificates: bool,
}

/// Where a server is heard, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Port(u16),
    /// The name of a socket of the file system.
    Socket(String),
}

/// A server as clients find it.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) place: Place,
    pub(crate) secure: bool,
    pub(crate) names: Vec<String>,
    /// Whether HTTP/2 is spoken there.
    pub(crate) multiplexed: bool,
    /// Whether clients are announced by the PROXY protocol.
    pub(crate) announced: bool,
    /// The versions of TLS that are, where it is.
    pub(crate) tls: Vec<Tls>,
}

/// The files for both programs, with addresses that are free.
pub(crate) struct Placed {
    pub(crate) for_nginx: String,
    pub(crate) for_portway: String,
    /// What both include, by the names of the files.
    pub(crate) included: Vec<(String, String)>,
    /// By the port that is written.
    pub(crate) ports: BTreeMap<u16, u16>,
    /// Variables that Portway needs.
    pub(crate) variables: Vec<(String, String)>,
}

impl Configuration {
    /// All of them: the source page's, and those of this folder.
    pub(crate) fn corpus() -> Vec<Self> {
        let own = std::fs::read_dir(root().join("tests/equivalence/corpus")).unwrap();
        let mut files: Vec<_> = own.map(|entry| entry.unwrap().path()).collect();
        for page in ["wso2-emm.conf", "wso2-emm-mutual.conf"] {
            files.push(root().join("tests/fixtures/nginx").join(page));
        }
        files.sort();
        files.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let files = Files::read(&std::fs::read_to_string(path).unwrap());
        let text = files.whole();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (tree, _) = tree::parse(&text, &Arc::from("site.conf")).unwrap();
        let said = |word: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(word));
            lines
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect::<Vec<String>>()
        };
        let mut paths: BTreeSet<String> = ["/", "/elsewhere", "/a/b.txt"]
            .map(str::to_owned)
            .into_iter()
            .chain(said("# paths:"))
            .collect();
        let once = said("# once:");
        let mut headers = BTreeSet::new();
        let mut closed = Vec::new();
        let mut doors = Vec::new();
        for server in tree.iter().filter(|block| block.name == "server") {
            doors.extend(self::doors(server));
        }
        // What one server says of a socket holds for all servers there.
        let multiplexed = doors.iter().filter(|door| door.multiplexed);
        let multiplexed: BTreeSet<Place> = multiplexed.map(|door| door.place.clone()).collect();
        for door in &mut doors {
            door.multiplexed = multiplexed.contains(&door.place);
            door.tls = versions(&text);
        }
        walk(&tree, &mut |directive| match directive.name.as_str() {
            "location" => {
                let kept = |inner: &Directive| CLOSING.contains(&inner.name.as_str());
                if directive
                    .inside()
                    .iter()
                    .any(|inner| kept(inner) && inner.first() != "off")
                {
                    closed.extend(stem(directive));
                }
                paths.extend(stem(directive));
            }
            "proxy_set_header" => {
                headers.insert(directive.first().to_owned());
            }
            _ => {}
        });
        Self {
            upstreams: upstreams(&text, &tree),
            code: said("# exit:")
                .first()
                .map_or(0, |code| code.parse().unwrap()),
            closed,
            certificates: text.contains("ssl_verify_client"),
            name,
            files,
            paths: paths
                .into_iter()
                .filter(|path| !once.contains(path))
                .collect(),
            once,
            text,
            doors,
            headers: headers.into_iter().collect(),
        }
    }

    /// The files, with these addresses and sockets in the place of upstreams, and sockets of both in a folder.
    pub(crate) fn placed(&self, upstreams: &BTreeMap<String, String>, folder: &Path) -> Placed {
        let mut ports = BTreeMap::new();
        for door in &self.doors {
            if let Place::Port(port) = door.place {
                ports.entry(port).or_insert_with(kept_port);
            }
        }
        let listen = Regex::new(r"\blisten(\s+)([^\s;]+)").unwrap();
        let port = |found: &Captures<'_>| match place_of(&found[2]) {
            Place::Port(port) => format!("listen{}127.0.0.1:{}", &found[1], ports[&port]),
            Place::Socket(name) => format!("listen{}unix:{SOCKETS}{name}", &found[1]),
        };
        let heard = |text: &str, program: &str| {
            let sockets = format!("{}/{program}-", folder.display());
            text.replace(SOCKETS, &sockets)
        };
        // The page's placeholders: each is told from the others by its variable.
        let (variables, written): (Vec<_>, Vec<_>) = upstreams
            .iter()
            .partition(|(written, _)| written.contains('='));
        let placed = |text: &str| {
            let text = listen.replace_all(text, port).into_owned();
            let own = PAGE_FILES.iter().copied();
            let addresses = written
                .iter()
                .map(|(written, address)| (written.as_str(), address.as_str()));
            own.chain(addresses)
                .fold(text, |text, (from, to)| text.replace(from, to))
        };
        let text = placed(&self.files.main);
        let mut for_nginx = heard(&text.replace('\u{a0}', " "), "nginx");
        let text = heard(&text, "portway");
        let included = self.files.included.iter();
        let included = included.map(|(name, text)| (name.clone(), placed(text)));
        let variable = |(written, address): (&String, &String)| {
            let (variable, _) = written.split_once('=').unwrap();
            (variable.to_owned(), address.clone())
        };
        for name in self.placeholders() {
            let (_, written) = name.split_once('=').unwrap();
            for_nginx = for_nginx.replacen(written, &upstreams[&name], 1);
        }
        Placed {
            for_nginx,
            for_portway: text,
            included: included.collect(),
            variables: variables.into_iter().map(variable).collect(),
            ports,
        }
    }

    /// `VARIABLE=xxx.xxx.xxx.xxx:port` of each placeholder, in the order of the file.
    fn placeholders(&self) -> Vec<String> {
        let (tree, _) = tree::parse(&self.text, &Arc::from("site.conf")).unwrap();
        let mut found = Vec::new();
        for block in tree.iter().filter(|block| block.name == "upstream") {
            let servers = block.inside().iter().filter(|inner| inner.name == "server");
            for (place, server) in servers.enumerate() {
                if server.first().starts_with("xxx.") {
                    let word = block.first().replace(['.', '-'], "_").to_uppercase();
                    found.push(format!("NODE_{word}_{}={}", place + 1, server.first()));
                }
            }
        }
        found
    }
}

/// A file of the corpus: the main one, and behind `# file: NAME` each that is included.
#[derive(Clone, Debug)]
struct Files {
    main: String,
    included: Vec<(String, String)>,
}

impl Files {
    fn read(text: &str) -> Self {
        let mut parts = text.split("\n# file: ");
        let main = format!("{}\n", parts.next().unwrap());
        let included = parts.map(|part| {
            let (name, text) = part.split_once('\n').unwrap();
            (name.to_owned(), format!("{text}\n"))
        });
        Self {
            included: included.collect(),
            main,
        }
    }

    /// The main file, with the others where they are included.
    fn whole(&self) -> String {
        let include = Regex::new(r"\binclude\s+([^\s;*]*)(\*?)([^\s;]*);").unwrap();
        let mut text = self.main.clone();
        while include.is_match(&text) {
            text = include
                .replace_all(&text, |found: &Captures<'_>| {
                    let named = self.included.iter().filter(|(name, _)| match &found[2] {
                        "" => *name == found[1],
                        _ => name.starts_with(&found[1]) && name.ends_with(&found[3]),
                    });
                    let named: Vec<&str> = named.map(|(_, text)| text.as_str()).collect();
                    assert!(!named.is_empty(), "{}", &found[0]);
                    named.concat()
                })
                .into_owned();
        }
        text
    }
}

fn doors(server: &Directive) -> Vec<Door> {
    let named = |name: &'static str| {
        let inside = server.inside().iter();
        inside.filter(move |inner| inner.name == name)
    };
    let all_tls = named("ssl").any(|switch| switch.first() == "on");
    let is_name = |name: &&String| !name.starts_with(['~', '.', '*', '_']) && !name.ends_with('*');
    let mut names: Vec<String> = named("server_name")
        .flat_map(|directive| directive.args.iter().filter(is_name).cloned())
        .collect();
    for directive in named("server_name") {
        for written in &directive.args {
            if let Some(domain) = written
                .strip_prefix('*')
                .unwrap_or(written)
                .strip_prefix('.')
            {
                names.push(format!("one.{domain}"));
            }
        }
    }
    let says = |listen: &Directive, word: &str| listen.args.iter().any(|arg| arg == word);
    let door = |listen: &Directive| Door {
        place: place_of(listen.first()),
        secure: all_tls || says(listen, "ssl"),
        names: names.clone(),
        multiplexed: says(listen, "http2"),
        announced: says(listen, "proxy_protocol"),
        tls: Vec::new(),
    };
    named("listen").map(door).collect()
}

/// Those that the file allows, or nginx where it says nothing.
fn versions(text: &str) -> Vec<Tls> {
    let said = Regex::new(r"ssl_protocols([^;]*);").unwrap();
    let allowed = said.captures(text).map_or("TLSv1.2", |found| {
        let (_, [allowed]) = found.extract();
        allowed
    });
    let known = [("TLSv1.2", Tls::V12), ("TLSv1.3", Tls::V13)];
    let known = known.into_iter();
    let known = known.filter(|(name, _)| allowed.split_whitespace().any(|word| word == *name));
    known.map(|(_, version)| version).collect()
}

fn place_of(address: &str) -> Place {
    match address.strip_prefix("unix:/run/") {
        Some(name) => Place::Socket(name.to_owned()),
        None => Place::Port(address.rsplit(':').next().unwrap().parse().unwrap()),
    }
}

fn walk(directives: &[Directive], visit: &mut dyn FnMut(&Directive)) {
    for directive in directives {
        visit(directive);
        walk(directive.inside(), visit);
    }
}

/// The path of a location that is no expression.
fn stem(location: &Directive) -> Option<String> {
    let path = location.args.last().filter(|path| path.starts_with('/'));
    let is_expression = location
        .args
        .first()
        .is_some_and(|sign| sign.starts_with('~'));
    path.filter(|_| !is_expression).cloned()
}

/// `app-1.internal:8080` and `unix:/run/app-1.sock` → `app`; placeholders of the page → the name of their `upstream`.
fn upstreams(text: &str, tree: &[Directive]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for written in [
        r"\b([a-z]+)-\d+\.internal:\d+",
        r"unix:/run/([a-z]+)-[0-9]+(?:\.sock)?",
    ] {
        for capture in Regex::new(written).unwrap().captures_iter(text) {
            found.insert(capture[0].to_owned(), capture[1].to_owned());
        }
    }
    for block in tree.iter().filter(|block| block.name == "upstream") {
        let servers = block.inside().iter().filter(|inner| inner.name == "server");
        for (place, server) in servers.enumerate() {
            if server.first().starts_with("xxx.") {
                let word = block.first().replace(['.', '-'], "_").to_uppercase();
                let name = format!("NODE_{word}_{}={}", place + 1, server.first());
                found.insert(name, block.first().to_owned());
            }
        }
    }
    found
}

/// Stands for where the sockets of a program are.
const SOCKETS: &str = "/sockets/";
/// What lets in only some.
const CLOSING: &[&str] = &["auth_basic", "if", "limit_except"];
const PAGE_FILES: &[(&str, &str)] = &[
    (
        "/Users/geeth/Documents/Product-Testing/clustering/emm/conf/keys/server.crt",
        "cert.pem",
    ),
    (
        "/Users/geeth/Documents/Product-Testing/clustering/emm/conf/keys/server.key",
        "key.pem",
    ),
    ("/etc/nginx/certs/server.crt", "cert.pem"),
    ("/etc/nginx/certs/server.key", "key.pem"),
    ("/etc/nginx/certs/ca.crt", "clients.pem"),
];
