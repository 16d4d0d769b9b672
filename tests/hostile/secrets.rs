//! What users give away is in no log: neither in that of the gateway, nor in the access log, nor in the audit trail
//! (threats.md §4, 33).

use std::fs;
use std::time::Duration;
use std::time::Instant;

use crate::browser::Browser;
use crate::browser::form_of;
use crate::rig::Difference;
use crate::rig::Gateway;
use crate::support::gateway::password;

#[test]
fn no_password_cookie_token_or_secret_parameter_is_in_any_log() {
    let gateway = Gateway::start(&Difference {
        sections: "logs: { access: { format: json, query: values, to: access.log } }\n",
        ..Difference::default()
    });
    let mut secrets = vec![password("alice"), WRONG.to_owned(), PARAMETER.to_owned()];
    let mut browser = Browser::default();
    let deep = format!("https://app.test/deep?page=2&access_token={PARAMETER}");
    let to_login = browser.get(&gateway, &deep);
    let login = to_login.header("location").unwrap().to_owned();
    let page = browser.get(&gateway, &login);
    let form = form_of(&page);
    secrets.extend([value(&login), form.request.clone(), form.form.clone()]);
    let refused = browser.submit(&gateway, "alice", WRONG, &form);
    assert_eq!(refused.status, 403, "{refused:?}");
    let back = browser.submit(&gateway, "alice", &password("alice"), &form_of(&refused));
    let callback = back.header("location").unwrap().to_owned();
    secrets.push(value(&callback));
    let arrived = browser.get(&gateway, &callback);
    assert_eq!(arrived.status, 303, "{arrived:?}");
    let kept = browser.jar.values().flat_map(|jar| jar.values());
    secrets.extend(kept.filter(|value| value.len() > 16).cloned());
    // A cookie that does not open is told of, and a denial too.
    browser.set("other.test", crate::browser::AUTHN, FORGED);
    secrets.push(FORGED.to_owned());
    browser.get(&gateway, "https://other.test/");
    browser.get(&gateway, "https://app.test/adm/x");

    let logs = written(&gateway, &mut browser);
    assert!(
        secrets.len() >= 10 && secrets.iter().all(|secret| secret.len() > 12),
        "{secrets:?}"
    );
    for secret in &secrets {
        assert!(!logs.contains(secret.as_str()), "{secret} is in\n{logs}");
    }
    for told in [
        "signed_in",
        "sign_in_refused",
        "denied",
        "cookie_not_opened",
        "page=2",
    ] {
        assert!(logs.contains(told), "{told} is not in\n{logs}");
    }
}

/// All that was written, once the last request has its line.
fn written(gateway: &Gateway, browser: &mut Browser) -> String {
    let began = Instant::now();
    loop {
        browser.get(gateway, "https://app.test/last");
        let read = |name: &str| fs::read_to_string(gateway.folder().join(name)).unwrap_or_default();
        let (access, audit) = (read("access.log"), read("state/audit.jsonl"));
        if access.contains("/last") && audit.contains("\"denied\"") {
            return format!("{}\n{access}\n{audit}", gateway.log());
        }
        assert!(began.elapsed() < PATIENCE, "{access}\n{audit}");
    }
}

/// The value of the one parameter of an address.
fn value(address: &str) -> String {
    let (_, value) = address.split_once('=').unwrap();
    value.to_owned()
}

const PATIENCE: Duration = Duration::from_secs(20);
const WRONG: &str = "wrong-horse-battery-staple";
const PARAMETER: &str = "parameter-that-nobody-may-read";
const FORGED: &str = "AQAAAAFmb3JnZWQtZm9yZ2VkLWZvcmdlZA";
