//! `portway config show` and `portway config schema`: what they print of every example means the same, fits the
//! schema, and holds no secret.

use std::fs;

use portway::config::parse::effective;
use portway::config::parse::schema::schema;
use serde_json::Value;

use crate::examples::every_example;
use crate::fixtures;
use crate::meaning_of;
use crate::parse_as;
use crate::parsed;
use crate::surroundings;

#[test]
fn the_effective_configuration_of_every_example_means_the_same() {
    for (file, text) in every_example() {
        let shown = shown(&text);
        let (before, after) = (parsed(&text), parse_as(&file, &shown));
        let after = after.unwrap_or_else(|faults| panic!("{faults}\n{shown}"));
        // Places differ; a certificate's says where it stood.
        assert_eq!(meaning_of(before), meaning_of(after), "{file}\n{shown}");
        assert_eq!(self::shown(&shown), shown, "{file}: once more");
    }
}

#[test]
fn the_effective_configuration_has_its_files_variables_and_defaults() {
    let text = "include: hosts.yaml
listeners: [{ name: http, bind: 0.0.0.0:80 }]
pools: { app: { primary: ['${UPSTREAM}', 'a:1'] } }
virtual_hosts:
  - { host: app.test, plain_http: serve, routes: [{ regex: '^/[$]{1}$$x$', access: excluded, pool: app }] }
";
    let shown = shown(text);
    for line in [
        "cluster_id: local",
        "  idle_timeout: 30m",
        "      - 10.0.0.9:8080",
        "    balance: round_robin",
        "      total: none",
        "  more:",
        "  - host: more.test",
        "  nobody: []",
    ] {
        assert!(shown.lines().any(|seen| seen == line), "{line}\n{shown}");
    }
    assert!(!shown.contains("include"), "{shown}");
    assert_eq!(
        meaning_of(parsed(text)),
        meaning_of(parsed(&shown)),
        "{shown}"
    );
}

#[test]
fn what_a_policy_gives_is_shown_as_the_template_that_it_is() {
    let text = "listeners:
  - { name: s, bind: 0.0.0.0:443, tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }
collector: { host: login.test }
authentication: { users_file: users.yaml }
pools: { app: { primary: ['a:1'] } }
policies:
  staff:
    rules: [{ allow: signed_in }]
    responses:
      headers: { X-User: \"${user.id}@$$${user.store}\" }
      cookies: { theme: { value: \"${user.attributes.theme}\" } }
      session: { desk: \"${request.header.x-desk}\" }
    denied: redirect
    failure_url: /denied?ref=${request.id}
virtual_hosts: [{ host: app.test, routes: [{ path: /, access: protected, policy: staff, pool: app }] }]
";
    let shown = shown(text);
    assert!(shown.contains("${user.id}@$$${user.store}"), "{shown}");
    let (before, after) = (parsed(text), parsed(&shown));
    assert_eq!(
        format!("{:?}", before.virtual_hosts),
        format!("{:?}", after.virtual_hosts),
        "{shown}"
    );
}

#[test]
fn no_secret_is_shown_and_reading_it_again_says_so() {
    let dashes = "-----";
    let key =
        format!("{dashes}BEGIN PRIVATE KEY{dashes}\\nhidden\\n{dashes}END PRIVATE KEY{dashes}\\n");
    let text = format!(
        "cluster_id: nydc
listeners:
  - name: https
    bind: 0.0.0.0:443
    tls: {{ certificates: [{{ certificate_file: a.crt, key: \"{key}\" }}] }}
pools: {{ app: {{ primary: ['a:1'] }} }}
virtual_hosts: [{{ host: app.test, routes: [{{ path: /, access: excluded, pool: app }}] }}]
mdc:
  back_channel: {{ bind: '127.0.0.1:5575', security: open }}
  peers:
    - {{ cluster_id: ldc, primary: ['127.0.0.1:5576'], password: hidden between us }}
    - {{ cluster_id: tkdc, primary: ['127.0.0.1:5577'], password: '${{SHARED}}' }}
    - {{ cluster_id: sgdc, primary: ['127.0.0.1:5578'], password: '${{SHARED_2:-hidden default}}' }}
"
    );
    let shown = shown(&text);
    assert!(
        !shown.contains("hidden") && !shown.contains("shared by two"),
        "{shown}"
    );
    assert!(shown.contains("password: \"${SHARED}\""), "{shown}");
    let faults = parse_as("gateway.yaml", &shown).unwrap_err();
    assert_eq!(faults.count(), 3, "{faults}");
    assert!(
        faults.to_string().contains("a secret stood here"),
        "{faults}"
    );
}

#[test]
fn every_example_fits_the_schema_and_what_is_shown_of_it_too() {
    let schema = validator();
    for (file, text) in every_example() {
        for text in [&text, &shown(&text)] {
            let faults = faults(&schema, text);
            assert!(faults.is_empty(), "{file}: {faults:#?}\n{text}");
        }
    }
}

#[test]
fn unknown_keys_and_values_of_the_wrong_kind_do_not_fit_the_schema() {
    let schema = validator();
    let mut refused = Vec::new();
    for path in fixtures("invalid", "yaml") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let Ok(value) = typed(&text) else {
            continue;
        };
        if !schema.is_valid(&value) {
            refused.push(name);
        }
    }
    for name in ["balance", "boolean-yes", "unknown-key-near", "word-access"] {
        let is_refused = refused.iter().any(|other| other == name);
        assert!(is_refused, "{name}: {refused:?}");
    }
    assert!(refused.len() >= 36, "{}: {refused:?}", refused.len());
}

#[test]
fn the_schema_explains_every_key() {
    let schema = schema();
    let about = &schema["properties"]["limits"]["properties"]["header_timeout"];
    assert_eq!(about["default"], "10s");
    assert!(
        about["description"]
            .as_str()
            .unwrap()
            .contains("whole header"),
        "{about}"
    );
    let pool = &schema["properties"]["pools"]["additionalProperties"];
    let verify = &pool["properties"]["tls"]["properties"]["verify"];
    assert_eq!(verify["default"], true);
    assert!(
        verify["description"]
            .as_str()
            .unwrap()
            .contains("any certificate")
    );
}

fn shown(text: &str) -> String {
    let shown = surroundings(|surroundings| effective(text, "gateway.yaml", surroundings));
    shown.unwrap_or_else(|faults| panic!("{faults}"))
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

fn faults(schema: &jsonschema::Validator, text: &str) -> Vec<String> {
    let value = typed(text).unwrap();
    let faults = schema.iter_errors(&value);
    faults
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

/// A text as a reader of YAML 1.2 takes it that knows types.
fn typed(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
}
