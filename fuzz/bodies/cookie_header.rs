//! The `Cookie` headers of requests: what goes to an application has no cookie of Portway's or of a policy in it,
//! and is not changed by going the same way again.

use portway::decision::cookies::CookieNames;
use portway::model::name::DeploymentId;

/// Reads each line as a header.
pub fn run(data: &[u8]) {
    let deployment = DeploymentId::parse("main").expect("it is a name");
    let names = CookieNames::new(&deployment);
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let of_policies = [Box::from("theme")];
    let sent = names.for_upstream(lines.iter().copied(), &of_policies);
    let sent = sent.unwrap_or_default();
    for own in [
        &names.authn,
        &names.id,
        &names.nonce,
        &names.gito,
        &names.device,
    ] {
        let found = CookieNames::find(std::iter::once(sent.as_slice()), own);
        assert_eq!(found.count(), 0, "{own} goes upstream");
    }
    for part in sent.split(|byte| *byte == b';') {
        assert!(
            !names.claims_ours(part, &of_policies),
            "an application would take it for ours"
        );
    }
    let again = names.for_upstream(std::iter::once(sent.as_slice()), &of_policies);
    assert_eq!(again.unwrap_or_default(), sent);
    assert!(CookieNames::find(lines.iter().copied(), &names.authn).count() <= 4);
    assert!(names.nonces(&lines).count() <= 4);
}

/// Headers as browsers send them, and as nobody does.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "a=b; __Host-portway-authn-main=AQAA; theme=dark",
        "__host-PORTWAY-id-main=x; c=\"d;e\"; =nameless; f",
        "__Host-portway-nonce-main=AAAAAAAAAAAAAAAAAAAAAA\n__Secure-portway-gito-main=1;;; ;x=y",
        "Theme=light; $Version=1; __Host-portway-device-main",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
