//! The configuration: any text is right or has faults with a place in it; what is right is printed and read again
//! to the same meaning. Templates are read as parts of one.

use std::path::Path;

use portway::config::Config;
use portway::config::diagnostic::Colour;
use portway::config::diagnostic::Faults;
use portway::config::parse::Surroundings;
use portway::config::parse::effective;
use portway::config::parse::parse;
use portway::config::problem::ReadFileError;

/// Reads a configuration.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match read(text) {
        Ok(config) => {
            let shown = with(|surroundings| effective(text, NAME, surroundings));
            let shown = shown.unwrap_or_else(|faults| panic!("{faults}"));
            // In place of a secret there is a variable that is not set.
            if shown.contains("PORTWAY_REDACTED") {
                return;
            }
            let again = read(&shown).unwrap_or_else(|faults| panic!("{faults}\n{shown}"));
            // A template remembers how it was written: one dollar sign or two, a default or what it says.
            if !text.contains("$$") && !text.contains(":-") {
                assert_eq!(
                    format!("{:?}", again.virtual_hosts),
                    format!("{:?}", config.virtual_hosts)
                );
            }
            assert_eq!(again.pools, config.pools);
        }
        Err(faults) => {
            // A fault may be in a file that is included.
            let lines = text.lines().count();
            let most = if text.contains("include") {
                usize::MAX
            } else {
                lines + 1
            };
            assert!(faults.count() > 0);
            for fault in faults.iter() {
                let line = fault.at.map_or(1, |at| at.line);
                assert!((1..=most).contains(&line), "line {line} of {lines}");
            }
            assert!(faults.render(Colour::Plain).starts_with("error: "));
        }
    }
}

/// Reads a text as the template of a header, in a configuration that is right otherwise.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let quoted = serde_json::Value::from(text).to_string();
    let whole = format!(
        "{WHOLE}        responses: {{ headers: {{ X-A: {quoted} }}, cookies: {{ a: {quoted} }} }}\n"
    );
    run(whole.as_bytes());
}

/// The commented example, and a small one.
pub fn seeds() -> Vec<Vec<u8>> {
    let example = include_str!("../../gateway.yaml.example");
    vec![example.as_bytes().to_vec(), WHOLE.as_bytes().to_vec()]
}

/// Templates.
pub fn templates() -> Vec<Vec<u8>> {
    [
        "${user.id}@${user.store}",
        "$${not}",
        "${user.attributes.department}",
        "${request.header.x-desk}-x",
        "${session.level}",
        "a ${",
        "${request.query[\"a\"]}",
        "${tls.version} \u{e9}",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}

fn read(text: &str) -> Result<Config, Faults> {
    with(|surroundings| parse(text, NAME, surroundings))
}

/// Certificates and keys are there, included files are not; variables are not set.
fn with<T>(read: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    read(&Surroundings {
        folder: Path::new(""),
        variable: &|_| None,
        read: &|path, _| {
            if path.extension().is_some_and(|ending| ending == "yaml") {
                return Err(ReadFileError::NotFound);
            }
            let is_key = path.extension().is_some_and(|ending| ending == "key");
            let label = if is_key { "PRIVATE KEY" } else { "CERTIFICATE" };
            let dashes = "-----";
            Ok(
                format!("{dashes}BEGIN {label}{dashes}\nx\n{dashes}END {label}{dashes}\n")
                    .into_bytes(),
            )
        },
        list: &|_| Ok(Vec::new()),
        threads: 2,
    })
}

const NAME: &str = "gateway.yaml";
const WHOLE: &str = "listeners:
  - { name: s, bind: 0.0.0.0:443, tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }
collector: { host: login.test }
authentication: { users_file: users.yaml }
pools: { app: { primary: [10.0.0.1:80] } }
policies: { staff: [{ allow: { group: staff } }] }
virtual_hosts:
  - host: app.test
    routes:
      - path: /
        access: protected
        policy: staff
        pool: app
";
