//! A key that one data centre makes seals nowhere before all can open it (S-23, X-23).

use crate::pair::APP;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::Pair;
use crate::pair::served;
use crate::pair::visit;
use crate::support::until;

#[tokio::test]
async fn a_new_key_seals_in_every_data_centre_once_all_have_it_and_nobody_is_signed_out_s_23() {
    let pair = Pair::start(FREE).await;
    let mut browser = pair.signed_in_at_a("alice").await;
    let output = pair.a.verb(&["keys", "rotate"]).await;
    assert!(output.status.success(), "{output:?}");
    let keys = pair.a.key_stages().await;
    assert_eq!(keys[0].1, "published", "others have to be given it first");
    assert_eq!(keys[1].1, "sealing");
    // The other one has the same file, and takes it over.
    let (new, old) = (keys[0].0.clone(), keys[1].0.clone());
    for gateway in [&pair.a, &pair.b] {
        until("the new key seals", BOUND, || async {
            let stage = |key: &str, stage: &str| (key.to_owned(), stage.to_owned());
            let expected = [stage(&new, "sealing"), stage(&old, "opening")];
            (gateway.key_stages().await == expected).then_some(())
        })
        .await;
    }
    for at in [&pair.b, &pair.a] {
        assert_eq!(visit(&mut browser, at, APP).await, served("alice"));
    }
}
