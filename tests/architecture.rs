//! Keeps the code in the shape that `ARCHITECTURE.md` describes.
//!
//! A scan of the text, with nothing but the standard library: the layers are read from `src/lib.rs`,
//! the rules are the tables below. Whether the code is right is for every other test to say. Each
//! check is itself tested on a snippet that breaks it, at the end of this file.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "a test that cannot read the source should fail"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use source::code_of;
use source::first_names_after;
use source::lines_without_tests;
use source::mentions;
use source::words;

#[path = "architecture/fires.rs"]
mod fires;
#[path = "architecture/source.rs"]
mod source;

/// Names that touch the world, and the only places that may mention them (prefixes of the path).
const FENCES: &[(&str, &[&str])] = &[
    ("aes_gcm", &["crypto/"]),
    ("anyhow", &["app/", "cli/", "demo/", "main.rs"]),
    ("argon2", &["crypto/pki/", "provider/"]),
    ("bcrypt", &["provider/"]),
    ("brotli", &["proxy/compression"]),
    ("cel", &["decision/expression/"]),
    ("ciborium", &["backchannel/wire", "crypto/", "store/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("flate2", &["proxy/compression"]),
    ("hickory_resolver", &["dns.rs", "dns/"]),
    ("hkdf", &["crypto/"]),
    ("hmac", &["crypto/"]),
    (
        "hyper",
        &[
            "admin/",
            "backchannel/",
            "demo/",
            "ops.rs",
            "provider/web",
            "proxy/health",
        ],
    ),
    (
        "hyper_util",
        &[
            "admin/",
            "backchannel/",
            "demo/",
            "ops.rs",
            "provider/web",
            "proxy/health",
        ],
    ),
    ("hyper_rustls", &["provider/web"]),
    ("mimalloc", &["main.rs"]),
    ("minijinja", &["proxy/pages"]),
    ("mio", &["proxy/departure"]),
    ("nix", &["proxy/"]),
    ("pingora", &["app/", "proxy/"]),
    ("pingora_core", &["app/", "proxy/"]),
    ("pingora_proxy", &["app/", "proxy/"]),
    ("prometheus_client", &["telemetry/"]),
    ("rcgen", &["crypto/pki/", "demo/"]),
    ("redb", &["store/"]),
    ("rpassword", &["cli/"]),
    (
        "rustls",
        &[
            "app/",
            "backchannel/",
            "crypto/certificates",
            "crypto/client_certificate",
            "crypto/peer_tls",
            "demo/",
            "provider/openid/signer",
            "provider/web",
            "proxy/",
            "system.rs",
        ],
    ),
    ("serde_saphyr", &["config/", "provider/"]),
    ("tokio_rustls", &["app/", "backchannel/", "demo/", "proxy/"]),
    ("tokio_tungstenite", &["demo/"]),
    ("zstd", &["proxy/compression"]),
    ("webpki", &["crypto/client_certificate"]),
    ("std::env", &["cli/", "config/load.rs", "demo/centre.rs"]),
    (
        "std::fs",
        &[
            "admin/socket.rs",
            "app/",
            "audit/",
            "cli/",
            "config/load.rs",
            "config/sources.rs",
            "demo/",
            "dns.rs",
            "proxy/listening.rs",
            "provider/",
            "store/",
            "telemetry/lines.rs",
        ],
    ),
    ("tokio::fs", &["app/", "demo/"]),
    (
        "tokio::net",
        &[
            "admin/",
            "app/",
            "backchannel/",
            "demo/",
            "ops.rs",
            "proxy/",
        ],
    ),
    ("SystemTime::now", &["system.rs"]),
    // The edge loop's deadlines are kept by the timers of its runtime, on their own clock.
    (
        "Instant::now",
        &[
            "demo/",
            "proxy/limiters.rs",
            "proxy/watch.rs",
            "system.rs",
            "telemetry/stopwatch.rs",
        ],
    ),
];

/// Rooms with implementations of ports, and who may name them besides themselves (rule 7).
const IMPLEMENTATIONS: &[(&str, &[&str])] = &[
    ("audit", &["app/", "cli/"]),
    ("admin", &["app/", "cli/"]),
    ("backchannel", &["app/"]),
    ("dns", &["app/"]),
    ("provider", &["app/", "cli/", "demo/"]),
    ("store", &["app/"]),
    ("system", &["app/", "cli/", "demo/"]),
];

/// Rooms that a simulation must be able to run: they wait through the port `Clock` and start nothing.
const DETERMINISTIC: &[&str] = &["engine/", "gate/"];
const NOT_DETERMINISTIC: &[&str] = &["tokio::spawn", "tokio::task", "tokio::time", "std::thread"];

/// Places that compute and never act (rule 3).
const PURE: &[&str] = &[
    "config/parse",
    "config/raw",
    "convert/",
    "crypto/",
    "decision/",
    "logbook/",
    "model/",
];
const IMPURE: &[&str] = &[
    "async",
    "await",
    "eprintln",
    "getrandom",
    "log::",
    "Mutex",
    "parking_lot",
    "println",
    "rand::",
    "RwLock",
    "std::env",
    "std::fs",
    "std::thread",
    "TcpListener",
    "TcpStream",
    "tokio",
    "tracing",
    "UdpSocket",
    "Instant",
    "SystemTime",
];

/// Trusted types, how they are made, and where untrusted bytes may become one (rule 6).
const TRUSTED: &[Trust] = &[
    Trust {
        types: &[
            "ClusterId",
            "DeploymentId",
            "GroupName",
            "ListenerName",
            "PolicyName",
            "PoolName",
            "StoreName",
            "UserName",
        ],
        makers: &["parse", "try_from"],
        places: &[
            "admin/",
            "cli/",
            "config/",
            "crypto/",
            "demo/",
            "model/",
            "provider/",
            "proxy/inbound",
            "store/",
        ],
    },
    // What a host header, an origin or a return address says is judged in `decision/`, which makes
    // nothing of a name but a comparison with configured ones.
    Trust {
        types: &["HostName"],
        makers: &["parse", "try_from"],
        places: &[
            "cli/",
            "config/",
            "convert/",
            "crypto/",
            "decision/",
            "demo/",
            "model/",
            "proxy/inbound",
            "store/",
        ],
    },
    Trust {
        types: &["NodeName"],
        makers: &["parse"],
        places: &["backchannel/wire", "crypto/"],
    },
    Trust {
        types: &["Nonce", "RequestId", "SessionId", "SsoId", "TokenId"],
        makers: &["from_bytes"],
        places: &["crypto/", "model/", "proxy/inbound", "store/"],
    },
];

/// Types that vouch for what they hold.
struct Trust {
    types: &'static [&'static str],
    makers: &'static [&'static str],
    places: &'static [&'static str],
}

