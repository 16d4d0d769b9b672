//! Files that operators write or get from others: the users file in both forms, the key ring, PEM.

use std::path::Path;

use portway::crypto::certificates;
use portway::crypto::key_ring::KeyRing;
use portway::provider::users_file::document;

/// A users file is right or has faults; a right one has each user once.
pub fn users(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match document::parse(text, Path::new("users.yaml")) {
        Ok(users) => {
            let mut names: Vec<String> = users
                .iter()
                .map(|user| document::fold(user.name.as_str()))
                .collect();
            names.sort();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "one user twice");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A ring that reads has a key that seals.
pub fn key_ring(data: &[u8]) {
    if let Ok(ring) = KeyRing::parse(data) {
        assert!(!ring.ids().is_empty());
    }
}

/// A chain that reads has a certificate.
pub fn certificates(data: &[u8]) {
    if let Ok(chain) = certificates::chain(data) {
        assert!(!chain.is_empty());
    }
    let _any = certificates::readable_chain(data);
}

/// Lists of users in both forms.
pub fn user_lists() -> Vec<Vec<u8>> {
    let yaml = "users:\n  - name: alice\n    display_name: Alice Ng\n    groups: [staff, team-blue]\n    \
                attributes: { department: sales, projects: [apollo] }\n    must_change: true\n    password: \
                $argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$Zm9yIHRlc3RzIG9ubHksIG5vIHBhc3N3b3JkIGhlcmU\n";
    let htpasswd = "# users\nbob:$2y$05$abcdefghijklmnopqrstuuWnB6Gd7Xr9D6Cq2vW2zY5E6mJm3qN7e\ncarol:{SHA}xx\n";
    vec![yaml.as_bytes().to_vec(), htpasswd.as_bytes().to_vec()]
}

/// Key rings, one of them too new.
pub fn rings() -> Vec<Vec<u8>> {
    let key = r#"{"id":1,"created":0,"secret":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}"#;
    let ring = |version: u8| format!(r#"{{"version":{version},"seal_with":1,"keys":[{key}]}}"#);
    vec![ring(1).into_bytes(), ring(2).into_bytes()]
}

/// A certificate that is none inside, and other blocks.
pub fn pem() -> Vec<Vec<u8>> {
    let block = |label: &str, inside: &str| {
        let dashes = "-----";
        format!("{dashes}BEGIN {label}{dashes}\n{inside}\n{dashes}END {label}{dashes}\n")
    };
    vec![
        block("CERTIFICATE", "MIIBATCBqKADAgECAgEBMAoGCCqGSM49BAMC").into_bytes(),
        (block("X509 CRL", "AAAA") + &block("CERTIFICATE", "MAA=")).into_bytes(),
    ]
}
