//! A key that one data centre makes seals nowhere before all can open it (S-23, X-23).

use serde_json::Value;

use crate::pair::APP;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::Pair;
use crate::pair::served;
use crate::pair::visit;
use crate::support::Gateway;
use crate::support::until;

/// The keys and their stages, the one that seals or is to first.
async fn stages(gateway: &Gateway) -> Vec<(String, String)> {
    let output = gateway.verb(&["keys", "list", "--json"]).await;
    assert!(output.status.success(), "{output:?}");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let keys = list["keys"].as_array().unwrap().iter();
    keys.map(|line| (text(line, "key"), text(line, "stage")))
        .collect()
}

#[tokio::test]
async fn a_new_key_seals_in_every_data_centre_once_all_have_it_and_nobody_is_signed_out_s_23() {
    let pair = Pair::start(FREE).await;
    let mut browser = pair.signed_in_at_a("alice").await;
    let output = pair.a.verb(&["keys", "rotate"]).await;
    assert!(output.status.success(), "{output:?}");
    let keys = stages(&pair.a).await;
    assert_eq!(keys[0].1, "published", "others have to be given it first");
    assert_eq!(keys[1].1, "sealing");
    // The other one has the same file, and takes it over.
    let (new, old) = (keys[0].0.clone(), keys[1].0.clone());
    for gateway in [&pair.a, &pair.b] {
        until("the new key seals", BOUND, || async {
            let stage = |key: &str, stage: &str| (key.to_owned(), stage.to_owned());
            let expected = [stage(&new, "sealing"), stage(&old, "opening")];
            (stages(gateway).await == expected).then_some(())
        })
        .await;
    }
    for at in [&pair.b, &pair.a] {
        assert_eq!(visit(&mut browser, at, APP).await, served("alice"));
    }
}