/// Words that the glossary replaces, wherever they stand: code, comments, documents.
const WORDS: &[(&str, &str)] = &[
    ("backend", "say upstream"),
    ("blacklist", "say deny list"),
    ("vhost", "say virtual host"),
    ("whitelist", "say allow list"),
];
/// Words that say nothing as part of a name; in a sentence they may have a meaning.
const NAMES: &[(&str, &str)] = &[
    ("handler", "name what it does"),
    ("helper", "name what it does"),
    ("manager", "name what it does"),
    ("util", "name what it holds"),
];
/// Where such a word belongs to somebody else: file, word. A stale entry is a fault.
const WORDS_ALLOWED: &[(&str, &str)] = &[
    // redb's name for the file under a database.
    ("store/disk/tests.rs", "backend"),
];

/// Longest file, tests left out. An exception must still be needed, or the test says so.
const FILE_LINES_MAX: usize = 400;
const LONG_FILES: &[&str] = &[];

#[test]
fn the_code_keeps_its_shape() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let layers = Layers::read(&fs::read_to_string(root.join("src/lib.rs")).unwrap());
    let mut faults = Vec::new();
    for (path, text) in files(&root.join("src"), "rs") {
        faults.extend(source_faults(&layers, &path, &text));
    }
    faults.extend(stale_exceptions(root));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn tests_say_what_lives_in_them_and_import_line_by_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let faults: Vec<String> = files(&root.join("tests"), "rs")
        .into_iter()
        .flat_map(|(path, text)| {
            let import = import_fault(&path, &code_of(&text));
            opening_fault(&path, &text).into_iter().chain(import)
        })
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_documents_use_our_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = documents_in(root);
    for folder in ["certs", "docs", "examples"] {
        texts.extend(files(&root.join(folder), "md"));
        texts.extend(files(&root.join(folder), "yaml"));
    }
    let faults: Vec<String> = texts
        .iter()
        .flat_map(|(path, text)| word_faults(path, text, WORDS))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Every place that a table names exists, so that no rule guards an empty room.
