//! The steps that use applications: what they are told, who may, and who serves when some are gone.

use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use serde_json::Value;

use crate::demo::client::Purpose;
use crate::demo::folder::password_of;
use crate::demo::jar::Jar;
use crate::demo::script::Script;
use crate::demo::script::seen::Seen;
use crate::demo::script::seen::distinct;
use crate::demo::script::seen::reference;
use crate::demo::script::seen::tick;
use crate::demo::site::APP;
use crate::demo::site::OTHER;

impl Script<'_> {
    pub(super) async fn public_page(&mut self) -> anyhow::Result<String> {
        let url = self.site.https_url(APP, "/public");
        let forged = [("remote-user", "mallory")];
        let answer = self.alice.get_with(&url, Purpose::Fetch, &forged).await?;
        let seen = Seen::by(&answer)?;
        let users = seen.values("remote-user");
        ensure!(users.is_empty(), "the application was told {users:?}");
        Ok(format!(
            "{}, a forged Remote-User did not arrive",
            answer.brief()
        ))
    }

    pub(super) async fn identity(&mut self) -> anyhow::Result<String> {
        let headers = [("remote-user", "carol"), ("remote-groups", "admins")];
        let answer = self
            .alice
            .get_with(&self.deep_link_url(), Purpose::Fetch, &headers)
            .await?;
        let seen = Seen::by(&answer)?;
        let (users, groups) = (seen.values("remote-user"), seen.values("remote-groups"));
        ensure!(users == ["alice"], "Remote-User: {users:?}");
        ensure!(groups == ["staff"], "Remote-Groups: {groups:?}");
        let cookies = seen.values("cookie").join("; ");
        ensure!(
            !cookies.contains("portway"),
            "a cookie of Portway reached the application"
        );
        ensure!(
            answer.header("cache-control").contains("no-store"),
            "the answer may be cached"
        );
        Ok("Remote-User: alice, Remote-Groups: staff, forged ones replaced, no cookie".to_owned())
    }

    pub(super) async fn single_sign_on(&mut self) -> anyhow::Result<String> {
        let first = self
            .alice
            .get(&self.site.https_url(OTHER, "/welcome"))
            .await?;
        let (page, way) = self.alice.follow(first).await?;
        ensure!(
            page.status.is_success() && page.address.host == OTHER,
            "{way}"
        );
        ensure!(
            page.body.contains("alice"),
            "the page at the end of {way} does not know alice"
        );
        Ok(way)
    }

    pub(super) async fn websocket(&mut self) -> anyhow::Result<String> {
        let mut socket = self
            .alice
            .socket(&self.site.https_url(APP, "/clock/ws"))
            .await?;
        let (first, second) = (tick(&mut socket).await?, tick(&mut socket).await?);
        ensure!(second > first, "{second} came after {first}");
        self.socket = Some(socket);
        Ok(format!("{first}, {second}"))
    }

    pub(super) async fn forbidden(&mut self) -> anyhow::Result<String> {
        let answer = self.alice.get(&self.site.https_url(APP, "/admin")).await?;
        ensure!(answer.status.as_u16() == 403, "{}", answer.brief());
        let reference = reference(&answer.body).context("the page shows no reference id")?;
        Ok(format!("{}, reference {reference}", answer.brief()))
    }

    pub(super) async fn permitted(&mut self) -> anyhow::Result<String> {
        let first = self.carol.get(&self.site.https_url(APP, "/admin")).await?;
        let (login, way) = self.carol.follow(first).await?;
        let form = login.form_with("password").context(way)?;
        let password = password_of("carol");
        let values = [("username", "carol"), ("password", password.as_str())];
        let answer = self.carol.submit(&login, &form, &values).await?;
        let (page, way) = self.carol.follow(answer).await?;
        ensure!(
            page.status.is_success() && page.address.path() == "/admin",
            "{way}"
        );
        Ok(page.brief())
    }

    pub(super) async fn fetch(&mut self) -> anyhow::Result<String> {
        let mut stranger = self.alice.clone();
        stranger.jar = Jar::default();
        let url = self.site.https_url(APP, "/api/items");
        let answer = stranger.get_with(&url, Purpose::Fetch, &[]).await?;
        ensure!(answer.status.as_u16() == 401, "{}", answer.brief());
        let body: Value = serde_json::from_str(&answer.body).context("the answer is not JSON")?;
        Ok(format!("{}, {body}", answer.brief()))
    }

    pub(super) async fn one_primary_dies(&mut self) -> anyhow::Result<String> {
        self.apps.stop("echo-1");
        let served = self.served(REQUESTS).await?;
        ensure!(
            !served.contains(&"echo-1".to_owned()),
            "the dead one answered: {served:?}"
        );
        Ok(format!(
            "{REQUESTS} of {REQUESTS} answered, by {}",
            distinct(&served)
        ))
    }

    pub(super) async fn all_primaries_die(&mut self) -> anyhow::Result<String> {
        self.apps.stop("echo-2");
        let served = self.served(REQUESTS).await?;
        ensure!(
            served.iter().all(|name| name == "echo-3"),
            "served by {served:?}"
        );
        Ok(format!(
            "{REQUESTS} of {REQUESTS} answered, by {}",
            distinct(&served)
        ))
    }

    /// How soon a primary counts as well again is the health check's; that it does is checked here.
    pub(super) async fn primaries_return(&mut self) -> anyhow::Result<String> {
        self.apps.start("echo-1")?;
        self.apps.start("echo-2")?;
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..FAIL_BACK_TRIES {
            pause.tick().await;
            let served = self.served(1).await?;
            if !served.contains(&"echo-3".to_owned()) {
                return Ok(format!("answered by {}", distinct(&served)));
            }
        }
        bail!("the secondary still serves")
    }

    /// The names of the applications that answered as many requests, each of which must succeed.
    async fn served(&mut self, requests: usize) -> anyhow::Result<Vec<String>> {
        let mut served = Vec::new();
        for _ in 0..requests {
            let answer = self
                .alice
                .get_with(&self.deep_link_url(), Purpose::Fetch, &[])
                .await?;
            served.push(Seen::by(&answer)?.instance);
        }
        Ok(served)
    }
}

const REQUESTS: usize = 10;
const FAIL_BACK_TRIES: usize = 100;