#[test]
fn the_tables_name_places_that_exist() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let paths: Vec<String> = files(&src, "rs")
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let named = FENCES
        .iter()
        .chain(IMPLEMENTATIONS)
        .flat_map(|(_, places)| places.iter())
        .chain(TRUSTED.iter().flat_map(|trust| trust.places.iter()))
        .chain(PURE)
        .chain(DETERMINISTIC);
    for place in named {
        assert!(
            paths.iter().any(|path| path.starts_with(place)),
            "nothing lives in {place}"
        );
    }
}

/// What is fenced is there, so that no rule guards against a crate that nobody uses.
#[test]
fn the_fences_are_around_dependencies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let locked = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    for (name, _) in FENCES.iter().filter(|(name, _)| !name.contains("::")) {
        let names = [(*name).to_owned(), name.replace('_', "-")];
        let is_direct = |name: &String| manifest.contains(&format!("\n{name} = "));
        let is_locked = |name: &String| locked.contains(&format!("name = \"{name}\"\n"));
        let is_there = |name| is_direct(name) || is_locked(name);
        assert!(names.iter().any(is_there), "nothing depends on {name}");
    }
}

/// The table of the page has a row for every room, and names every topic of `decision/`.
#[test]
fn the_page_names_every_room_and_every_kind_of_decision() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let row_of = |room: &str| {
        let starts = [format!("| `{room}/` |"), format!("| `{room}.rs` |")];
        let mut rows = page.lines();
        rows.find(|row| starts.iter().any(|start| row.starts_with(start)))
    };
    for room in modules(&root.join("src/lib.rs")) {
        assert!(row_of(&room).is_some(), "no row for {room}");
    }
    let decisions = row_of("decision").unwrap();
    for topic in modules(&root.join("src/decision/mod.rs")) {
        assert!(decisions.contains(&format!("`{topic}`")), "{topic}");
    }
}

fn modules(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let modules = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    modules
        .map(|name| name.trim_end_matches(';').to_owned())
        .collect()
}

/// Everything that one file of `src/` does against the rules.
fn source_faults(layers: &Layers, path: &str, text: &str) -> Vec<String> {
    let mut faults: Vec<String> = opening_fault(path, text).into_iter().collect();
    faults.extend(word_faults(path, text, WORDS));
    // A test module in a file of its own belongs to the tests.
    if path.ends_with("tests.rs") {
        return faults;
    }
    let code = code_of(text);
    faults.extend(word_faults(path, &code, NAMES));
    faults.extend(layer_faults(layers, path, &code));
    faults.extend(climb_fault(path, &code));
    faults.extend(implementation_faults(path, &code));
    faults.extend(determinism_faults(path, &code));
    faults.extend(fence_faults(path, &code));
    faults.extend(purity_faults(path, &code));
    faults.extend(trust_faults(path, &code));
    faults.extend(import_fault(path, &code));
    faults.extend(length_fault(path, text));
    faults
}

/// Module names with the number of their paragraph in `src/lib.rs`, counted from the top.
struct Layers(BTreeMap<String, usize>);

impl Layers {
    fn read(lib: &str) -> Self {
        let mut layer = 0;
        let mut layers = BTreeMap::new();
        for line in lib.lines().map(str::trim) {
            let item = line
                .strip_prefix("pub ")
                .or_else(|| line.strip_prefix("pub(crate) "))
                .unwrap_or(line);
            if let Some(module) = item.strip_prefix("mod ") {
                layers.insert(module.trim_end_matches(';').to_owned(), layer);
            } else if line.is_empty() {
                layer += 1;
            }
        }
        Self(layers)
    }
}

/// Rules 1 and 2: a module uses what stands below it, and nothing of its own paragraph.
fn layer_faults(layers: &Layers, path: &str, code: &str) -> Vec<String> {
    if matches!(path, "lib.rs" | "main.rs") {
        return Vec::new();
    }
    let own = room(path);
    let Some(own_layer) = layers.0.get(own) else {
        return vec![format!("{path}: `{own}` is not in lib.rs")];
    };
    let judge = |used: String| match layers.0.get(&used) {
        _ if used == own => None,
        Some(layer) if layer > own_layer => None,
        Some(layer) if layer == own_layer => Some(format!(
            "{path}: `{own}` and `{used}` are strangers; let them meet in a layer below"
        )),
        Some(_) => Some(format!(
            "{path}: `{own}` may not use `{used}`, which stands above it in lib.rs"
        )),
        None => Some(format!("{path}: `crate::{used}` is not a module of lib.rs")),
    };
    first_names_after(code, "crate::")
        .into_iter()
        .filter_map(judge)
        .collect()
}

/// `super::` may not leave its room, or it would slip past the layers.
fn climb_fault(path: &str, code: &str) -> Option<String> {
    let climbs = if path.contains('/') && !path.ends_with("/mod.rs") {
        code.contains("super::super::")
    } else {
        mentions(code, "super::")
    };
    climbs.then(|| format!("{path}: write `crate::…` instead of climbing with `super::`"))
}

/// Rule 7: whoever needs a port takes the port; only the assembly names what stands behind it.
fn implementation_faults(path: &str, code: &str) -> Vec<String> {
    let used = first_names_after(code, "crate::");
    IMPLEMENTATIONS
        .iter()
        .filter(|(module, places)| {
            used.iter().any(|name| name == module)
                && room(path) != *module
                && !stands_in(path, places)
        })
        .map(|(module, places)| {
            format!(
                "{path}: only {} may name `{module}`; take the port",
                places.join(", ")
            )
        })
        .collect()
}

/// Rule 7: gate and engine neither wait on a clock of their own nor start tasks.
fn determinism_faults(path: &str, code: &str) -> Vec<String> {
    if !stands_in(path, DETERMINISTIC) {
        return Vec::new();
    }
    NOT_DETERMINISTIC
        .iter()
        .filter(|name| mentions(code, name))
        .map(|name| format!("{path}: `{name}` cannot be simulated; wait through the port `Clock` and let `app` drive"))
        .collect()
}

/// Rule 4: a name that touches the world stays in its place.
fn fence_faults(path: &str, code: &str) -> Vec<String> {
    FENCES
        .iter()
        .filter(|(name, places)| mentions(code, name) && !stands_in(path, places))
        .map(|(name, places)| format!("{path}: `{name}` belongs in {}", places.join(", ")))
        .collect()
}

/// Rule 3: what computes does not act.
fn purity_faults(path: &str, code: &str) -> Vec<String> {
    if !stands_in(path, PURE) {
        return Vec::new();
    }
    IMPURE
        .iter()
        .filter(|name| mentions(code, name))
        .map(|name| {
            format!("{path}: `{name}` in a pure place; return a decision and let the caller act")
        })
        .collect()
}

/// Rule 6, as far as text shows it: trusted types are made where untrusted bytes come in.
fn trust_faults(path: &str, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for Trust {
        types,
        makers,
        places,
    } in TRUSTED
        .iter()
        .filter(|trust| !stands_in(path, trust.places))
    {
        for (_, word, after) in words(code).filter(|(_, word, _)| types.contains(word)) {
            if let Some(maker) = makers.iter().find(|maker| is_made_by(after, maker)) {
                faults.push(format!(
                    "{path}: `{word}::{maker}` turns bytes into a trusted type; that happens in {}",
                    places.join(", ")
                ));
            }
        }
    }
    faults
}

/// Whether `::maker(` follows a type. Nobody's claim is an id made of fresh entropy
/// (`from_bytes(id_bytes(…))`) or a name written in the code (a literal, which is blank here).
fn is_made_by(after: &str, maker: &str) -> bool {
    let called = after
        .strip_prefix("::")
        .and_then(|rest| rest.strip_prefix(maker));
    let called = called.unwrap_or_default().replace(char::is_whitespace, "");
    called.starts_with('(') && !called.starts_with("(id_bytes(") && !called.starts_with("()")
}

/// Rule 5.
fn opening_fault(path: &str, text: &str) -> Option<String> {
    let opens = text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with("//! ") && line.len() > 12);
    (!opens).then(|| format!("{path}: say in a first `//!` line what lives here"))
}

fn import_fault(path: &str, code: &str) -> Option<String> {
    code.contains("use std::{")
        .then(|| format!("{path}: one `use` line per path instead of `use std::{{`"))
}

fn length_fault(path: &str, text: &str) -> Option<String> {
    let long = lines_without_tests(text) > FILE_LINES_MAX;
    match (long, LONG_FILES.contains(&path)) {
        (true, false) => Some(format!(
            "{path}: longer than {FILE_LINES_MAX} lines; split it by concept"
        )),
        (false, true) => Some(format!("{path}: short again; drop it from LONG_FILES")),
        _ => None,
    }
}

/// Words of a table. Other people's crates, and the paths into them, have names of their own.
fn word_faults(path: &str, text: &str, table: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        for (before, word, _) in words(line) {
            let Some((bad, better)) = table.iter().find(|(bad, _)| has_part(word, bad)) else {
                continue;
            };
            if !is_foreign(before, word) && !WORDS_ALLOWED.contains(&(path, bad)) {
                faults.push(format!(
                    "{path}:{number}: `{bad}` is not our word; {better}"
                ));
            }
        }
    }
    faults
}

/// Whether `bad`, or its plural, is one of the parts of `camelCase` or `snake_case`.
fn has_part(word: &str, bad: &str) -> bool {
    let mut part = String::new();
    let mut parts = Vec::new();
    for c in word.chars() {
        if (c.is_uppercase() || c == '_') && !part.ends_with(char::is_uppercase) {
            parts.push(std::mem::take(&mut part));
        }
        if c != '_' {
            part.push(c);
        }
    }
    parts.push(part);
    parts
        .iter()
        .map(|part| part.to_lowercase())
        .any(|part| part.strip_suffix('s').unwrap_or(&part) == bad || part == bad)
}

/// Whether a word is the name of a dependency, or stands in a path that begins with one.
fn is_foreign(before: &str, word: &str) -> bool {
    let path_start = before
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .map_or(0, |at| at + 1);
    let first = before[path_start..].split("::").next().unwrap_or_default();
    let first = if before.ends_with("::") { first } else { word };
    let crate_name = first.replace('_', "-");
    include_str!("../Cargo.toml").lines().any(|line| {
        line.strip_prefix(crate_name.as_str())
            .is_some_and(|rest| rest.starts_with(" = "))
    }) || first.starts_with("pingora_")
}

/// The first part of a path below `src/`: a folder, or a file without its ending.
fn room(path: &str) -> &str {
    path.split('/')
        .next()
        .unwrap_or(path)
        .trim_end_matches(".rs")
}

fn stands_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}

/// Exceptions that no longer except anything.
fn stale_exceptions(root: &Path) -> Vec<String> {
    let gone = LONG_FILES
        .iter()
        .filter(|path| !root.join("src").join(path).exists())
        .map(|path| format!("{path}: gone; drop it from LONG_FILES"));
    let unused = WORDS_ALLOWED
        .iter()
        .filter(|(path, word)| {
            let text = fs::read_to_string(root.join("src").join(path)).unwrap_or_default();
            !words(&text).any(|(_, found, _)| has_part(found, word))
        })
        .map(|(path, word)| format!("{path}: `{word}` is gone; drop it from WORDS_ALLOWED"));
    gone.chain(unused).collect()
}

/// Every file below a folder with one ending: its path from there, with `/`, and its text.
fn files(folder: &Path, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in entries(&next) {
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == ending)
            {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The documents and example configurations directly in a folder.
fn documents_in(folder: &Path) -> Vec<(String, String)> {
    entries(folder)
        .into_iter()
        .filter(|path| {
            path.extension().is_some_and(|extension| {
                extension == "md" || extension == "yaml" || extension == "example"
            })
        })
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|found| found.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}
